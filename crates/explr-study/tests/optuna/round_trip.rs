use crate::dump::dump;
use crate::python::call;
use crate::writers::open;
use explr_study::{
    Categories, Direction, Distribution, Finish, FloatRange, History, IntRange, SearchSpace, Study,
    StudyError, StudyLock, TrialState,
};
use serde_json::{Map, Value, json};
use std::path::Path;

fn space() -> SearchSpace {
    let choices = vec![
        json!("a"),
        json!(null),
        json!(true),
        json!(3),
        json!([1, "é"]),
    ];
    SearchSpace::builder()
        .float("float", -1.0..=1.0)
        .log_float("log", 1e-5..=1e-1)
        .distribution(
            "step",
            Distribution::Float(FloatRange::new(0.0, 0.9, false, Some(0.1)).unwrap()),
        )
        .distribution(
            "int",
            Distribution::Int(IntRange::new(1, 9, false, 2).unwrap()),
        )
        .log_int("logint", 1..=1024)
        .distribution(
            "choice",
            Distribution::Categorical(Categories::new(choices).unwrap()),
        )
        .float("child", 0.0..=1.0)
        .when("float_is", ["there"])
        .fixed("float_is", "there")
        .build()
        .unwrap()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn load(path: &Path) -> History {
    let mut all = History::load(path).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn optuna_agrees_in_every_field_with_what_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = Study::builder("all sorts")
        .directions([Direction::Minimize])
        .space(space())
        .journal(&path)
        .build()
        .unwrap();
    study
        .set_attr("who", json!({"name": "Zoë \"Z\"\n"}))
        .unwrap();

    let complete = study.ask().unwrap().unwrap().number;
    study.set_trial_attr(complete, "retry", json!(2)).unwrap();
    let extra = Distribution::Int(IntRange::new(0, 5, false, 1).unwrap());
    study.suggest(complete, "extra", &extra).unwrap();
    study
        .tell(complete, Finish::Complete(vec![f64::NEG_INFINITY]))
        .unwrap();
    let pruned = study.ask().unwrap().unwrap().number;
    for (step, value) in [(0, f64::NAN), (5, f64::INFINITY), (9, 0.1)] {
        study.report(pruned, step, value).unwrap();
    }
    study.tell(pruned, Finish::Pruned).unwrap();
    let last_nan = study.ask().unwrap().unwrap().number;
    study.report(last_nan, 1, f64::NAN).unwrap();
    study.tell(last_nan, Finish::Pruned).unwrap();
    let nan = study.ask().unwrap().unwrap().number;
    study.tell(nan, Finish::Complete(vec![f64::NAN])).unwrap();
    let failed = study.ask().unwrap().unwrap().number;
    study.tell(failed, Finish::Failed).unwrap();
    study.enqueue(object(&json!({"float": 0.5}))).unwrap();
    let enqueued = study.ask().unwrap().unwrap();
    assert_eq!(enqueued.params["float"], json!(0.5));
    assert!(!enqueued.resumed);
    study.ask().unwrap().unwrap();
    study.enqueue(object(&json!({"choice": [1, "é"]}))).unwrap();

    assert_eq!(call("dump", &path, "all sorts", &[]), dump(study.history()));
    assert_eq!(dump(&load(&path)), dump(study.history()));
}

#[test]
fn optuna_reads_several_objectives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = Study::builder("two")
        .directions([Direction::Minimize, Direction::Maximize])
        .metric_names(["loss", "accuracy"])
        .space(space())
        .journal(&path)
        .build()
        .unwrap();
    for _ in 0..3 {
        let number = study.ask().unwrap().unwrap().number;
        study
            .tell(number, Finish::Complete(vec![0.5, f64::INFINITY]))
            .unwrap();
    }
    let pruned = study.ask().unwrap().unwrap().number;
    study.report(pruned, 1, 0.5).unwrap();
    study.tell(pruned, Finish::Pruned).unwrap();
    assert_eq!(call("dump", &path, "two", &[]), dump(study.history()));
}

#[test]
fn what_optuna_wrote_is_read_in_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let written = call("create", &path, "all sorts", &[]);
    let history = load(&path);
    assert_eq!(dump(&history), written);
    assert_eq!(history.count(TrialState::Waiting), 0);
    assert_eq!(history.count(TrialState::Running), 1);
}

#[test]
fn a_trial_that_python_enqueues_is_asked_for_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let space = SearchSpace::builder()
        .float("x", -10.0..=10.0)
        .int("n", 1..=4)
        .build()
        .unwrap();
    let mut study = Study::builder("s")
        .space(space)
        .journal(&path)
        .build()
        .unwrap();
    call("enqueue", &path, "s", &[r#"{"x": 3, "n": 2.0}"#]);
    call("enqueue", &path, "s", &[r#"{"x": 300}"#]);
    let asked = study.ask().unwrap().unwrap();
    assert_eq!((asked.number, asked.resumed), (0, false));
    assert_eq!(asked.params["x"], json!(3.0));
    assert_eq!(asked.params["n"], json!(2));

    // 300 is out of range: that trial fails, and a new one comes.
    assert_eq!(study.ask().unwrap().unwrap().number, 2);
    let refused = &study.history().trials()[1];
    assert_eq!(refused.state, TrialState::Failed);
    let why = refused.user_attrs["explr:refused"].as_str().unwrap();
    assert_eq!(why, "the parameter `x` can't be 300");
    assert_eq!(call("dump", &path, "s", &[]), dump(study.history()));
}

#[test]
fn python_runs_a_trial_that_is_enqueued_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let mut study = open(&path);
    study.enqueue(object(&json!({"x": 1.5}))).unwrap();
    assert_eq!(call("work", &path, "s", &["1"]), json!([0]));
    study.refresh().unwrap();
    assert_eq!(study.history().trials()[0].values, [2.25]);
}

#[test]
fn python_takes_over_an_orphan_with_its_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.journal");
    let begin = || {
        Study::builder("s")
            .space(space())
            .journal(&path)
            .build()
            .unwrap()
    };
    let asked = begin().ask().unwrap().unwrap();

    let mut next = begin();
    let lock = StudyLock::take(&path).unwrap();
    assert_eq!(next.release_orphans(&lock).unwrap(), [0]);
    let taken = call("ask", &path, "s", &[]);
    assert_eq!(taken["number"], 0);
    for (name, value) in taken["params"].as_object().unwrap() {
        assert_eq!(*value, asked.params[name], "{name}");
    }

    // It is Python's now, and stays so.
    assert_eq!(next.release_orphans(&lock).unwrap(), [0; 0]);
    assert_eq!(next.ask().unwrap().unwrap().number, 1);
    assert_eq!(next.fail_stale(jiff::Timestamp::now()).unwrap(), [0]);
    assert!(matches!(
        next.tell(0, Finish::Failed),
        Err(StudyError::NotRunning { number: 0, .. })
    ));
    assert_eq!(call("dump", &path, "s", &[]), dump(next.history()));
}
