//! Tracking against a server that does what a real one can't be made to do.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

#[path = "tracking/fake.rs"]
mod fake;
#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use explr::config::Mlflow;
use explr::store::{StudyRef, StudyRole};
use explr::tracking::{Report, ServerStatus};
use explr_protocol::{Direction, Event, RunState, TrainingResult};
use fake::{Fake, Fault, Request};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::{TestRun, TestStore};

const LONG: Duration = Duration::from_mins(1);

/// A store that ships to the fake.
fn store_for(fake: &Fake) -> TestStore {
    let mut store = TestStore::new();
    store.config = Mlflow {
        tracking_uri: Some(fake.url.clone()),
        ..Mlflow::default()
    };
    store
}

/// A finished run with this many metrics.
fn finished_run(store: &TestStore, metrics: i64) -> TestRun {
    let mut run = store.new_run("faults");
    run.state(RunState::Running);
    for step in 0..metrics {
        run.metric("loss", step as f64, step);
    }
    run.state(RunState::Completed);
    run
}

/// Ships 1500 metrics past the fault, and checks that all of it arrived.
fn ship_past(decide: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> (Fake, Report) {
    let fake = Fake::new(decide);
    let store = store_for(&fake);
    let report = store
        .shipper(&finished_run(&store, 1500))
        .finish(LONG, support::go_on);
    assert_eq!((report.left, &report.error), (0, &None));
    assert_eq!(fake.stored().status.as_deref(), Some("FINISHED"));
    (fake, report)
}

#[test]
fn a_server_that_stumbles_gets_the_same_bytes_again() {
    let (fake, report) = ship_past(|request| {
        (request.is("runs/log-batch") && request.nth < 2).then_some(Fault::Answer(
            500,
            "",
            "<html>oops</html>",
        ))
    });
    assert_eq!(report.set_aside, 0);
    assert_eq!(fake.stored().metrics.len(), 1500);
    let bodies = fake.bodies("runs/log-batch");
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
}

#[test]
fn an_answer_that_is_lost_doubles_nothing() {
    let (fake, _) = ship_past(|request| {
        let first = request.nth == 0;
        (first && (request.is("runs/create") || request.is("runs/log-batch")))
            .then_some(Fault::CutAfter)
    });
    let stored = fake.stored();
    assert_eq!(
        stored.runs.len(),
        1,
        "one run, although its creation was cut off"
    );
    assert_eq!(stored.metrics.len(), 1500);
}

#[test]
fn a_busy_server_is_given_the_time_it_asks_for() {
    let (fake, report) = ship_past(|request| {
        (request.is("runs/log-batch") && request.nth == 0).then_some(Fault::Answer(
            429,
            "Retry-After: 1\r\n",
            "slow down",
        ))
    });
    assert_eq!(report.set_aside, 0);
    assert_eq!(fake.stored().metrics.len(), 1500);
}

#[test]
fn what_the_server_refuses_is_set_aside_alone() {
    let refuse = |request: &Request| {
        (request.is("runs/log-batch") && request.text().contains("\"value\":777.0")).then_some(
            Fault::Answer(
                400,
                "",
                r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}"#,
            ),
        )
    };
    let (fake, report) = ship_past(refuse);
    assert_eq!(report.set_aside, 1);
    assert_eq!(fake.stored().metrics.len(), 1499);
}

#[test]
fn what_makes_the_server_stumble_for_ever_is_set_aside_alone() {
    let stumble = |request: &Request| {
        (request.is("runs/log-batch") && request.text().contains("\"value\":777.0"))
            .then_some(Fault::Answer(500, "", "<html>"))
    };
    let (fake, report) = ship_past(stumble);
    assert_eq!(report.set_aside, 1);
    assert_eq!(fake.stored().metrics.len(), 1499);
}

#[test]
fn what_was_set_aside_can_be_read() {
    let fake = Fake::new(|request| {
        (request.is("runs/log-batch") && request.text().contains("poison")).then_some(
            Fault::Answer(
                400,
                "",
                r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"not that"}"#,
            ),
        )
    });
    let store = store_for(&fake);
    let mut run = finished_run(&store, 3);
    run.param("poison", json!("x"));
    run.param("food", json!("y"));
    let report = store.ship(&run);
    assert_eq!((report.left, report.set_aside), (0, 1));
    let text = std::fs::read_to_string(run.run.path().join("mlflow-rejected.jsonl")).unwrap();
    assert!(
        text.contains("not that") && text.contains("poison"),
        "{text}"
    );
    assert!(!text.contains("food"), "{text}");
    assert_eq!(fake.stored().params.len(), 1);
}

