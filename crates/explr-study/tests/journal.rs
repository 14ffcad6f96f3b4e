//! What a journal survives, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use explr_study::{Finish, History, SearchSpace, StorageError, Study, StudyError, TrialState};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const JOURNAL: &str = "EXPLR_TEST_JOURNAL";

fn try_open(path: &Path) -> Result<Study, StudyError> {
    let space = SearchSpace::builder()
        .float("x", -10.0..=10.0)
        .int("n", 1..=4)
        .build()?;
    Study::builder("s").space(space).journal(path).build()
}

fn open(path: &Path) -> Study {
    try_open(path).unwrap()
}

fn run_one(study: &mut Study) -> Result<(), StudyError> {
    let number = study.ask()?.unwrap().number;
    study.report(number, 1, 0.5)?;
    study.report(number, 2, f64::INFINITY)?;
    study.tell(number, Finish::Complete(vec![1.0]))
}

fn new_journal(trials: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = open(&path);
    for _ in 0..trials {
        run_one(&mut study).unwrap();
    }
    (folder, path)
}

fn load(path: &Path) -> History {
    History::load(path).unwrap().remove(0)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_journal_is_its_owners_alone_and_leaves_no_lock_behind() {
    let (folder, path) = new_journal(1);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_torn_last_line_is_left_out_and_cut_off_by_the_next_append() {
    let (_folder, path) = new_journal(2);
    let whole = load(&path);
    append(&path, r#"{"op_code":4,"worker_id":"someone","stu"#);
    assert_eq!(load(&path), whole);

    let mut study = open(&path);
    assert_eq!(*study.history(), whole);
    run_one(&mut study).unwrap();
    assert_eq!(load(&path), *study.history());
    assert!(!fs::read_to_string(&path).unwrap().contains("someone"));
}

#[test]
fn a_line_that_is_not_finished_yet_is_read_when_it_is() {
    let (_folder, path) = new_journal(1);
    let mut study = open(&path);
    let line = r#"{"op_code":2,"worker_id":"someone","study_id":0,"user_attr":{"k":NaN}}"#;
    append(&path, &line[..30]);
    study.refresh().unwrap();
    append(&path, &line[30..]);
    append(&path, "\n");
    study.refresh().unwrap();
    assert_eq!(study.history().user_attrs()["k"], "NaN");
}

#[test]
fn damage_is_refused_with_its_file_and_line() {
    let (_folder, path) = new_journal(1);
    let lines = fs::read_to_string(&path).unwrap().lines().count() as u64;
    for (bad, expected) in [
        ("\0\0\0\0", "not a record of a study"),
        ("", "not a record of a study"),
        (
            r#"{"op_code":11,"worker_id":"w"}"#,
            "the operation 11 is unknown",
        ),
        (
            r#"{"op_code":7,"worker_id":"w","trial_id":0,"step":1}"#,
            "the field `intermediate_value` is missing",
        ),
        (
            r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":9,"values":null}"#,
            "9 is no state",
        ),
        (
            r#"{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"c","param_value_internal":2,"distribution":"{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [1, 2]}}"}"#,
            "there is no choice 2",
        ),
    ] {
        let copy = path.with_extension("bad");
        fs::copy(&path, &copy).unwrap();
        append(&copy, &format!("{bad}\n"));
        let error = History::load(&copy).unwrap_err();
        let StorageError::Damaged { line, why, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*line, lines + 1);
        assert!(why.contains(expected), "{why}");
        assert!(matches!(
            try_open(&copy),
            Err(StudyError::Storage(StorageError::Damaged { .. }))
        ));
    }
}

#[test]
fn records_that_come_too_late_are_left_out() {
    let (_folder, path) = new_journal(1);
    let before = load(&path);
    for late in [
        r#"{"op_code":7,"worker_id":"w","trial_id":0,"step":9,"intermediate_value":1.0}"#,
        r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":4,"values":null}"#,
        r#"{"op_code":8,"worker_id":"w","trial_id":7,"user_attr":{"k":1}}"#,
        r#"{"op_code":4,"worker_id":"w","study_id":3,"datetime_start":null}"#,
        r#"{"op_code":0,"worker_id":"w","study_name":"s","directions":[2]}"#,
        r#"{"op_code":10,"worker_id":"w"}"#,
    ] {
        append(&path, &format!("{late}\n"));
    }
    assert_eq!(load(&path), before);
}

#[test]
fn ids_count_over_all_studies_of_a_file_and_numbers_within_one() {
    let (_folder, path) = new_journal(2);
    let mut other = Study::builder("other").journal(&path).build().unwrap();
    let asked = other.ask().unwrap().unwrap();
    assert_eq!((asked.number, asked.id), (0, 2));
    let mut study = open(&path);
    let asked = study.ask().unwrap().unwrap();
    assert_eq!((asked.number, asked.id), (2, 3));
    other.tell(0, Finish::Failed).unwrap();

    let all = History::load(&path).unwrap();
    let names: Vec<&str> = all.iter().map(History::name).collect();
    assert_eq!(names, ["s", "other"]);
    assert_eq!(all[1].count(TrialState::Failed), 1);
    assert_eq!(all[0].trials()[2].id, 3);
}

#[test]
fn a_study_that_someone_deletes_takes_no_more_trials() {
    let (_folder, path) = new_journal(1);
    let mut study = open(&path);
    append(
        &path,
        "{\"op_code\":1,\"worker_id\":\"w\",\"study_id\":0}\n",
    );
    assert!(matches!(study.ask(), Err(StudyError::Deleted { .. })));
    assert!(History::load(&path).unwrap().is_empty());
    // The name is free again.
    assert!(open(&path).history().trials().is_empty());
}

#[test]
fn a_file_that_is_removed_or_replaced_is_noticed() {
    let (_folder, path) = new_journal(1);
    let mut study = open(&path);
    let before = study.history().clone();
    fs::remove_file(&path).unwrap();
    let replaced = |study: &mut Study| {
        matches!(
            study.ask(),
            Err(StudyError::Storage(StorageError::Replaced { .. }))
        )
    };
    assert!(replaced(&mut study));
    File::create(&path).unwrap();
    assert!(replaced(&mut study));
    assert_eq!(*study.history(), before);
}

#[test]
fn a_link_is_not_followed() {
    let (folder, path) = new_journal(1);
    let link = folder.path().join("link.journal");
    symlink(&path, &link).unwrap();
    assert!(matches!(
        try_open(&link),
        Err(StudyError::Storage(StorageError::Io { .. }))
    ));
    assert!(History::load(&link).is_err());
}

#[test]
#[ignore = "the process of the test below, which can't write beyond a limit"]
fn works_until_the_disk_is_full() {
    let path = std::env::var_os(JOURNAL).expect("started by the test below");
    let path = Path::new(&path);
    let mut study = open(path);
    let error = loop {
        let before = study.history().clone();
        match study.ask() {
            Ok(asked) => {
                let number = asked.unwrap().number;
                let before = study.history().clone();
                if let Err(error) = study.tell(number, Finish::Complete(vec![1.0])) {
                    assert_eq!(*study.history(), before);
                    break error;
                }
            }
            Err(error) => {
                assert_eq!(*study.history(), before);
                break error;
            }
        }
    };
    assert!(
        matches!(
            error,
            StudyError::Storage(StorageError::Io {
                action: "write",
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(load(path), *study.history());
}

#[test]
fn a_write_that_fails_at_any_byte_changes_nothing() {
    let (_folder, path) = new_journal(2);
    let length = fs::metadata(&path).unwrap().len();
    // Longer than the records of a trial, so that every place in them is met.
    for more in (0..900).step_by(23) {
        let copy = path.with_extension("full");
        fs::copy(&path, &copy).unwrap();
        let limit = format!("--fsize={}", length + more);
        let worker = Command::new("sh")
            // Without the signal, a write beyond the limit is an error.
            .args(["-c", "trap '' XFSZ; exec prlimit \"$@\"", "sh", &limit])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "works_until_the_disk_is_full"])
            .env(JOURNAL, &copy)
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&worker.stdout);
        assert!(worker.status.success(), "{more}: {output}");
        assert!(output.contains("1 passed"), "{output}");

        let history = load(&copy);
        assert!(history.finished() >= 2);
        let mut study = open(&copy);
        run_one(&mut study).unwrap();
        assert_eq!(load(&copy), *study.history());
    }
}
