//! Kills explr, workers and the MLflow server at random moments all through a
//! study, and goes on with it each time. At the end the study has exactly its
//! trials, each number once, and MLflow and Optuna say the same (P1 to P5).
//! `TRIALS` trials, 16 unless the environment says otherwise; `SEED` repeats a
//! sequence.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use common::chaos::{Random, Server, kill_server, number, server};
use common::{Project, Running, processes_of, stderr, wait_for};
use explr::store::RunDir;
use explr_protocol::RunState;
use explr_study::{History, TrialState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{free_port, python};

/// Most kills; a study that needs more makes no headway.
const PATIENCE: u64 = 2000;

#[test]
fn a_study_survives_whatever_is_killed() {
    let trials = number("TRIALS").unwrap_or(16);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("TRIALS={trials} SEED={seed}");
    let mut random = Random(seed);
    let more = format!(
        "search_space:\n  x: {{type: float, low: -5, high: 5}}\n  y: {{type: float, low: -5, high: 5}}\n\
         hyperparameters: {{pause_ms: 30}}\n\
         tune: {{pruner: {{name: median, n_startup_trials: 4}}, jobs: 2}}\n\
         worker: {{retries: 1000, retry_on: [signal]}}\n\
         mlflow: {{port: {}, sync_timeout: 2s, system_metrics: false}}",
        free_port()
    );
    let project = Project::new("bowl", &more);
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    std::os::unix::fs::symlink(venv, project.path().join(".venv")).unwrap();
    let _server = Server(&project);
    let total = trials.to_string();

    let mut kills = 0;
    while finished(&project) < trials {
        let mut explr = start(&project, &total);
        // Time to get somewhere, but never to the end.
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        let victim = ["a worker", "explr", "MLflow", "everything"][random.index(4)];
        strike(&project, &explr, victim, &mut random);
        kills += 1;
        println!(
            "kill {kills}: {victim}; {} trials are finished",
            finished(&project)
        );
        if matches!(victim, "a worker" | "MLflow") {
            // It goes on; let it, for a while, and then kill it after all.
            std::thread::sleep(Duration::from_millis(random.below(1500)));
            let _ = kill(explr.pid(), Signal::SIGKILL);
        }
        explr.code();
        for run in runs(&project) {
            wait_for("the workers to end", || {
                processes_of(&run).is_empty().then_some(())
            });
        }
        assert!(kills < PATIENCE, "the study gets nowhere");
    }
    let output = project
        .explr()
        .args(["tune", "config.yaml", "-n", &total])
        .output()
        .unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 4)),
        "{}",
        stderr(&output)
    );
    let sync = project.explr().args(["sync", "--all"]).output().unwrap();
    assert!(
        matches!(sync.status.code(), Some(0 | 4)),
        "{}",
        stderr(&sync)
    );

    let history = project.history("test");
    println!("{kills} kills");
    check_study(&project, &history, trials);
    check_mlflow(&project, &history);
    check_optuna(&project, &history);
}

/// Every number once, every trial finished, every run with its end.
fn check_study(project: &Project, history: &History, trials: u64) {
    let numbers: Vec<u64> = history.trials().iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (0..trials).collect::<Vec<_>>());
    let runs: BTreeSet<_> = history
        .trials()
        .iter()
        .map(|trial| project.run_of(trial).id().to_string())
        .collect();
    assert_eq!(runs.len(), numbers.len(), "a run for each trial");
    for trial in history.trials() {
        let state = project.run_of(trial).summary().unwrap().state;
        let expected = match trial.state {
            TrialState::Complete => RunState::Completed,
            TrialState::Pruned => RunState::Pruned,
            other => panic!("trial {} is {other}", trial.number),
        };
        assert_eq!(state, expected, "trial {}", trial.number);
    }
}

const READ_MLFLOW: &str = r#"
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiments = [e.experiment_id for e in client.search_experiments()]
parent, = [r for r in client.search_runs(experiments) if r.data.tags.get("explr.kind") == "study"]
runs, token = [], None
while True:
    page = client.search_runs(experiments, f"tags.mlflow.parentRunId = '{parent.info.run_id}'", page_token=token)
    runs += page
    token = page.token
    if not token:
        break
def show(run):
    return {"status": run.info.status, "params": run.data.params, "tags": run.data.tags,
            "metrics": {k: repr(v) for k, v in run.data.metrics.items()}}
