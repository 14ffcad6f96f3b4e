//! Stores made through the library, with times that never change.

#![allow(dead_code, reason = "not every test needs everything")]

use explr::store::{GitInfo, HostInfo, Manifest, RunDir, RunId, Store};
use explr_protocol::{
    Device, Direction, Event, Failure, FailureClass, Record, RunState, TrainingResult,
};
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// 2024-11-24 01:39:05.678 UTC.
pub(crate) const START: u64 = 1_732_412_345_678;

pub(crate) fn manifest(id: &RunId, experiment: &str) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        run_id: id.clone(),
        created_ms: START,
        experiment: experiment.to_owned(),
        description: None,
        tags: [("team".to_owned(), "vision".to_owned())].into(),
        study: None,
        function: "train_model".to_owned(),
        code: "./digits".to_owned(),
        hyperparameters: serde_json::from_value(json!({"lr": 0.001, "model": {"depth": 3}}))
            .unwrap(),
        seed: 42,
        device: Device::Cpu,
        config: json!({"experiment": experiment}),
        fingerprint: "f".repeat(64),
        command: ["explr", "run", "digits.yaml"].map(str::to_owned).to_vec(),
        config_file: None,
        cwd: "/work".into(),
        git: Some(GitInfo {
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            branch: Some("main".to_owned()),
            dirty: true,
            remote: None,
        }),
        host: HostInfo {
            name: "box".to_owned(),
            user: "ada".to_owned(),
            os: "linux".to_owned(),
            cpus: 2,
        },
        versions: [("explr".to_owned(), "0.1.0".to_owned())].into(),
    }
}

/// The id of run number `n`: short form `0000000n`.
pub(crate) fn id(n: u32) -> RunId {
    format!("01935c0e-{n:04x}-7000-8000-0000{n:08x}")
        .parse()
        .unwrap()
}

/// Makes a run whose journal holds these events, a second apart.
pub(crate) fn run(store: &Store, n: u32, experiment: &str, events: &[Event]) -> RunDir {
    let run = store.create_run(&manifest(&id(n), experiment)).unwrap();
    write(&run.journal_path(), u64::from(n) * 3_600_000, events);
    run
}

fn write(path: &Path, offset: u64, events: &[Event]) {
    let mut file = std::fs::File::create(path).unwrap();
    for (seq, event) in (0..).zip(events) {
        let record = Record {
            seq,
            ts: START + offset + seq * 1000,
            event: event.clone(),
        };
        let line = serde_json::to_string(&record).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

pub(crate) fn state(state: RunState) -> Event {
    Event::State {
        state,
        attempt: 1,
        failure: None,
    }
}

pub(crate) fn metric(key: &str, value: f64, step: i64) -> Event {
    Event::Metric {
        key: key.to_owned(),
        value,
        step,
    }
}

pub(crate) fn result(value: f64) -> TrainingResult {
    TrainingResult {
        primary_metric: value,
        primary_metric_name: "val_loss".to_owned(),
        direction: Direction::Minimize,
        metrics: [("test_acc".to_owned(), 0.97)].into(),
        best_model_path: Some("artifacts/model.pt".into()),
        epochs_completed: Some(2),
        stopped_early: false,
    }
}

/// A run that went well.
pub(crate) fn completed(value: f64) -> Vec<Event> {
    vec![
        state(RunState::Created),
        state(RunState::Running),
        Event::Param {
            key: "lr".to_owned(),
            value: json!(0.001),
        },
        Event::Param {
            key: "note".to_owned(),
            value: json!("first\nsecond"),
        },
        Event::Tag {
            key: "team".to_owned(),
            value: "vision".to_owned(),
        },
        metric("val_loss", value / 2.0, 0),
        metric("val_loss", value, 1),
        metric("grad_norm", f64::NAN, 1),
        Event::Artifact {
            path: "plots/confusion.png".to_owned(),
        },
        Event::Checkpoint {
            path: "epoch-1.ckpt".into(),
            epoch: 1,
            step: 100,
        },
        Event::Result(result(value)),
        state(RunState::Completed),
    ]
}

/// A run that failed.
pub(crate) fn failed() -> Vec<Event> {
    vec![
        state(RunState::Running),
        metric("val_loss", 0.9, 0),
        Event::State {
            state: RunState::Failed,
            attempt: 1,
            failure: Some(Failure {
                class: FailureClass::CudaOom,
                message: "CUDA out of memory\nwhile allocating 2 GiB".to_owned(),
                location: Some("src/lib.rs:12:5".to_owned()),
                log_tail: vec!["epoch 1".to_owned(), "\u{1b}[31moops".to_owned()],
            }),
        },
    ]
}

/// A run whose orchestrator was killed.
pub(crate) fn abandoned() -> Vec<Event> {
    vec![state(RunState::Running), metric("val_loss", 0.7, 0)]
}
