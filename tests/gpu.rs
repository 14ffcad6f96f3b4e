//! What only a GPU can show. `make test-gpu` runs these, one at a time.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, metrics, stderr};
use explr::store::RunDir;
use explr_protocol::FailureClass;
use explr_study::TrialState;
use serde_json::{Value, json};
use std::path::Path;

const GIGABYTE: f64 = 1e9;

fn told(run: &RunDir) -> Value {
    let text = std::fs::read_to_string(run.artifact_dir().join("told.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What the first GPU has, as the command tells it.
fn total_memory(project: &Project) -> f64 {
    let output = project
        .explr()
        .args(["gpu-info", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let memory = shown.pointer("/gpus/0/memory/total");
    memory.and_then(Value::as_f64).unwrap()
}

fn reserved(run: &RunDir) -> f64 {
    let logged = metrics(run);
    logged
        .iter()
        .find(|(name, ..)| name == "reserved")
        .unwrap()
        .2
}

#[test]
#[ignore = "needs a GPU"]
fn auto_takes_a_gpu_and_hides_the_others() {
    let project = Project::python("gpu.py:tells", "");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = told(&project.only_run());
    assert_eq!(told["device"], "cuda:0");
    assert_eq!(
        (&told["available"], &told["count"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(told["sum"], 1000.0);
    let visible = told["visible"].as_str().unwrap();
    assert!(
        visible.starts_with("GPU-") || visible.starts_with("MIG-"),
        "{visible}"
    );
}

#[test]
#[ignore = "needs a GPU"]
fn the_cpu_is_had_when_it_is_asked_for() {
    let project = Project::python("gpu.py:tells", "device: cpu");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    assert_eq!(told(&project.only_run())["device"], "cpu");
}

#[test]
#[ignore = "needs a GPU"]
fn a_limit_of_memory_holds_and_is_named() {
    let of_card = total_memory(&Project::python("gpu.py:tells", "")) / GIGABYTE;
    for limit in [2.0, 24.0] {
        if limit > of_card - 2.0 {
            println!("NOT TRIED: a limit of {limit} GB; the card has {of_card:.1} GB");
            continue;
        }
        let more = format!("resources: {{gpu_memory_gb: {limit}}}");
        let project = Project::python("gpu.py:fills", &more);
        let output = project.run(&[]);
        assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
        let failure = project.failure();
        assert_eq!(failure.class, FailureClass::CudaOom, "{failure:?}");
        let reserved = reserved(&project.only_run()) / GIGABYTE;
        println!(
            "limit {limit} GB: {reserved:.3} GB were reserved; {}",
            failure.message
        );
        assert!(reserved <= limit && reserved > limit - 0.2, "{reserved}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn two_workers_on_a_card_share_the_limit() {
    let more = "resources: {gpus: 0.5, gpu_memory_gb: 4}\n\
                worker: {cuda_oom: prune}\n\
                search_space: {x: {type: float, low: 0, high: 1}}\n\
                tune: {n_trials: 4, jobs: 2}";
    let project = Project::python("gpu.py:fills", more);
    project.tune(&[]);
    let history = project.history("test");
    assert_eq!(history.trials().len(), 4);
    for trial in history.trials() {
        assert_eq!(trial.state, TrialState::Pruned);
        let reserved = reserved(&project.run_of(trial)) / GIGABYTE;
        println!("trial {}: {reserved:.3} GB of 2", trial.number);
        assert!(reserved <= 2.0 && reserved > 1.8, "{reserved}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_trial_that_needs_too_much_costs_itself_alone() {
    let more = "resources: {gpu_memory_gb: 2}\n\
                search_space: {gigabytes: {type: categorical, choices: [0.5, 1.0, 4.0]}}\n\
                tune: {n_trials: 3, sampler: grid}";
    let project = Project::python("gpu.py:fills", more);
    let output = project.tune(&[]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let history = project.history("test");
    let count = |state| {
        history
            .trials()
            .iter()
            .filter(|trial| trial.state == state)
            .count()
    };
    assert_eq!(
        (count(TrialState::Complete), count(TrialState::Failed)),
        (2, 1)
    );
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_seed_gives_the_same_losses() {
    let losses = || {
        let project = Project::python("gpu.py:trains", "seed: 7");
        assert_eq!(project.run(&[]).status.code(), Some(0));
        metrics(&project.only_run())
    };
    let first = losses();
    assert_eq!(first.len(), 50);
    assert_eq!(first, losses());
}

#[test]
#[ignore = "needs a GPU"]
fn system_metrics_tell_of_the_gpu() {
    let more = "mlflow: {enabled: false, system_metrics_interval: 500ms}";
    let project = Project::python("gpu.py:waits", more);
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let logged = metrics(&project.only_run());
    let found = logged
        .iter()
        .filter(|(name, ..)| name.starts_with("system/gpu_"));
    assert!(found.count() > 0, "{logged:?}");
}

#[test]
#[ignore = "needs a GPU"]
fn the_plugin_of_the_example_trains_on_the_gpu() {
    let project = Project::python("gpu.py:tells", "");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = project
        .explr()
        .arg("run")
        .arg(root.join("configs/digits.yaml"))
        .args(["device=cuda", "mlflow=off"])
        .arg(format!("store={}", project.path().join(".explr").display()))
        .output()
        .unwrap();
    let shown = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    println!("{shown}");
    assert!(shown.contains("device cuda:0"), "{shown}");
}