#[test]
fn another_program_at_the_address_loses_nothing() {
    for (status, headers) in [
        (404, ""),
        (403, ""),
        (302, "Location: http://example.invalid/\r\n"),
        (200, ""),
    ] {
        let fake = Fake::new(move |_| Some(Fault::Answer(status, headers, "<html>Welcome")));
        let store = store_for(&fake);
        let run = finished_run(&store, 10);
        let report = store
            .shipper(&run)
            .finish(Duration::from_secs(2), support::go_on);
        assert_eq!((report.left, report.set_aside), (12, 0), "{status}");
        assert!(report.error.is_some(), "{status}");
    }
}

#[test]
fn a_server_that_hangs_holds_up_nobody() {
    let fake = Fake::new(|request| request.is("runs/log-batch").then_some(Fault::Hang));
    let store = store_for(&fake);
    let mut run = store.new_run("hangs");
    let shipper = store.shipper(&run);
    for step in 0..50_000 {
        run.metric("loss", 0.5, step);
    }
    let limit = Duration::from_millis(500);
    let before = Instant::now();
    let report = shipper.finish(limit, support::go_on);
    assert!(before.elapsed() >= limit);
    assert!(report.left > 0);
    assert!(report.error.is_some());
}

#[test]
fn a_server_that_is_not_there_is_reported() {
    let store = {
        let fake_url = format!("http://127.0.0.1:{}", support::free_port());
        let mut store = TestStore::new();
        store.config.tracking_uri = Some(fake_url);
        store
    };
    let run = finished_run(&store, 10);
    let shipper = store.shipper(&run);
    let mut down = false;
    let report = shipper.finish(Duration::from_secs(3), |status| {
        down |= matches!(status.server, ServerStatus::Down { .. });
        support::go_on(status)
    });
    assert!(down);
    assert_eq!(report.left, 12);
}

