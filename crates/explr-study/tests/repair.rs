//! A damaged journal is repaired, and no trial becomes another.
#![allow(clippy::unwrap_used, reason = "tests")]

use explr_study::{Finish, History, SearchSpace, StorageError, Study, Trial, TrialState, repair};
use std::fs;
use std::path::{Path, PathBuf};

/// Two trials at a time, so that their records are mixed.
fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("s.journal");
    let space = SearchSpace::builder()
        .float("x", -10.0..=10.0)
        .build()
        .unwrap();
    let study = Study::builder("s").space(space).journal(&path).build();
    let mut study = study.unwrap();
    for _ in 0..3 {
        let two = [(); 2].map(|()| study.ask().unwrap().unwrap());
        for asked in &two {
            study
                .set_trial_attr(asked.number, "run", asked.number.into())
                .unwrap();
        }
        for asked in &two {
            let x = asked.params["x"].as_f64().unwrap();
            study.report(asked.number, 1, x).unwrap();
            study.tell(asked.number, Finish::Complete(vec![x])).unwrap();
        }
    }
    path
}

fn load(path: &Path) -> History {
    History::load(path).unwrap().remove(0)
}

/// What is known of a trial is its own.
fn is_consistent(trial: &Trial) -> bool {
    let x = trial.param("x").and_then(|x| x.as_f64());
    let run = trial.user_attrs.get("run");
    run.is_none_or(|run| *run == trial.number) && trial.values.iter().all(|value| Some(*value) == x)
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

#[test]
fn any_line_may_be_damaged_but_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let whole = lines(&path);
    let before = load(&path);
    for damaged in 1..whole.len() {
        let mut text = whole.clone();
        text[damaged] = "\0\0garbage\n".to_owned();
        fs::write(&path, text.concat()).unwrap();
        match History::load(&path).unwrap_err() {
            StorageError::Damaged { line, .. } => assert_eq!(line, damaged as u64 + 1),
            other => panic!("{other}"),
        }
        let report = repair(&path).unwrap();
        assert_eq!(report.dropped[0].line, damaged as u64 + 1);
        assert_eq!(report.kept, whole.len() as u64 - 1);
        let is_new = whole[damaged].starts_with("{\"op_code\":4,");
        assert_eq!(report.lost_trials, u64::from(is_new));
        let original = report.original.unwrap();
        assert_eq!(fs::read_to_string(&original).unwrap(), text.concat());
        fs::remove_file(original).unwrap();
        let after = load(&path);
        assert_eq!(after.trials().len(), before.trials().len());
        assert!(after.trials().iter().all(is_consistent), "line {damaged}");
        let changed = after.trials().iter().zip(before.trials());
        let changed = changed.filter(|(new, old)| new != old).count();
        assert!(changed <= 1, "line {damaged}: {changed}");
        let failed = after.count(TrialState::Failed);
        assert_eq!(failed, usize::from(is_new));
        assert_eq!(repair(&path).unwrap().original, None);
    }
}

#[test]
fn two_damages_are_told_apart_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let whole = lines(&path);
    let mut refused = 0;
    for first in 1..whole.len() {
        for second in first + 1..whole.len() {
            let mut text = whole.clone();
            text[first] = "garbage\n".to_owned();
            let half = text[second].len() / 2;
            text[second].replace_range(half.., "\n");
            fs::write(&path, text.concat()).unwrap();
            match repair(&path) {
                Ok(report) => {
                    fs::remove_file(report.original.unwrap()).unwrap();
                    let after = load(&path);
                    assert!(
                        after.trials().iter().all(is_consistent),
                        "{first}, {second}"
                    );
                }
                Err(StorageError::Unrepairable { .. }) => {
                    refused += 1;
                    assert_eq!(fs::read_to_string(&path).unwrap(), text.concat());
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(refused > 0 && refused < whole.len() * whole.len() / 4);
}

#[test]
fn without_the_beginning_of_the_study_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let text = lines(&path)[1..].concat();
    fs::write(&path, format!("garbage\n{text}")).unwrap();
    let error = repair(&path).unwrap_err();
    assert!(error.to_string().contains("begins the study"), "{error}");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("garbage\n{text}")
    );
}
