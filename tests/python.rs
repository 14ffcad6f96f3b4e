//! Functions of Python are trained like those of plugins.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

mod common;

use common::{Project, events, metrics, stderr};
use explr::store::RunDir;
use explr_protocol::{Event, FailureClass, RunState};
use explr_study::TrialState;
use serde_json::{Value, json};
use std::path::Path;

fn told(run: &RunDir) -> Value {
    let text = std::fs::read_to_string(run.artifact_dir().join("told.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn everything_it_logs_is_in_the_journal() {
    let more = "hyperparameters: {steps: 3, lr: 0.25}";
    let project = Project::python("fixture.py:descend", more);
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = project.only_run();
    let losses = [0.25, 0.0625, 0.015_625].map(|loss| ("loss".to_owned(), loss));
    let logged = metrics(&run)
        .into_iter()
        .map(|(name, _, value)| (name, value));
    assert_eq!(logged.collect::<Vec<_>>(), losses);
    let summary = run.summary().unwrap();
    assert_eq!(summary.state, RunState::Completed);
    assert_eq!(summary.tags["kind"], "parabola");
    assert_eq!(summary.params["x0"], json!(1.0));
    let events = events(&run);
    for path in ["notes/walk.txt", "x.json"] {
        let artifact = Event::Artifact { path: path.into() };
        assert!(events.contains(&artifact), "{path}");
        assert!(run.artifact_dir().join(path).is_file());
    }
    let result = events.iter().find_map(|event| match event {
        Event::Result(result) => Some(result),
        _ => None,
    });
    let result = result.unwrap();
    assert_eq!(result.primary_metric_name, "loss");
    assert_eq!(
        (result.primary_metric, result.epochs_completed),
        (0.015_625, Some(3))
    );
    assert!(!stderr(&output).contains("libtorch"), "{}", stderr(&output));
}

#[test]
fn it_is_told_what_a_plugin_is_told() {
    let more = "hyperparameters: {lr: 0.1, model: {depth: 2}}\nseed: 7\nresources: {cpus: 1}";
    let project = Project::python("fixture.py:knows", more);
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let run = project.only_run();
    let told = told(&run);
    assert_eq!(
        told["hyperparameters"],
        json!({"lr": 0.1, "model": {"depth": 2}})
    );
    assert_eq!(told["experiment_name"], "test");
    assert_eq!((&told["seed"], &told["attempt"]), (&json!(7), &json!(1)));
    assert_eq!((&told["threads"], &told["omp"]), (&json!(1), &json!("1")));
    assert_eq!(told["device"], "cpu");
    assert_eq!(
        (&told["trial_id"], &told["trial_number"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(told["run_id"], run.id().as_str());
    assert_eq!(
        told["checkpoint_dir"],
        run.checkpoint_dir().to_str().unwrap()
    );
    let store = project.path().join(".explr").canonicalize().unwrap();
    let package = Path::new(told["package"].as_str().unwrap());
    assert!(
        package.canonicalize().unwrap().starts_with(store),
        "{package:?}"
    );
    let manifest = run.manifest().unwrap();
    assert!(
        manifest.versions["python"].starts_with("3."),
        "{manifest:?}"
    );
}

#[test]
fn modules_are_found_beside_the_configuration_and_in_the_current_folder() {
    let project = Project::python("fixture.py:descend", "");
    let train = "def train_model(ctx):\n    return {'val_loss': 0.5, 'accuracy': 0.9}\n";
    std::fs::create_dir_all(project.path().join("elsewhere/package")).unwrap();
    for name in [
        "beside.py",
        "elsewhere/here.py",
        "elsewhere/package/inner.py",
    ] {
        std::fs::write(project.path().join(name), train).unwrap();
    }
    for function in [
        "beside",
        "here",
        "package.inner",
        "here.py",
        "package/inner.py",
    ] {
        let output = project
            .explr()
            .current_dir(project.path().join("elsewhere"))
            .args(["run", "../config.yaml", "--train-fn"])
            .arg(format!("{function}:train_model"))
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{function}: {}",
            stderr(&output)
        );
    }
    let runs = project.store().runs().unwrap();
    let summary = runs[0].summary().unwrap();
    assert_eq!(summary.result.unwrap().metrics["accuracy"], 0.9);
}

#[test]
fn the_configuration_adds_to_the_environment_that_a_module_is_imported_in() {
    let project = Project::python("fixture.py:descend", "");
    let folder = project.path().join("library");
    std::fs::create_dir(&folder).unwrap();
    let module = "import os\nimport explr_sdk\nWORD = os.environ['WORD']\n\n\n\
                  def train_model(ctx):\n    return {'hello': 0, 'there': 1}[WORD]\n";
    std::fs::write(folder.join("library.py"), module).unwrap();
    let path = format!("worker.env.PYTHONPATH={}", folder.display());
    let train = ["--train-fn", "library:train_model"];
    let settings = [path.as_str(), "worker.env.WORD=there"];
    let output = project.run(&[&train[..], &settings].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let space = [
        "search_space.x={type: float, low: 0, high: 1}",
        "tune.n_trials=2",
    ];
    let output = project.tune(&[&train[..], &settings, &space].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("afresh"), "{}", stderr(&output));
}

#[test]
fn a_study_forks_its_trials_and_prunes_them() {
    let more = "search_space: {x: {type: float, low: -10, high: 10}}\n\
                tune: {n_trials: 12, pruner: {name: median, n_startup_trials: 2}, jobs: 2}";
    let project = Project::python("fixture.py:bowl", more);
    let output = project.tune(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history("test");
    let count = |state| {
        history
            .trials()
            .iter()
            .filter(|trial| trial.state == state)
            .count()
    };
    let (complete, pruned) = (count(TrialState::Complete), count(TrialState::Pruned));
    assert_eq!(complete + pruned, 12);
    assert!(pruned > 0, "none was pruned");
}

#[test]
fn a_forked_trial_is_a_process_with_a_mark_of_its_own() {
    let more = "search_space: {x: {type: float, low: 0, high: 1}}\ntune: {n_trials: 3}";
    for (start, forked) in [("auto", true), ("fresh", false)] {
        let more = format!("{more}\nworker: {{start: {start}}}");
        let project = Project::python("fixture.py:knows", &more);
        assert_eq!(project.tune(&[]).status.code(), Some(0));
        for trial in project.history("test").trials() {
            let run = project.run_of(trial);
            let told = told(&run);
            assert_eq!(told["forked"], forked);
            assert_eq!(told["mark"], format!("EXPLR_RUN_ID={}", run.id()));
            assert_eq!(told["trial_number"], trial.number);
        }
    }
}

#[test]
fn a_module_with_threads_is_not_forked() {
    let more = "search_space: {x: {type: float, low: 0, high: 1}}\ntune: {n_trials: 2}";
    let project = Project::python("threaded.py:knows", more);
    let output = project.tune(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("thread"), "{}", stderr(&output));
    for trial in project.history("test").trials() {
        assert_eq!(told(&project.run_of(trial))["forked"], false);
    }
}

#[test]
fn a_function_defines_its_own_search_space() {
    let project = Project::python("fixture.py:suggests", "tune: {n_trials: 4}");
    let output = project.tune(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for trial in project.history("test").trials() {
        let params = trial.external_params();
        let names: Vec<_> = params.keys().map(String::as_str).collect();
        assert_eq!(names, ["kind", "layers", "lr"]);
    }
}

#[test]
fn a_run_goes_on_from_its_newest_checkpoint_and_logs_nothing_twice() {
    let more = "hyperparameters: {steps: 60}";
    let whole = Project::python("fixture.py:counts", more);
    assert_eq!(whole.run(&[]).status.code(), Some(0));

    let project = Project::python("fixture.py:counts", more);
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    common::wait_for("a checkpoint", || {
        events(&run)
            .iter()
            .any(|event| matches!(event, Event::Checkpoint { .. }))
            .then_some(())
    });
    explr.signal(nix::sys::signal::Signal::SIGKILL);
    explr.code();
    assert!(metrics(&run).len() < 60);
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let run = project.only_run();
    assert_eq!(metrics(&run), metrics(&whole.only_run()));
    let continued = events(&run).into_iter().any(|event| match event {
        Event::Resumed { checkpoint, .. } => checkpoint.is_some(),
        _ => false,
    });
    assert!(continued);
}

#[test]
fn metrics_of_all_threads_are_whole() {
    let project = Project::python("fixture.py:uses_threads", "");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    assert_eq!(metrics(&project.only_run()).len(), 800);
}

#[test]
fn a_module_that_cannot_be_imported_is_no_failed_training() {
    let project = Project::python("broken.py:train_model", "");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(6));
    let shown = stderr(&output);
    assert!(shown.contains("no_such_module_anywhere"), "{shown}");
    assert_eq!(project.failure().class, FailureClass::Plugin);
    // A study ends with the first trial: every other would meet the same.
    let space = "search_space.x={type: float, low: 0, high: 1}";
    let output = project.tune(&[space]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

#[test]
fn a_misspelled_function_is_named_with_its_neighbour() {
    let project = Project::python("fixture.py:desend", "");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(6));
    let shown = stderr(&output);
    assert!(shown.contains("did you mean `descend`"), "{shown}");
}

#[test]
fn a_python_that_does_not_work_is_refused_before_anything_runs() {
    let project = Project::python("fixture.py:descend", "");
    let python = project.path().join("python");
    std::fs::write(&python, "#!/bin/sh\necho 'no encodings' >&2\nexit 1\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, executable).unwrap();
    let output = project.run(&["train.python=./python"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(
        stderr(&output).contains("no encodings"),
        "{}",
        stderr(&output)
    );
    std::fs::write(&python, "#!/bin/sh\necho 3 8 18 /usr/bin/python3.8\n").unwrap();
    let output = project.run(&["train.python=./python"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(
        stderr(&output).contains("Python 3.8.18"),
        "{}",
        stderr(&output)
    );
    assert!(project.store().runs().unwrap().is_empty());
}

#[test]
fn a_dry_run_names_the_interpreter() {
    let project = Project::python("fixture.py:descend", "");
    let output = project.run(&["--dry-run"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains(".venv/bin/python"), "{shown}");
    assert!(shown.contains("fixture.py:descend"), "{shown}");
}
