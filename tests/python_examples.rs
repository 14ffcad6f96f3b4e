//! The examples in Python train, search and go on, as their configurations say.
//!
//! Those that need `.venv-frameworks` are ignored here; `make test` runs the
//! one of TensorFlow, `make test-frameworks` all.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, events, metrics, stderr, wait_for};
use explr::store::{RunDir, Store};
use explr_protocol::{Event, RunState};
use explr_study::TrialState;
use nix::sys::signal::Signal;
use std::path::Path;

/// A project with a configuration of `configs`, and a store of its own.
fn project(name: &str) -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(format!("configs/{name}.yaml"))).unwrap();
    let text = text.replace("store: ../.explr\n", "mlflow: off\n");
    assert!(text.contains("mlflow: off"));
    let mut text = text.replace(": ../", &format!(": {}/", root.display()));
    if !text.contains("python: ") {
        let python = format!("train:\n  python: {}/.venv\n", root.display());
        text = text.replace("train:\n", &python);
    }
    let project = Project::python("unused.py:unused", "");
    std::fs::write(project.path().join("config.yaml"), text).unwrap();
    project
}

fn result(run: &RunDir, name: &str) -> f64 {
    let found = events(run).into_iter().find_map(|event| match event {
        Event::Result(result) => Some(result),
        _ => None,
    });
    let found = found.unwrap();
    if found.primary_metric_name == name {
        found.primary_metric
    } else {
        found.metrics[name]
    }
}

/// Trains a model as well as it should be, and logs it.
fn reads_digits(name: &str, least: f64) {
    let project = project(name);
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = project.only_run();
    let accuracy = result(&run, "test_accuracy");
    assert!(accuracy >= least, "{accuracy}");
    assert!(run.artifact_dir().join("model/MLmodel").is_file());
    let model = Event::Artifact {
        path: "model".into(),
    };
    assert!(events(&run).contains(&model));
    let told = ["train_loss", "val_loss"].map(|wanted| {
        let found = metrics(&run);
        found.iter().filter(|(name, ..)| name == wanted).count()
    });
    assert!(name == "keras" || told[0] == told[1], "{told:?}");
    assert!(told[1] >= 15, "{told:?}");
}

/// Searches in ten trials, of which the pruner ends some.
fn prunes(name: &str, more: &[&str]) {
    let project = project(name);
    let arguments = [&["--n-trials", "10"], more].concat();
    let output = project.tune(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history(&format!("digits-{name}"));
    let count = |state| {
        let trials = history.trials().iter();
        trials.filter(|trial| trial.state == state).count()
    };
    let (complete, pruned) = (count(TrialState::Complete), count(TrialState::Pruned));
    assert_eq!(complete + pruned, 10, "{}", stderr(&output));
    assert!(complete >= 3 && pruned >= 1, "{}", stderr(&output));
}

/// A run that is killed between two epochs ends as one that is not.
fn goes_on(name: &str) {
    let whole = project(name);
    assert_eq!(whole.run(&[]).status.code(), Some(0));

    let broken = project(name);
    let mut first = broken.start(&[]);
    let checkpoints = |run: &RunDir| {
        let events = events(run).into_iter();
        events
            .filter(|event| matches!(event, Event::Checkpoint { .. }))
            .count()
    };
    wait_for("two checkpoints", || {
        let store = Store::existing(&broken.path().join(".explr")).ok()?;
        let run = store.runs().ok()?.pop()?;
        (run.journal_path().is_file() && checkpoints(&run) >= 2).then_some(())
    });
    first.signal(Signal::SIGKILL);
    assert_eq!(first.code(), None);
    let output = broken.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let (straight, resumed) = (whole.only_run(), broken.only_run());
    assert_eq!(resumed.summary().unwrap().state, RunState::Completed);
    assert!(
        events(&resumed)
            .iter()
            .any(|event| matches!(event, Event::Resumed { .. }))
    );
    assert_eq!(metrics(&straight), metrics(&resumed));
    for name in ["val_loss", "test_loss"] {
        let both = [&straight, &resumed].map(|run| result(run, name).to_bits());
        assert_eq!(both[0], both[1], "{name}");
    }
}

#[test]
fn pytorch_reads_digits() {
    reads_digits("pytorch", 0.97);
}

#[test]
fn pytorch_searches_and_prunes() {
    prunes("pytorch", &["epochs=6"]);
}

#[test]
fn pytorch_goes_on_to_the_last_bit() {
    goes_on("pytorch");
}

#[test]
fn an_objective_of_optuna_searches_and_prunes() {
    prunes("optuna", &[]);
}

#[test]
#[ignore = "needs .venv-frameworks; make test runs it"]
fn tensorflow_reads_digits() {
    reads_digits("tensorflow", 0.97);
}

#[test]
#[ignore = "needs .venv-frameworks; make test runs it"]
fn tensorflow_searches_and_prunes() {
    prunes("tensorflow", &["epochs=6"]);
}

#[test]
#[ignore = "needs .venv-frameworks; make test-frameworks runs it"]
fn keras_reads_digits() {
    reads_digits("keras", 0.95);
}

#[test]
#[ignore = "needs .venv-frameworks; make test-frameworks runs it"]
fn keras_searches_and_prunes() {
    prunes("keras", &["epochs=6"]);
}

#[test]
#[ignore = "needs .venv-frameworks; make test-frameworks runs it"]
fn lightning_reads_digits() {
    reads_digits("lightning", 0.95);
}

#[test]
#[ignore = "needs .venv-frameworks; make test-frameworks runs it"]
fn lightning_searches_and_prunes() {
    prunes("lightning", &["epochs=6"]);
}
