//! A study and its trials in the real MLflow, read back with its own client.
//! A missing `.venv` is a failure: run `make setup`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]

#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use explr::store::{RunId, StudyRef, StudyRole};
use explr_protocol::{Direction, Event, Failure, FailureClass, RunState, TrainingResult};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{LIMIT, TestRun, TestStore, go_on, python, seen_once, shared};

/// The run of a study, in an experiment of the same name.
fn new_study(store: &TestStore, name: &str) -> TestRun {
    store.new_run_with(name, |manifest| {
        manifest.study = Some(StudyRef {
            study: name.to_owned(),
            role: StudyRole::Study,
        });
    })
}

/// A trial that hasn't begun.
fn new_trial(store: &TestStore, name: &str, study: &TestRun, number: u64) -> TestRun {
    let parent: RunId = study.run.id().clone();
    store.new_run_with(name, |manifest| {
        manifest.study = Some(StudyRef {
            study: name.to_owned(),
            role: StudyRole::Trial { number, parent },
        });
    })
}

/// Five parameters, two reports and three metrics.
fn log_trial(run: &mut TestRun, number: u64) {
    run.state(RunState::Created);
    for n in 0..5 {
        run.param(&format!("p{n}"), json!(number * 10 + n));
    }
    run.state(RunState::Running);
    for step in 0..2 {
        let value = number as f64 + step as f64 / 2.0;
        run.log(Event::Report { step, value });
        run.metric("loss", value, step);
    }
    run.metric("acc", 0.5, 1);
}

fn complete(run: &mut TestRun, value: f64) {
    run.log(Event::Result(TrainingResult {
        primary_metric: value,
        primary_metric_name: "loss".into(),
        direction: Direction::Minimize,
        metrics: BTreeMap::new(),
        best_model_path: None,
        epochs_completed: Some(2),
        stopped_early: false,
    }));
    run.state(RunState::Completed);
    run.lock = None;
}

fn fail(run: &mut TestRun, state: RunState) {
    run.log(Event::State {
        state,
        attempt: 1,
        failure: Some(Failure {
            class: FailureClass::Signal,
            message: "killed".into(),
            location: None,
            log_tail: vec![],
        }),
    });
    run.lock = None;
}

const CHILDREN: &str = r#"
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiments = [e.experiment_id for e in client.search_experiments()]
out = []
token = None
while True:
    page = client.search_runs(experiments, f"tags.mlflow.parentRunId = '{sys.argv[2]}'",
                              max_results=1000, page_token=token)
    out += [{"id": r.info.run_id, "name": r.info.run_name, "status": r.info.status,
             "params": r.data.params, "metrics": r.data.metrics, "tags": r.data.tags,
             "end": r.info.end_time} for r in page]
    token = page.token
    if not token:
        break
print(json.dumps(out))
"#;

/// What MLflow nests under a run, by trial number. No number is there twice.
fn children(url: &str, parent: &str) -> BTreeMap<u64, Value> {
    let answer: Value = serde_json::from_str(&python(&["-c", CHILDREN, url, parent])).unwrap();
    let mut found = BTreeMap::new();
    for child in answer.as_array().unwrap() {
        let number = child["tags"]["explr.trial.number"].as_str().unwrap();
        let number = number.parse().unwrap();
        assert!(
            found.insert(number, child.clone()).is_none(),
            "trial {number} is there twice"
        );
    }
    found
}

/// Changes a run with MLflow's client.
fn with_client(url: &str, call: &str) {
    let code = format!("from mlflow import MlflowClient; MlflowClient('{url}').{call}");
    python(&["-c", &code]);
}

#[test]
fn trials_are_nested_under_their_study_with_all_they_logged() {
    let store = shared();
    let name = "nested";
    let mut study = new_study(&store, name);
    let shipper = store.shipper(&study);
    study.state(RunState::Running);
    let ends = [
        RunState::Completed,
        RunState::Failed,
        RunState::Interrupted,
        RunState::Completed,
    ];
    let mut trials = Vec::new();
    for (number, end) in (0..).zip(ends) {
        let mut trial = new_trial(&store, name, &study, number);
        shipper.add(trial.run.clone());
        log_trial(&mut trial, number);
        match end {
            RunState::Completed => complete(&mut trial, number as f64),
            other => fail(&mut trial, other),
        }
        study.metric("best_value", 0.0, number as i64);
        study.tag("best.p0", "0");
        trials.push(trial);
    }
    study.artifact("report.html", b"<html>");
    study.state(RunState::Completed);
    let report = shipper.finish(LIMIT, go_on);
    assert_eq!((report.left, report.set_aside, report.error), (0, 0, None));

    let url = store.server();
    let parent = seen_once(&url, &study);
    parent.assert_metrics_of(&study);
    assert_eq!(parent.name, "nested");
    assert_eq!(parent.status, "FINISHED");
    assert_eq!(parent.tags["explr.study"], "nested");
    assert_eq!(parent.tags["explr.kind"], "study");
    assert_eq!(parent.tags["best.p0"], "0");
    assert!(parent.tags.contains_key("mlflow.note.content"));
    assert!(!parent.tags.contains_key("explr.trial.state"));
    assert!(parent.artifacts.contains_key("report.html"));
    assert!(report.run_url.unwrap().contains(&parent.id));

    let children = children(&url, &parent.id);
    assert_eq!(children.len(), 4);
    for ((number, child), end) in children.iter().zip(ends) {
        let status = match end {
            RunState::Completed => "FINISHED",
            RunState::Failed => "FAILED",
            _ => "KILLED",
        };
        assert_eq!(child["status"], status);
        assert_eq!(child["name"], format!("trial {number}"));
        assert_eq!(child["tags"]["explr.study"], "nested");
        assert_eq!(child["tags"]["explr.trial.state"], end.as_str());
        assert_eq!(child["tags"].get("mlflow.note.content"), None);
        assert_eq!(child["params"]["p3"], (number * 10 + 3).to_string());
        assert_eq!(child["metrics"]["intermediate_value"], *number as f64 + 0.5);
        assert!(child["end"].is_u64());
    }
    for trial in &trials {
        seen_once(&url, trial).assert_metrics_of(trial);
    }
}

