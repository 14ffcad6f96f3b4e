use crate::dump::dump;
use crate::python::call;
use crate::writers::open;
use explr_study::{Finish, History, StudyLock, TrialState};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const JOURNAL: &str = "EXPLR_TEST_JOURNAL";

#[test]
#[ignore = "the process that the test below kills"]
fn works_until_it_is_killed() {
    let path = std::env::var_os(JOURNAL).expect("started by the test below");
    let path = Path::new(&path);
    let lock = StudyLock::take(path).unwrap();
    let mut study = open(path);
    study.release_orphans(&lock).unwrap();
    loop {
        let asked = study.ask().unwrap().unwrap();
        for step in 0..3 {
            study.report(asked.number, step, 1.0).unwrap();
        }
        study
            .tell(asked.number, Finish::Complete(vec![0.5]))
            .unwrap();
    }
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut before: Option<History> = None;
    for round in 0..50_u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "kills::works_until_it_is_killed"])
            .env(JOURNAL, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Moments that fall into start-up, creation, reports and ends.
        std::thread::sleep(Duration::from_micros(3_000 + round * 7_919 % 60_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        if !path.exists() {
            continue;
        }

        let mut all = History::load(&path).unwrap();
        let Some(history) = all.pop() else { continue };
        assert!(history.count(TrialState::Running) <= 1);
        assert_eq!(history.count(TrialState::Failed), 0);
        for old in before.iter().flat_map(History::trials) {
            let new = &history.trials()[usize::try_from(old.number).unwrap()];
            if old.state.is_finished() {
                assert_eq!(new, old, "a finished trial never changes");
            }
            assert_eq!(new.params, old.params, "parameters are kept");
        }
        before = Some(history);
    }
    let history = before.expect("some rounds got that far");
    assert!(history.finished() > 0);
    assert_eq!(call("dump", &path, "s", &[]), dump(&history));
}
