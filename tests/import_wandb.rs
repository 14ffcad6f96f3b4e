//! `explr import wandb`: what it writes, that explr takes it, and what it
//! refuses.

#![allow(clippy::unwrap_used)] // Tests fail by panicking.

mod common;

use common::{Project, fixture, stderr};
use explr::Exit;
use explr::config::{Loaded, from_str, interpolate, load};
use explr::import::wandb;
use explr_study::{Distribution, TrialState};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn explr(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_explr"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn import(folder: &Path, arguments: &[&str]) -> Output {
    explr(folder, &[&["import", "wandb"], arguments].concat())
}

/// The sweeps of a folder below `tests/wandb`, in order.
fn sweeps(folder: &str) -> (PathBuf, Vec<String>) {
    let folder = Path::new(ROOT).join("tests/wandb").join(folder);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut names: Vec<String> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    (folder, names)
}

fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("wandb/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Imports a sweep of `tests/wandb` and loads what was made of it.
fn imported(name: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("config.yaml");
    let (sweeps, _) = sweeps("");
    let output = import(&sweeps, &[name, "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    load(&out, &[], std::iter::empty()).unwrap()
}

#[test]
fn a_sweep_becomes_a_configuration_and_says_what_is_different() {
    let (folder, names) = sweeps("");
    assert!(names.len() >= 6, "{names:?}");
    snapshots().bind(|| {
        for name in names {
            let output = import(&folder, &[&name]);
            assert!(output.status.success(), "{name}: {}", stderr(&output));
            let shown = format!(
                "{}-- stderr --\n{}",
                String::from_utf8(output.stdout.clone()).unwrap(),
                stderr(&output)
            );
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), shown);
        }
    });
}

#[test]
fn what_is_written_is_what_tune_takes() {
    let plugin = Path::new(ROOT).join("tests/bad_configs/plugin");
    let (folder, names) = sweeps("");
    for name in names {
        let project = tempfile::tempdir().unwrap();
        let out = project.path().join("config.yaml");
        let output = import(&folder, &[&name, "--out", out.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let train = ["--train-fn", plugin.to_str().unwrap()];
        let dry = explr(
            project.path(),
            &[&["tune", "config.yaml", "--dry-run"], &train[..]].concat(),
        );
        assert!(dry.status.success(), "{name}: {}", stderr(&dry));
        let dry = explr(project.path(), &["tune", "config.yaml", "--dry-run"]);
        let sweep = std::fs::read_to_string(folder.join(&name)).unwrap();
        if sweep.contains("program:") {
            let plan = String::from_utf8(dry.stdout).unwrap();
            assert!(plan.contains("#   code      command in "), "{plan}");
            continue;
        }
        // Without one, explr asks for the train function and nothing else.
        assert_eq!(dry.status.code(), Some(Exit::Config as i32), "{name}");
        assert!(stderr(&dry).contains("names no train function"), "{name}");
    }
}

#[test]
fn a_word_that_is_a_variable_is_read_when_it_runs() {
    let project = Project::with_script("", "");
    let sweep = "method: grid\nprogram: a.py\nparameters: {x: {values: [1, 2]}}\n\
                 command: [echo, '${envvar:GIVEN}', '${args_no_hyphens}']\n";
    std::fs::write(project.path().join("sweep.yaml"), sweep).unwrap();
    let output = import(project.path(), &["sweep.yaml", "--out", "new.yaml"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let given = [("GIVEN".to_owned(), "here".to_owned())];
    let loaded = load(&project.path().join("new.yaml"), &[], given.into_iter()).unwrap();
    let words = &loaded.config.train.command;
    assert_eq!(words.as_deref().unwrap(), ["echo", "${env:GIVEN}", "x={x}"]);
    let missing = load(&project.path().join("new.yaml"), &[], std::iter::empty());
    assert!(missing.unwrap_err().to_string().contains("GIVEN"));
}

#[test]
fn an_imported_grid_runs_every_combination_and_no_more() {
    let project = Project::new("bowl", "");
    let sweep = "project: bowls\nmethod: grid\nmetric: {name: loss}\nparameters:\n  \
                 x: {values: [0.5, 1, 2]}\n  y: {value: -2}\n";
    std::fs::write(project.path().join("sweep.yaml"), sweep).unwrap();
    let arguments = ["sweep.yaml", "--out", "config.yaml", "--force"];
    let output = import(project.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let train = format!("{}:bowl", fixture().display());
    let output = project.tune(&["--train-fn", &train, "mlflow=off"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let history = project.history("bowls");
    assert_eq!(history.count(TrialState::Complete), 3);
    assert!(history.best().unwrap().values[0].abs() < 1e-9);
}

#[test]
fn what_cannot_be_carried_over_is_refused_with_its_place() {
    let (folder, names) = sweeps("refused");
    snapshots().bind(|| {
        for name in names {
            let output = import(&folder, &[&name]);
            assert_eq!(output.status.code(), Some(Exit::Config as i32), "{name}");
            assert!(output.stdout.is_empty(), "{name}");
            let name = format!("refused_{}", name.trim_end_matches(".yaml"));
            insta::assert_snapshot!(name, stderr(&output));
        }
    });
}

#[test]
fn a_refused_sweep_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sweep.yaml"), "method: grid\n").unwrap();
    let output = import(folder.path(), &["sweep.yaml", "--out", "config.yaml"]);
    assert_eq!(output.status.code(), Some(Exit::Config as i32));
    assert!(!folder.path().join("config.yaml").exists());
}

#[test]
fn a_file_that_is_there_is_replaced_by_force_only() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("config.yaml");
    std::fs::write(&out, "mine").unwrap();
    let (sweeps, _) = sweeps("");
    let sweep = sweeps.join("random.yaml");
    let arguments = [sweep.to_str().unwrap(), "--out", "config.yaml"];
    let output = import(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(Exit::Usage as i32));
    assert!(stderr(&output).contains("`--force`"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    let output = import(folder.path(), &[&arguments[..], &["--force"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(load(&out, &[], std::iter::empty()).is_ok());
}

#[test]
fn a_sweep_that_is_not_there_is_a_configuration_error_with_a_suggestion() {
    let (folder, _) = sweeps("");
    let output = import(&folder, &["randon.yaml"]);
    assert_eq!(output.status.code(), Some(Exit::Config as i32));
    assert!(stderr(&output).contains("did you mean `random.yaml`?"));
}

#[test]
fn ranges_have_the_values_that_they_have_in_wandb() {
    let config = imported("distributions.yaml").config;
    let range = |name: &str| {
        let parameter = config.search_space().get(name).unwrap().clone();
        parameter.distribution().unwrap().clone()
    };
    let ends = |name: &str| match range(name) {
        Distribution::Float(range) => (range.low(), range.high()),
        other => panic!("{name}: {other:?}"),
    };
    // Exponents of e, and their inverse.
    assert_eq!(ends("log_uniform"), (1e-4, 0.1));
    assert_eq!(ends("inv_log_uniform"), (1e-4, 0.1));
    assert_eq!(ends("inv_log_uniform_values"), (1e-4, 0.1));
    // What is rounded to 0.1 lies between 0.1 and 1.
    assert_eq!(ends("q_uniform_off"), (0.1, 1.0));
    assert_eq!(range("q_uniform").count(), Some(21));
    // 16 is rounded to 0, but all above it to 32.
    let Distribution::Int(inwards) = range("q_uniform_halfway") else {
        panic!("no whole numbers")
    };
    assert_eq!((inwards.low(), inwards.high()), (32, 512));
    // Whole numbers can have a logarithm.
    let Distribution::Int(ones) = range("q_log_uniform") else {
        panic!("no whole numbers")
    };
    assert_eq!((ones.low(), ones.high(), ones.is_log()), (1, 1024, true));
    let Distribution::Int(steps) = range("q_log_uniform_values") else {
        panic!("no whole numbers")
    };
    assert_eq!((steps.low(), steps.high(), steps.step()), (16, 512, 16));
}

#[test]
fn a_grid_has_as_many_trials_as_in_wandb() {
    let loaded = imported("grid.yaml");
    // 3 of base, 4 of depth, 8 to 24 of width, 0.1 to 0.4 of dropout.
    let space = loaded.config.search_space();
    let counts = space
        .parameters()
        .iter()
        .filter_map(|parameter| parameter.distribution()?.count());
    assert_eq!(counts.product::<u64>(), 3 * 4 * 3 * 4);
    assert_eq!(loaded.config.tune.n_trials, None);
}

#[test]
fn nested_names_and_values_arrive() {
    let config = imported("nested.yaml").config;
    let optimizer = json!({"betas": [0.9, 0.999], "nadam": {"value": {"nesterov": true}}});
    assert_eq!(config.hyperparameters["optimizer"], optimizer);
    let space = config.search_space();
    assert!(space.get("optimizer.type").is_some());
    assert!(space.get("optimizer.nadam.beta").is_some());
    assert_eq!(space.parameters().len(), 3);
}

#[test]
fn texts_arrive_as_they_are() {
    let config = imported("fixed.yaml").config;
    let data = json!({"folder": "${env:HOME}/x", "parts": ["$${env:NOPE}", "${HOME}"]});
    let used = interpolate::json(&config.hyperparameters["data"]).unwrap();
    assert_eq!(used, data);
}

#[test]
fn a_mangled_sweep_is_taken_or_refused_and_what_is_taken_loads() {
    let mut taken = 0;
    let mut refused = 0;
    for folder in ["", "refused"] {
        let (folder, names) = sweeps(folder);
        for name in names {
            let text = std::fs::read_to_string(folder.join(&name)).unwrap();
            for mangled in mangled(&text) {
                match wandb::from_str(Path::new(&name), &mangled) {
                    Ok(made) => {
                        let dir = Path::new("");
                        from_str(&name, &made.yaml, dir, &[], std::iter::empty())
                            .unwrap_or_else(|error| panic!("{mangled}\n{error}"));
                        taken += 1;
                    }
                    Err(error) => {
                        // Never a place in a text that nobody sees.
                        let shown = error.to_string();
                        assert!(shown.contains(&name), "{mangled}\n{shown}");
                        assert!(!shown.contains("new configuration"), "{mangled}\n{shown}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(
        taken > 50 && refused > 50,
        "{taken} taken, {refused} refused"
    );
}

/// The text without each of its lines, and with another value in each.
fn mangled(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let values = [
        "",
        " -1",
        " 1e300",
        " [1, 1e-320]",
        " {x: ~}",
        " 'a\u{e4}: #\\'",
        " off",
    ];
    let mut mangled = Vec::new();
    for at in 0..lines.len() {
        let with = |line: Option<String>| {
            let before = lines[..at].iter().map(|&line| line.to_owned());
            let after = lines[at + 1..].iter().map(|&line| line.to_owned());
            let all: Vec<String> = before.chain(line).chain(after).collect();
            all.join("\n") + "\n"
        };
        mangled.push(with(None));
        if let Some((key, _)) = lines[at].split_once(':') {
            mangled.extend(values.map(|value| with(Some(format!("{key}:{value}")))));
        }
        if let Some((key, _)) = lines[at].rsplit_once(':') {
            mangled.extend(values.map(|value| with(Some(format!("{key}:{value}}}")))));
        }
    }
    mangled
}
