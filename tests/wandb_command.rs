//! A sweep of Weights & Biases and its script, both as W&B's documentation
//! shows them, run unchanged.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, metrics, stderr};
use explr_protocol::Event;
use explr_study::{History, TrialState};
use std::path::Path;
use std::process::Command;

/// As in "Add W&B to your code" and "Define sweep configuration".
const SWEEP: &str = r"
program: train.py
method: random
name: sweep
metric:
  goal: maximize
  name: val_acc
parameters:
  batch_size:
    values: [16, 32, 64]
  lr:
    min: 0.0001
    max: 0.1
  epochs:
    values: [5, 10, 15]
";

const SCRIPT: &str = r#"
import wandb
import random


def train_one_epoch(epoch, lr, batch_size):
    acc = 0.25 + ((epoch / 30) + (random.random() / 10))
    loss = 0.2 + (1 - ((epoch - 1) / 10 + random.random() / 5))
    return acc, loss


def evaluate_one_epoch(epoch):
    acc = 0.1 + ((epoch / 20) + (random.random() / 10))
    loss = 0.25 + (1 - ((epoch - 1) / 10 + random.random() / 6))
    return acc, loss


def main():
    with wandb.init() as run:
        lr = run.config["lr"]
        batch_size = run.config["batch_size"]
        epochs = run.config["epochs"]
        for epoch in range(1, epochs):
            train_acc, train_loss = train_one_epoch(epoch, lr, batch_size)
            val_acc, val_loss = evaluate_one_epoch(epoch)
            run.log(
                {
                    "epoch": epoch,
                    "train_acc": train_acc,
                    "train_loss": train_loss,
                    "val_acc": val_acc,
                    "val_loss": val_loss,
                }
            )


main()
"#;

/// The words of `command` as W&B's documentation has them, and a script that
/// reads its arguments.
const WITH_ARGUMENTS: &str = r"
program: train.py
method: grid
project: arguments
metric:
  goal: minimize
  name: loss
early_terminate:
  type: hyperband
  min_iter: 3
parameters:
  learning_rate:
    values: [0.5, 0.25]
  optimizer:
    parameters:
      kind:
        value: adam
      beta:
        values: [0.5]
command:
  - ${env}
  - ${interpreter}
  - ${program}
  - ${args}
";

const READS_ARGUMENTS: &str = r#"
import argparse
import os

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=1.0)
parser.add_argument("--optimizer")
parser.add_argument("--momentum", type=float, default=0.9)
args = parser.parse_args()

wandb.init(project="ignored", config=args)
wandb.config.update({"learning_rate": 7, "more": 1})
assert wandb.config.learning_rate == args.learning_rate
assert wandb.config.optimizer["kind"] == "adam"
assert wandb.config["momentum"] == 0.9 and wandb.config.more == 1
assert '"beta":0.5' in args.optimizer, args.optimizer
wandb.watch(None)
for step in range(3):
    wandb.log({"loss": args.learning_rate / (step + 1), "nested": {"a": step}}, commit=False)
    wandb.log({"table": wandb.Table(), "acc": float("nan")})
wandb.run.summary["loss"] = args.learning_rate
with open("model.bin", "w") as file:
    file.write("weights")
wandb.save("model.bin")
wandb.finish()
assert wandb.run is None
"#;

/// Imports the sweep, searches, and returns what came of it.
fn sweep(sweep: &str, script: &str, study: &str, arguments: &[&str]) -> (Project, History) {
    let project = Project::with_script("", "");
    for (name, text) in [("sweep.yaml", sweep), ("train.py", script)] {
        std::fs::write(project.path().join(name), text).unwrap();
    }
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    };
    let mut import = project.explr();
    let said = run(import.args("import wandb sweep.yaml --out config.yaml --force".split(' ')));
    assert!(!said.contains("still to be named"), "{said}");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin");
    let path = format!("{}:{}", python.display(), std::env::var("PATH").unwrap());
    let mut tune = project.explr();
    tune.args(["tune", "config.yaml", "mlflow=off"])
        .args(arguments);
    println!("{}", run(tune.env("PATH", path).env_remove("PYTHONPATH")));
    let history = project.history(study);
    (project, history)
}

#[test]
fn a_sweep_of_the_documentation_and_its_script_run_unchanged() {
    let (project, history) = sweep(SWEEP, SCRIPT, "sweep", &["--n-trials", "4"]);
    assert_eq!(history.count(TrialState::Complete), 4);
    for trial in history.trials() {
        let epochs = trial.params["epochs"].external().as_i64().unwrap();
        let logged = metrics(&project.run_of(trial));
        assert_eq!(i64::try_from(logged.len()).unwrap(), 5 * (epochs - 1));
        let (_, step, last) = logged.iter().rfind(|(key, ..)| key == "val_acc").unwrap();
        assert_eq!(*step, epochs - 2);
        assert_eq!(trial.values[0].to_bits(), last.to_bits());
        assert_eq!(i64::try_from(trial.intermediate.len()).unwrap(), epochs - 1);
    }
}

#[test]
fn a_command_and_the_functions_of_the_module_do_as_they_do_there() {
    let (project, history) = sweep(WITH_ARGUMENTS, READS_ARGUMENTS, "arguments", &[]);
    assert_eq!(history.count(TrialState::Complete), 2);
    for trial in history.trials() {
        let rate = trial.params["learning_rate"].external().as_f64().unwrap();
        let run = project.run_of(trial);
        let losses: Vec<f64> = metrics(&run)
            .into_iter()
            .filter(|(key, ..)| key == "loss")
            .map(|(_, _, value)| value)
            .collect();
        assert_eq!(losses, [rate, rate / 2.0, rate / 3.0, rate]);
        assert_eq!(trial.values, [rate]);
        let names: Vec<String> = metrics(&run).into_iter().map(|(key, ..)| key).collect();
        assert!(names.contains(&"nested.a".to_owned()), "{names:?}");
        let log = std::fs::read_to_string(run.log_path()).unwrap();
        assert_eq!(log.matches("`table` is no number").count(), 1, "{log}");
        let kept = |event: &Event| matches!(event, Event::Artifact { path } if path == "model.bin");
        assert!(common::events(&run).iter().any(kept));
    }
}
