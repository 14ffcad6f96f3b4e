//! A study that goes on in another process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use explr_study::{
    Asked, Direction, Finish, SearchSpace, SpaceBuilder, Study, StudyBuilder, StudyError,
    StudyLock, TrialState,
};
use serde_json::json;
use std::path::Path;

fn space() -> SpaceBuilder {
    SearchSpace::builder()
        .log_float("lr", 1e-5..=1e-1)
        .int("layers", 1..=4)
        .categorical("optimizer", ["sgd", "adam"])
        .float("momentum", 0.0..=0.99)
        .when("optimizer", ["sgd"])
        .fixed("epochs", 3)
}

fn builder(path: &Path, space: SpaceBuilder) -> StudyBuilder {
    Study::builder("s")
        .space(space.build().unwrap())
        .seed(5)
        .journal(path)
}

fn open(path: &Path) -> Study {
    builder(path, space()).build().unwrap()
}

fn differences(builder: StudyBuilder) -> (Vec<String>, bool) {
    match builder.build() {
        Err(StudyError::Differs {
            differences,
            forceable,
            ..
        }) => (differences, forceable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_study_goes_on_as_if_it_had_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.journal");
    let parts = folder.path().join("parts.journal");
    let step = |study: &mut Study| -> Asked {
        let asked = study.ask().unwrap().unwrap();
        let loss = asked.params["lr"].as_f64().unwrap();
        study
            .tell(asked.number, Finish::Complete(vec![loss]))
            .unwrap();
        asked
    };
    let mut study = open(&whole);
    let at_once: Vec<Asked> = (0..12).map(|_| step(&mut study)).collect();
    let in_parts: Vec<Asked> = (0..12).map(|_| step(&mut open(&parts))).collect();
    assert_eq!(at_once, in_parts);
    let mut in_memory = Study::builder("s")
        .space(space().build().unwrap())
        .seed(5)
        .build()
        .unwrap();
    let in_memory: Vec<Asked> = (0..12).map(|_| step(&mut in_memory)).collect();
    assert_eq!(at_once, in_memory);
}

#[test]
fn an_interrupted_trial_is_handed_out_again_with_its_parameters_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = open(&path);
    let first = study.ask().unwrap().unwrap();
    study.report(first.number, 1, 0.5).unwrap();
    drop(study);

    let lock = StudyLock::take(&path).unwrap();
    let mut study = open(&path);
    assert_eq!(study.release_orphans(&lock).unwrap(), [0]);
    study.set_trial_attr(0, "retry", json!(1)).unwrap();
    let again = study.ask().unwrap().unwrap();
    assert!(!first.resumed && again.resumed);
    assert_eq!(
        again,
        Asked {
            resumed: true,
            ..first
        }
    );
    // What runs here is no orphan.
    assert!(study.release_orphans(&lock).unwrap().is_empty());
    study.tell(0, Finish::Complete(vec![1.0])).unwrap();
    assert_eq!(
        study.history().trials()[0].intermediate[&1].to_bits(),
        0.5_f64.to_bits()
    );
    assert_eq!(study.ask().unwrap().unwrap().number, 1);
    assert_eq!(study.history().finished(), 1);
}

#[test]
fn a_released_trial_can_not_be_told_until_it_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(&folder.path().join("s.journal"));
    study.ask().unwrap();
    study.release(0).unwrap();
    assert!(matches!(
        study.tell(0, Finish::Failed),
        Err(StudyError::NotRunning {
            number: 0,
            state: TrialState::Waiting
        })
    ));
    assert!(study.report(0, 1, 1.0).is_err());
    assert!(study.ask().unwrap().unwrap().resumed);
}

#[test]
fn what_differs_is_said_and_needs_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    drop(open(&path));
    let changed = || {
        SearchSpace::builder()
            .log_float("lr", 1e-5..=2e-1)
            .categorical("optimizer", ["sgd", "adam"])
            .float("momentum", 0.0..=0.99)
            .float("decay", 0.0..=1.0)
            .fixed("epochs", 5)
    };
    assert_eq!(
        differences(builder(&path, changed())),
        (
            [
                "lr: high was 0.1 and is 0.2",
                "momentum: it was there when optimizer is sgd and is there always",
                "the parameter decay is new",
                "epochs: it was 3 and is 5",
                "the parameter layers is gone",
            ]
            .map(str::to_owned)
            .to_vec(),
            true
        )
    );
    let forced = builder(&path, changed()).force().build().unwrap();
    assert_eq!(forced.changes().len(), 5);
    drop(forced);
    // The new settings are the study's now.
    let again = builder(&path, changed()).build().unwrap();
    assert!(again.changes().is_empty());
}

#[test]
fn sampler_pruner_and_seed_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    drop(open(&path));
    let study = builder(&path, space()).seed(6).build().unwrap();
    assert_eq!(study.changes(), ["the seed was 5 and is 6"]);
}

#[test]
fn what_optuna_refuses_can_not_be_forced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    open(&path).ask().unwrap();
    let choices = SearchSpace::builder()
        .float("lr", 1e-5..=1e-1)
        .categorical("optimizer", ["sgd", "adam", "lion"]);
    let (lines, forceable) = differences(builder(&path, choices).force());
    assert!(!forceable);
    assert_eq!(
        lines[..2],
        [
            "lr: log was true and is false",
            r#"optimizer: choices were ["sgd","adam"] and are ["sgd","adam","lion"]"#,
        ]
    );
    let (lines, forceable) = differences(
        builder(&path, space())
            .directions([Direction::Maximize])
            .force(),
    );
    assert!(!forceable);
    assert_eq!(lines, ["the objective was minimised and is maximised"]);
}

#[test]
fn an_interrupted_trial_keeps_parameters_that_new_bounds_exclude() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let one = |high| SearchSpace::builder().float("x", 0.0..=high);
    let mut study = builder(&path, one(1000.0)).build().unwrap();
    let first = study.ask().unwrap().unwrap();
    study.release(0).unwrap();
    drop(study);
    let mut study = builder(&path, one(1e-9)).force().build().unwrap();
    assert_eq!(study.ask().unwrap().unwrap().params, first.params);
    assert!(study.ask().unwrap().unwrap().params["x"].as_f64().unwrap() <= 1e-9);
}

#[test]
fn nothing_that_can_not_be_is_enqueued() {
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(&folder.path().join("s.journal"));
    for wrong in [
        json!({"lr": 1}),
        json!({"layers": 2.5}),
        json!({"optimizer": "lion"}),
        json!({"epochs": 4}),
    ] {
        let params = wrong.as_object().unwrap().clone();
        assert!(matches!(
            study.enqueue(params),
            Err(StudyError::NotAllowed { .. })
        ));
    }
    assert!(study.history().trials().is_empty());
}