#[test]
fn trials_are_there_while_they_run_and_stay_when_they_go_on() {
    let store = shared();
    let name = "live";
    let url = store.server();
    let mut study = new_study(&store, name);
    study.state(RunState::Running);
    let shipper = store.shipper(&study);
    let mut trial = new_trial(&store, name, &study, 0);
    shipper.add(trial.run.clone());
    log_trial(&mut trial, 0);
    let wait_for = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(parent) = support::seen(&url, study.uuid()).first()
                && let Some(child) = children(&url, &parent.id).get(&0)
                && is_so(child)
            {
                break child["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "never {what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let id = wait_for("running with its parameters", &|child| {
        child["status"] == "RUNNING"
            && child["tags"]["explr.trial.state"] == "running"
            && child["params"]["p0"] == "0"
    });
    fail(&mut trial, RunState::Interrupted);
    wait_for("interrupted", &|child| {
        child["status"] == "KILLED" && child["tags"]["explr.trial.state"] == "interrupted"
    });
    // Long enough for the shipper to be done with it.
    std::thread::sleep(Duration::from_secs(2));

    trial.lock = Some(trial.run.lock().unwrap());
    shipper.add(trial.run.clone());
    let (state, attempt, failure) = (RunState::Running, 2, None);
    trial.log(Event::State {
        state,
        attempt,
        failure,
    });
    let again = wait_for("running again", &|child| child["status"] == "RUNNING");
    assert_eq!(again, id);
    trial.metric("loss", 0.25, 7);
    trial.log(Event::State {
        state: RunState::Completed,
        attempt: 2,
        failure: None,
    });
    trial.lock = None;
    study.state(RunState::Completed);
    let report = shipper.finish(LIMIT, go_on);
    assert_eq!((report.left, report.error), (0, None));
    let seen = seen_once(&url, &trial);
    seen.assert_metrics_of(&trial);
    assert_eq!((seen.id, &*seen.status), (id, "FINISHED"));
    assert!(!seen.tags.contains_key("explr.failure"));
}

#[test]
fn a_trial_that_is_brought_alone_brings_its_study_s_run_along() {
    let store = shared();
    let name = "alone";
    let mut study = new_study(&store, name);
    study.state(RunState::Running);
    study.metric("best_value", 1.0, 0);
    let mut trial = new_trial(&store, name, &study, 0);
    log_trial(&mut trial, 0);
    complete(&mut trial, 1.0);
    assert_eq!(store.sync(&trial).left, 0);
    let url = store.server();
    let parent = seen_once(&url, &study);
    assert_eq!(children(&url, &parent.id).len(), 1);
    assert!(parent.points.is_empty(), "the rest is for its own sync");

    study.state(RunState::Completed);
    assert_eq!(store.sync(&study).left, 0);
    let whole = seen_once(&url, &study);
    assert_eq!((&whole.id, &*whole.status), (&parent.id, "FINISHED"));
    whole.assert_metrics_of(&study);
}

#[test]
fn a_deleted_study_comes_back_with_its_trials_under_it() {
    let store = shared();
    let name = "deleted study";
    let url = store.server();
    let mut study = new_study(&store, name);
    study.state(RunState::Running);
    let finish_trial = |number| {
        let mut trial = new_trial(&store, name, &study, number);
        log_trial(&mut trial, number);
        complete(&mut trial, 1.0);
        assert_eq!(store.sync(&trial).left, 0);
        trial
    };
    let first = finish_trial(0);
    let parent = seen_once(&url, &study);
    with_client(&url, &format!("delete_run('{}')", parent.id));
    finish_trial(1);
    let restored = seen_once(&url, &study);
    assert_eq!(restored.id, parent.id);
    assert_eq!(children(&url, &parent.id).len(), 2);

    // Gone for good, as after `mlflow gc`.
    let database = store.store.mlflow_dir().join("mlflow.db");
    let purge = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                 tables = [row[0] for row in db.execute(\"select m.name from sqlite_master m \
                 join pragma_table_info(m.name) p where m.type = 'table' and \
                 p.name = 'run_uuid'\")]; \
                 [db.execute(f'delete from \"{t}\" where run_uuid = ?', (sys.argv[2],)) \
                 for t in tables]; db.commit()";
    python(&["-c", purge, database.to_str().unwrap(), &parent.id]);
    finish_trial(2);
    let new = seen_once(&url, &study);
    assert_ne!(new.id, parent.id);
    // The others follow when they are looked after.
    assert_eq!(store.sync(&first).left, 0);
    let found: Vec<_> = children(&url, &new.id).into_keys().collect();
    assert_eq!(found, [0, 2]);
}

#[test]
fn a_study_whose_trial_outlives_it_in_the_store_is_no_obstacle() {
    let store = shared();
    let mut study = new_study(&store, "removed");
    study.state(RunState::Running);
    let mut trial = new_trial(&store, "removed", &study, 0);
    log_trial(&mut trial, 0);
    complete(&mut trial, 1.0);
    std::fs::remove_dir_all(study.run.path()).unwrap();
    assert_eq!(store.sync(&trial).left, 0);
    let seen = seen_once(&store.server(), &trial);
    seen.assert_metrics_of(&trial);
    assert!(!seen.tags.contains_key("mlflow.parentRunId"));
}

#[test]
fn a_trial_that_can_t_be_read_holds_up_nobody() {
    let store = shared();
    let name = "damaged";
    let mut study = new_study(&store, name);
    let shipper = store.shipper(&study);
    study.state(RunState::Running);
    let mut trials: Vec<_> = (0..3)
        .map(|number| {
            let mut trial = new_trial(&store, name, &study, number);
            log_trial(&mut trial, number);
            complete(&mut trial, 1.0);
            trial
        })
        .collect();
    let path = trials[1].run.journal_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"seq\":3", "\"seq\":oops", 1)).unwrap();
    for trial in &trials {
        shipper.add(trial.run.clone());
    }
    study.state(RunState::Completed);
    let report = shipper.finish(LIMIT, go_on);
    assert!(report.left > 0);
    let error = report.error.unwrap();
    assert!(error.contains(trials[1].run.id().short()), "{error}");
    let url = store.server();
    trials.remove(1);
    for trial in &trials {
        let seen = seen_once(&url, trial);
        seen.assert_metrics_of(trial);
        assert_eq!(seen.status, "FINISHED");
    }
}

#[test]
fn two_hundred_trials_end_equal_to_their_journals_through_every_kill() {
    let store = TestStore::new();
    let name = "many";
    let url = store.server();
    let mut study = new_study(&store, name);
    study.state(RunState::Running);
    // More than are open at once, in a process that is gone half-way.
    let mut trials = Vec::new();
    for number in 0..200 {
        let mut trial = new_trial(&store, name, &study, number);
        log_trial(&mut trial, number);
        complete(&mut trial, number as f64);
        trials.push(trial);
    }
    let sync = || {
        Command::new(env!("CARGO_BIN_EXE_explr"))
            .arg("sync")
            .arg("--store")
            .arg(store.store.root())
            .current_dir(store.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut killed = 0;
    for round in 0..5 {
        let mut sync = sync();
        std::thread::sleep(Duration::from_millis(150 + 170 * round));
        killed += u32::from(sync.try_wait().unwrap().is_none());
        sync.kill().unwrap();
        sync.wait().unwrap();
    }
    assert!(killed > 0, "no process was killed while it shipped");
    // A shipper that is dropped, and the next one, which is told of half.
    let shipper = store.shipper(&study);
    for trial in &trials {
        shipper.add(trial.run.clone());
    }
    std::thread::sleep(Duration::from_millis(700));
    drop(shipper);
    let shipper = store.shipper(&study);
    for trial in trials.iter().step_by(2) {
        shipper.add(trial.run.clone());
    }
    study.state(RunState::Completed);
    let report = shipper.finish(LIMIT, go_on);
    assert_eq!((report.left, report.set_aside, report.error), (0, 0, None));

    let parent = seen_once(&url, &study);
    let children = children(&url, &parent.id);
    assert_eq!(children.len(), 200);
    let ids: BTreeSet<_> = children
        .values()
        .map(|child| child["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 200);
    for (number, child) in &children {
        assert_eq!(child["status"], "FINISHED");
        assert_eq!(child["tags"]["explr.trial.state"], "completed");
        let (params, metrics) = (&child["params"], &child["metrics"]);
        for n in 0..5 {
            assert_eq!(params[format!("p{n}")], (number * 10 + n).to_string());
        }
        let latest = *number as f64 + 0.5;
        assert_eq!(
            *metrics,
            json!({
                "loss": latest,
                "intermediate_value": latest,
                "acc": 0.5,
                "result/loss": *number as f64,
            })
        );
    }
    for trial in trials.iter().step_by(50) {
        seen_once(&url, trial).assert_metrics_of(trial);
    }
}
