//! What the README says of the example: at least 97 % of the test pictures,
//! and a run that was interrupted ends where one ends that was not.

use explr_protocol::abi::{ABI_VERSION, Bytes, HostTable, RawMetric, Status, TakeAnswer};
use explr_protocol::{Device, Event, Outcome, RunContext, TrainFunction, TrainingResult};
use explr_sdk::{Function, Result, TrainingContext};
use serde_json::{Value, json};
use std::ffi::c_void;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

/// A worker that keeps what it is told.
#[derive(Default)]
struct Host {
    metrics: Mutex<Vec<(String, u64, i64)>>,
    events: Mutex<Vec<Event>>,
    outcome: Mutex<Option<Outcome>>,
    /// Epochs after which it asks to stop; negative for never.
    stop_after: AtomicI32,
}

type Train = fn(&mut TrainingContext) -> Result<explr_sdk::TrainingResult>;

/// Trains in `dir`; stops after `stop_after` epochs unless that is negative.
fn run(dir: &Path, train: Train, params: Value, stop_after: i32) -> (Host, TrainingResult) {
    // libtorch's generators belong to the process.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = |name: &str| {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let context = RunContext {
        run_id: "test".into(),
        experiment: "digits".into(),
        function: "train".into(),
        hyperparameters: serde_json::from_value(params).unwrap(),
        seed: 42,
        device: Device::Cpu,
        threads: 1,
        checkpoint_dir: folder("checkpoints"),
        artifact_dir: folder("artifacts"),
        attempt: 1,
        time_budget: None,
        trial: None,
    };
    let host = Host::default();
    host.stop_after.store(stop_after, Ordering::Relaxed);
    let table = HostTable {
        abi_version: ABI_VERSION,
        host: (&raw const host).cast(),
        log_metrics,
        log_event,
        progress,
        finish,
        ask,
        stop_requested,
        journal_len,
        last_error,
    };
    Function::new("train", train).call(&table, &serde_json::to_vec(&context).unwrap());
    let outcome = host.outcome.lock().unwrap().take();
    match outcome {
        Some(Outcome::Ok(result)) => (host, result),
        other => panic!("{other:?}"),
    }
}

fn host<'a>(host: *const c_void) -> &'a Host {
    unsafe { &*host.cast() }
}

unsafe extern "C" fn log_metrics(
    to: *const c_void,
    metrics: *const RawMetric,
    count: usize,
    step: i64,
) -> Status {
    let metrics = unsafe { std::slice::from_raw_parts(metrics, count) };
    let row = |metric: &RawMetric| {
        let key = String::from_utf8(unsafe { metric.key.as_slice() }.to_vec()).unwrap();
        (key, metric.value.to_bits(), step)
    };
    host(to)
        .metrics
        .lock()
        .unwrap()
        .extend(metrics.iter().map(row));
    0
}

unsafe extern "C" fn log_event(to: *const c_void, event: Bytes) -> Status {
    let event: Event = serde_json::from_slice(unsafe { event.as_slice() }).unwrap();
    if matches!(event, Event::Checkpoint { .. }) {
        host(to).stop_after.fetch_sub(1, Ordering::Relaxed);
    }
    host(to).events.lock().unwrap().push(event);
    0
}

unsafe extern "C" fn finish(to: *const c_void, outcome: Bytes) -> Status {
    let outcome = serde_json::from_slice(unsafe { outcome.as_slice() }).unwrap();
    *host(to).outcome.lock().unwrap() = Some(outcome);
    0
}

unsafe extern "C" fn stop_requested(to: *const c_void) -> i32 {
    (host(to).stop_after.load(Ordering::Relaxed) == 0).into()
}

fn reads_at_least_97_of_100(train: Train, params: Value) {
    let dir = tempfile::tempdir().unwrap();
    let (host, result) = run(dir.path(), train, params, -1);
    let accuracy = result.metrics["test_accuracy"];
    assert!(accuracy >= 0.97, "{accuracy}");
    println!("test accuracy {accuracy:.4}");
    assert!(result.best_model_path.unwrap().is_file());

    let artifacts = dir.path().join("artifacts");
    for name in [
        "model.safetensors",
        "model/MLmodel",
        "model/data/model.pth",
        "confusion_matrix.png",
    ] {
        assert!(artifacts.join(name).is_file(), "{name}");
    }
    let counts: Vec<Vec<i64>> =
        serde_json::from_slice(&std::fs::read(artifacts.join("confusion_matrix.json")).unwrap())
            .unwrap();
    let right: i64 = (0..10).map(|digit| counts[digit][digit]).sum();
    assert_eq!(counts.iter().flatten().sum::<i64>(), 353);
    assert_eq!((accuracy * 353.0).round() as i64, right);
    let datasets = host.events.lock().unwrap();
    let datasets = datasets.iter().filter(|e| matches!(e, Event::Dataset(_)));
    assert_eq!(datasets.count(), 3);
}

#[test]
fn the_perceptron_reads_at_least_97_of_100_digits() {
    reads_at_least_97_of_100(digits::train_mlp, json!({}));
}

#[test]
fn the_convolutional_network_reads_at_least_97_of_100_digits() {
    let params = json!({ "epochs": 12, "lr": 1e-3, "dropout": 0.25 });
    reads_at_least_97_of_100(digits::train_cnn, params);
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_metrics() {
    let params = json!({ "epochs": 5, "hidden": [16] });
    let whole = tempfile::tempdir().unwrap();
    let (expected, _) = run(whole.path(), digits::train_mlp, params.clone(), -1);

    let dir = tempfile::tempdir().unwrap();
    let (first, result) = run(dir.path(), digits::train_mlp, params.clone(), 2);
    assert!(result.stopped_early);
    let (second, result) = run(dir.path(), digits::train_mlp, params, -1);
    assert!(!result.stopped_early);

    let curve = |host: &Host| -> Vec<_> {
        let metrics = host.metrics.lock().unwrap();
        let kept = metrics.iter().filter(|(key, ..)| !key.starts_with("test_"));
        kept.cloned().collect()
    };
    let mut lived = curve(&first);
    lived.extend(curve(&second));
    assert_eq!(lived, curve(&expected));
}

unsafe extern "C" fn ask(_: *const c_void, _: Bytes, _: TakeAnswer, _: *mut c_void) -> Status {
    1
}

unsafe extern "C" fn progress(_: *const c_void, _: Bytes) -> Status {
    0
}

unsafe extern "C" fn journal_len(_: *const c_void) -> u64 {
    0
}

unsafe extern "C" fn last_error(_: *const c_void, _: *mut u8, _: usize) -> usize {
    0
}