#[test]
fn many_metrics_make_few_requests() {
    let fake = Fake::new(|_| None);
    let store = store_for(&fake);
    let mut run = store.new_run("trickle");
    let shipper = store.shipper(&run);
    for step in 0..300 {
        run.metric("loss", 0.5, step);
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = shipper.finish(LONG, support::go_on);
    assert_eq!(report.left, 0);
    assert_eq!(fake.stored().metrics.len(), 300);
    let requests = fake.bodies("runs/log-batch").len();
    assert!(requests < 10, "{requests} requests for 300 metrics");
}

#[test]
fn credentials_go_to_the_server_and_nowhere_else() {
    let fake = Fake::new(|_| None);
    let mut store = store_for(&fake);
    store.config.tracking_uri = Some(fake.url.replace("http://", "http://ada:s3cret@"));
    let run = finished_run(&store, 1);
    let report = store.ship(&run);
    assert_eq!(report.left, 0);
    // ada:s3cret in base 64.
    let signed = fake.stored().requests.iter().all(|request| {
        request.headers.get("authorization").map(String::as_str) == Some("Basic YWRhOnMzY3JldA==")
    });
    assert!(signed);
    assert!(!report.run_url.unwrap().contains("s3cret"));
    let cursor = std::fs::read_to_string(run.run.mlflow_path()).unwrap();
    assert!(!cursor.contains("s3cret"), "{cursor}");
    assert!(
        !format!("{:?}", store.settings())
            .replace("s3cret@", "")
            .contains("s3cret")
    );
}

#[test]
fn a_file_is_sent_once_and_none_from_outside() {
    let fake = Fake::new(|_| None);
    let store = store_for(&fake);
    let mut run = store.new_run("files");
    run.artifact("a/one.txt", b"one");
    let outside = store.path().join("secret");
    std::fs::write(&outside, "secret").unwrap();
    std::os::unix::fs::symlink(&outside, run.run.artifact_dir().join("a/link")).unwrap();
    run.log(explr_protocol::Event::Artifact { path: "a".into() });
    run.log(explr_protocol::Event::Artifact {
        path: "../run.json".into(),
    });
    run.log(explr_protocol::Event::Artifact {
        path: "gone.txt".into(),
    });
    let report = store.ship(&run);
    assert_eq!((report.left, report.set_aside), (0, 3));
    let stored = fake.stored();
    let names: Vec<_> = stored.files.keys().collect();
    assert_eq!(names, ["1/run0/artifacts/a/one.txt"]);
    let uploads = stored
        .requests
        .iter()
        .filter(|request| request.path.ends_with("one.txt"));
    assert_eq!(uploads.count(), 1);
}

#[test]
fn a_run_is_shipped_by_one_process_at_a_time() {
    let fake = Fake::new(|request| request.is("runs/log-batch").then_some(Fault::Hang));
    let store = store_for(&fake);
    let run = finished_run(&store, 10);
    let shipper = store.shipper(&run);
    while fake.bodies("runs/log-batch").is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = store.sync(&run);
    assert!(report.error.unwrap().contains("another explr process"));
    drop(shipper);
}

/// Finished trials of a study that ships to the fake. They are locked, so that
/// no shipper takes them for left behind.
fn finished_trials(store: &TestStore, study: &TestRun, count: u64) -> Vec<TestRun> {
    (0..count)
        .map(|number| {
            let parent = study.run.id().clone();
            let mut trial = store.new_run_with("study", |manifest| {
                manifest.study = Some(StudyRef {
                    study: "study".to_owned(),
                    role: StudyRole::Trial { number, parent },
                });
            });
            trial.state(RunState::Created);
            trial.param("lr", json!(number));
            trial.state(RunState::Running);
            trial.metric("loss", number as f64, 0);
            trial.state(RunState::Completed);
            trial
        })
        .collect()
}

fn new_study(store: &TestStore) -> TestRun {
    let mut study = store.new_run_with("study", |manifest| {
        manifest.study = Some(StudyRef {
            study: "study".to_owned(),
            role: StudyRole::Study,
        });
    });
    study.state(RunState::Running);
    study
}

#[test]
fn a_short_trial_costs_three_requests() {
    let fake = Fake::new(|_| None);
    let store = store_for(&fake);
    let mut study = new_study(&store);
    let shipper = store.shipper(&study);
    // More than are open at once.
    for trial in finished_trials(&store, &study, 100) {
        // And unlocked.
        shipper.add(trial.run);
    }
    study.state(RunState::Completed);
    let report = shipper.finish(LONG, support::go_on);
    assert_eq!((report.left, report.error), (0, None));
    for (path, count) in [
        ("experiments/get-by-name", 1),
        ("runs/search", 0),
        ("runs/create", 101),
        ("runs/log-batch", 100),
        ("runs/update", 101),
    ] {
        assert_eq!(fake.bodies(path).len(), count, "{path}");
    }
    assert_eq!(fake.stored().requests.len(), 303);
    let created = fake.bodies("runs/create");
    assert!(created[0].contains("explr.kind"), "the study comes first");
    let nested = |body: &&String| body.contains(r#"{"key":"mlflow.parentRunId","value":"run0"}"#);
    assert_eq!(created.iter().filter(nested).count(), 100);
}

#[test]
fn trials_that_were_shipped_before_are_no_end_to_those_behind_them() {
    let fake = Fake::new(|_| None);
    let store = store_for(&fake);
    let mut study = new_study(&store);
    let trials = finished_trials(&store, &study, 100);
    let runs: Vec<_> = trials.iter().map(|trial| trial.run.clone()).collect();
    explr::tracking::sync(&store.settings(), &runs[..70], |_, _| {}).unwrap();
    let shipper = store.shipper(&study);
    for run in runs {
        shipper.add(run);
    }
    drop(trials);
    study.state(RunState::Completed);
    let report = shipper.finish(LONG, support::go_on);
    assert_eq!((report.left, report.error), (0, None));
    assert_eq!(fake.stored().metrics.len(), 100);
    assert_eq!(fake.stored().runs.len(), 101);
}

#[test]
fn what_a_study_s_earlier_process_left_is_brought_and_counted() {
    let fake = Fake::new(|_| None);
    let store = store_for(&fake);
    let mut study = new_study(&store);
    drop(finished_trials(&store, &study, 50));
    study.state(RunState::Completed);
    let mut total = 0;
    let report = store.shipper(&study).finish(LONG, |status| {
        total = status.total;
        support::go_on(status)
    });
    assert_eq!((report.left, report.error), (0, None));
    assert_eq!(total, 2 + 50 * 5);
    assert_eq!(fake.stored().metrics.len(), 50);
}

#[test]
fn what_is_left_is_counted_over_all_runs() {
    let fake = Fake::new(|request| {
        let late = request.is("runs/create") && request.nth >= 10;
        late.then_some(Fault::Answer(503, "", "busy"))
    });
    let store = store_for(&fake);
    let mut study = new_study(&store);
    let shipper = store.shipper(&study);
    for trial in finished_trials(&store, &study, 20) {
        shipper.add(trial.run);
    }
    study.state(RunState::Completed);
    let report = shipper.finish(Duration::from_secs(2), support::go_on);
    // The study and nine trials got through.
    assert_eq!(report.left, 11 * 5);
    assert!(report.error.is_some());
}

#[test]
fn the_creation_of_a_trial_that_is_cut_off_is_not_repeated() {
    let fake = Fake::new(|request| {
        (request.is("runs/create") && request.nth == 1).then_some(Fault::CutAfter)
    });
    let store = store_for(&fake);
    let study = new_study(&store);
    let trials = finished_trials(&store, &study, 1);
    let report = store.sync(&trials[0]);
    assert_eq!((report.left, report.error), (0, None));
    assert_eq!(fake.stored().runs.len(), 2);
    assert_eq!(fake.bodies("runs/search").len(), 1);
}

/// Ships a run with a model past the fault.
fn ship_model_past(
    decide: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static,
) -> (Fake, Report) {
    let fake = Fake::new(decide);
    let store = store_for(&fake);
    let mut run = store.new_run("model");
    run.state(RunState::Running);
    run.artifact("notes.txt", b"hello");
    for file in ["data/model.pth", "MLmodel"] {
        let path = run.run.artifact_dir().join("model").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    let path = "model".to_owned();
    run.log(Event::Artifact { path });
    run.log(Event::Result(TrainingResult {
        primary_metric: 0.25,
        primary_metric_name: "val_loss".into(),
        direction: Direction::Minimize,
        metrics: BTreeMap::new(),
        best_model_path: None,
        epochs_completed: None,
        stopped_early: false,
    }));
    run.state(RunState::Completed);
    let report = store.shipper(&run).finish(LONG, support::go_on);
    assert_eq!((report.left, &report.error), (0, &None));
    assert_eq!(fake.stored().status.as_deref(), Some("FINISHED"));
    (fake, report)
}

#[test]
fn a_model_is_logged_once_whichever_answer_is_lost() {
    let model = "/api/2.0/mlflow-artifacts/artifacts/1/models/m-0/artifacts/MLmodel";
    let calls = [
        "logged-models/search",
        "logged-models",
        model,
        "logged-models/m-0",
        "runs/outputs",
        "runs/log-batch",
    ];
    for lost in calls {
        let (fake, report) = ship_model_past(move |request| {
            (request.is(lost) && request.nth == 0).then_some(Fault::CutAfter)
        });
        assert_eq!(report.set_aside, 0, "{lost}");
        let stored = fake.stored();
        assert!(stored.requests.iter().any(|made| made.is(lost)), "{lost}");
        assert_eq!(stored.models.len(), 1, "{lost}");
        assert_eq!(stored.models[0]["status"], "LOGGED_MODEL_READY", "{lost}");
        assert_eq!(stored.outputs.len(), 1, "{lost}");
        let files: Vec<_> = stored.files.keys().collect();
        assert_eq!(
            files,
            [
                "1/models/m-0/artifacts/MLmodel",
                "1/models/m-0/artifacts/data/model.pth",
                "1/run0/artifacts/notes.txt",
            ]
        );
        // The result is the run's and the model's.
        let results = stored
            .metrics
            .iter()
            .filter(|metric| metric.contains("result/"));
        let of_model = results.clone().filter(|metric| metric.contains("m-0"));
        assert_eq!((results.count(), of_model.count()), (2, 1), "{lost}");
    }
}

#[test]
fn a_server_older_than_logged_models_gets_a_model_as_files_of_the_run() {
    let page = "<!doctype html><title>404 Not Found</title>";
    let (fake, report) = ship_model_past(move |request| {
        (request.path.starts_with("logged-models")).then_some(Fault::Answer(404, "", page))
    });
    assert_eq!(report.set_aside, 0);
    let stored = fake.stored();
    let files: Vec<_> = stored.files.keys().collect();
    assert_eq!(
        files,
        [
            "1/run0/artifacts/model/MLmodel",
            "1/run0/artifacts/model/data/model.pth",
            "1/run0/artifacts/notes.txt",
        ]
    );
    assert_eq!(stored.metrics.len(), 1);
}
