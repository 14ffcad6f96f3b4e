use crate::python::{answer, start};
use explr_study::{Finish, History, SearchSpace, Study, TrialState};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn open(path: &Path) -> Study {
    let space = SearchSpace::builder()
        .float("x", -10.0..=10.0)
        .build()
        .unwrap();
    Study::builder("s")
        .space(space)
        .journal(path)
        .build()
        .unwrap()
}

#[test]
fn writers_of_both_kinds_lose_nothing_and_number_uniquely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = open(&path);
    let others = [(); 2].map(|()| start("work", &path, "s", &["60"]));
    // Python starts slowly.
    let begin = Instant::now();
    while study.history().trials().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no trials");
        std::thread::sleep(Duration::from_millis(10));
        study.refresh().unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..80 {
        let asked = study.ask().unwrap().unwrap();
        let x = asked.params["x"].as_f64().unwrap();
        study.report(asked.number, 1, x).unwrap();
        study
            .tell(asked.number, Finish::Complete(vec![x * x]))
            .unwrap();
        numbers.push(asked.number);
    }
    for other in others {
        let answer = answer(other);
        numbers.extend(
            answer
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_u64().unwrap()),
        );
    }
    assert_eq!(numbers.len(), 200);
    let unique: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(unique, (0..200).collect());

    let history = History::load(&path).unwrap().remove(0);
    assert_eq!(history.trials().len(), 200);
    for trial in history.trials() {
        assert_eq!(trial.state, TrialState::Complete);
        let x = trial.params["x"].internal;
        assert_eq!(trial.values, [x * x]);
        assert_eq!(trial.last_report(), Some((1, x)));
    }
    study.refresh().unwrap();
    assert_eq!(*study.history(), history);
}
