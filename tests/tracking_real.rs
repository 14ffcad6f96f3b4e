//! Tracking against the real MLflow server, read back with its own client.
//! A missing `.venv` is a failure: run `make setup`.

#[path = "tracking/support.rs"]
mod support;

use explr_protocol::{Dataset, Direction, Event, Failure, FailureClass, RunState, TrainingResult};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use support::{LIMIT, TestStore, seen_once};

#[test]
fn everything_in_the_journal_is_in_mlflow_once() {
    let store = TestStore::new();
    let mut run = store.new_run("all kinds");
    let shipper = store.shipper(&run);
    run.state(RunState::Running);
    run.param("optimizer.name", json!("adam"));
    run.param("optimizer.lr", json!(1e-4));
    run.param("layers", json!([64, 32]));
    run.param("prompt", json!("x".repeat(7000)));
    run.tag("team", "vision");
    run.tag("team", "language");
    for step in 0..2500 {
        run.metric("loss", 1.0 / (step + 1) as f64, step);
        if step % 100 == 0 {
            run.metric("val/acc@5", step as f64, step);
        }
    }
    for (step, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324]
        .into_iter()
        .enumerate()
    {
        run.metric("odd", value, step as i64);
    }
    run.metric("edges", 1.0, i64::MAX);
    run.metric("edges", 2.0, -7);
    run.artifact("plots/a b é.txt", b"hello");
    run.artifact("model/big.bin", &vec![7; 3 << 20]);
    run.artifact("model/empty", b"");
    run.log(Event::Artifact {
        path: "model".into(),
    });
    run.log(Event::Dataset(Dataset {
        name: "digits".into(),
        digest: "abc".into(),
        context: Some("training".into()),
        source: Some("https://example.com/digits".into()),
        schema: Some(json!({"shape": [8, 8]})),
        profile: None,
    }));
    run.log(Event::Dataset(Dataset {
        name: "bare".into(),
        digest: "d".into(),
        context: None,
        source: None,
        schema: None,
        profile: None,
    }));
    run.log(Event::Result(TrainingResult {
        primary_metric: 0.25,
        primary_metric_name: "val_loss".into(),
        direction: Direction::Minimize,
        metrics: BTreeMap::from([("acc".into(), 0.9)]),
        best_model_path: None,
        epochs_completed: Some(3),
        stopped_early: false,
    }));
    run.state(RunState::Completed);
    let report = shipper.finish(LIMIT, |_| ControlFlow::Continue(()));
    assert_eq!((report.left, report.set_aside, report.error), (0, 0, None));

    let url = store.server();
    let seen = seen_once(&url, &run);
    seen.assert_metrics_of(&run);
    assert_eq!(seen.status, "FINISHED");
    assert!(seen.end_time.unwrap() > seen.start_time);
    assert_eq!(seen.start_time, 1_700_000_000_000);
    assert_eq!(seen.params["optimizer.name"], "adam");
    assert_eq!(seen.params["optimizer.lr"], "0.0001");
    assert_eq!(seen.params["layers"], "[64,32]");
    assert!(seen.params["prompt"].ends_with("[cut; 7000 characters]"));
    assert_eq!(seen.params.len(), 4);
    assert_eq!(seen.tags["team"], "language");
    assert_eq!(seen.tags["mlflow.user"], "ada");
    assert_eq!(seen.tags["mlflow.source.type"], "LOCAL");
    assert_eq!(
        seen.artifacts.keys().collect::<Vec<_>>(),
        [
            "explr/params/prompt.txt",
            "model/big.bin",
            "model/empty",
            "plots/a b é.txt",
        ]
    );
    assert_eq!(seen.datasets.len(), 2, "{:?}", seen.datasets);
    assert_eq!(seen.datasets[0]["tags"]["mlflow.data.context"], "training");
    println!("{}", report.run_url.unwrap());
}