values = [[m.step, repr(m.value)] for m in client.get_metric_history(parent.info.run_id, "value")]
print(json.dumps({"parent": show(parent), "values": values, "children": [show(run) for run in runs]}))
"#;

/// MLflow has the same trials with the same parameters, states and values.
fn check_mlflow(project: &Project, history: &History) {
    let url = server(project).unwrap().url;
    let seen: Value = serde_json::from_str(&python(&["-c", READ_MLFLOW, &url])).unwrap();
    assert_eq!(seen["parent"]["status"], "FINISHED");
    let mut children = BTreeMap::new();
    for child in seen["children"].as_array().unwrap() {
        let number: u64 = child["tags"]["explr.trial.number"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            children.insert(number, child).is_none(),
            "trial {number} is there twice"
        );
    }
    assert_eq!(children.len(), history.trials().len());
    for trial in history.trials() {
        let child = children[&trial.number];
        assert_eq!(child["status"], "FINISHED", "trial {}", trial.number);
        let state = match trial.state {
            TrialState::Complete => "completed",
            other => other.as_str(),
        };
        assert_eq!(child["tags"]["explr.trial.state"], state);
        for (name, assigned) in &trial.params {
            assert_eq!(child["params"][name], assigned.external().to_string());
        }
    }
    let values: BTreeMap<u64, f64> = seen["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            (
                pair[0].as_u64().unwrap(),
                pair[1].as_str().unwrap().parse().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        values.len(),
        seen["values"].as_array().unwrap().len(),
        "a value is there twice"
    );
    let complete: BTreeMap<u64, f64> = history
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .map(|trial| (trial.number, trial.values[0]))
        .collect();
    assert_eq!(values, complete);
    let best = history.best().unwrap();
    assert_eq!(
        seen["parent"]["tags"]["best.trial"],
        best.number.to_string()
    );
}

const READ_OPTUNA: &str = r#"
import json, sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
study = optuna.load_study(study_name="test", storage=JournalStorage(JournalFileBackend(sys.argv[1])))
print(json.dumps([[t.number, t.state.name, t.values and repr(t.values[0]), t.params, len(t.intermediate_values)] for t in study.trials]))
"#;

fn check_optuna(project: &Project, history: &History) {
    let journal = project.path().join(".explr/studies/test.journal");
    let seen: Value =
        serde_json::from_str(&python(&["-c", READ_OPTUNA, journal.to_str().unwrap()])).unwrap();
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), history.trials().len());
    for (trial, seen) in history.trials().iter().zip(seen) {
        assert_eq!(seen[0], trial.number);
        assert_eq!(seen[1], trial.state.as_str().to_uppercase());
        if trial.state == TrialState::Complete {
            assert_eq!(
                seen[2].as_str().unwrap().parse::<f64>().unwrap().to_bits(),
                trial.values[0].to_bits()
            );
        }
        for (name, assigned) in &trial.params {
            assert_eq!(
                seen[3][name].as_f64().unwrap().to_bits(),
                assigned.internal.to_bits()
            );
        }
        assert_eq!(seen[4], trial.intermediate.len());
    }
}

fn start(project: &Project, total: &str) -> Running {
    let child = project
        .explr()
        .args(["tune", "config.yaml", "-n", total])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

fn finished(project: &Project) -> u64 {
    let Some(history) = project.try_history("test") else {
        return 0;
    };
    history
        .trials()
        .iter()
        .filter(|trial| trial.state.is_finished())
        .count() as u64
}

fn runs(project: &Project) -> Vec<RunDir> {
    let store = explr::store::Store::existing(&project.path().join(".explr"));
    store.and_then(|store| store.runs()).unwrap_or_default()
}

fn strike(project: &Project, explr: &Running, victim: &str, random: &mut Random) {
    if matches!(victim, "a worker" | "everything") {
        let mut workers: Vec<i32> = runs(project)
            .iter()
            .rev()
            .take(3)
            .flat_map(processes_of)
            .collect();
        if victim == "a worker" && !workers.is_empty() {
            workers = vec![workers[random.index(workers.len())]];
        }
        for pid in workers {
            // It may have ended by itself just now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    if matches!(victim, "explr" | "everything") {
        let _ = kill(explr.pid(), Signal::SIGKILL);
    }
    if matches!(victim, "MLflow" | "everything") {
        kill_server(project);
    }
}
