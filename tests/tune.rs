//! `explr tune`: studies begin, go on, end, and are fed back.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, events, stderr};
use explr_protocol::Event;
use explr_study::{History, Trial, TrialState};
use std::collections::BTreeSet;

/// A bowl with its bottom at x = 1, y = -2.
const BOWL: &str =
    "search_space:\n  x: {type: float, low: -5, high: 5}\n  y: {type: float, low: -5, high: 5}\n";

fn code(project: &Project, arguments: &[&str]) -> i32 {
    project.tune(arguments).status.code().unwrap()
}

fn params(trial: &Trial) -> Vec<String> {
    let params = trial.params.iter();
    params
        .map(|(name, assigned)| format!("{name}={}", assigned.external()))
        .collect()
}

fn all_params(history: &History) -> Vec<Vec<String>> {
    history.trials().iter().map(params).collect()
}

#[test]
fn a_study_runs_its_trials_and_gets_better() {
    let project = Project::new("bowl", BOWL);
    assert_eq!(code(&project, &["--n-trials", "40", "--jobs", "2"]), 0);
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Complete), 40);
    let numbers: Vec<u64> = history.trials().iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    assert!(history.best().unwrap().values[0] < 1.0);
    // Each trial is a run that can be looked at, and the study is one too.
    assert_eq!(project.store().runs().unwrap().len(), 41);
}

#[test]
fn the_total_is_for_the_whole_study_and_more_is_for_what_is_added() {
    let project = Project::new("bowl", BOWL);
    let finished = || project.history("test").trials().len();
    assert_eq!(code(&project, &["--n-trials", "3"]), 0);
    assert_eq!(code(&project, &["--n-trials", "5"]), 0);
    assert_eq!(finished(), 5);
    assert_eq!(code(&project, &["--n-trials", "5"]), 4, "nothing to do");
    assert_eq!(code(&project, &["--more", "2"]), 0);
    assert_eq!(finished(), 7);
}

#[test]
fn one_job_and_one_seed_give_the_same_trials() {
    let run = |split: bool| {
        let project = Project::new("bowl", &format!("seed: 7\n{BOWL}"));
        if split {
            assert_eq!(code(&project, &["--n-trials", "9"]), 0);
        }
        assert_eq!(code(&project, &["--n-trials", "20"]), 0);
        let history = project.history("test");
        let values: Vec<u64> = history
            .trials()
            .iter()
            .map(|t| t.values[0].to_bits())
            .collect();
        (all_params(&history), values)
    };
    let whole = run(false);
    assert_eq!(whole, run(false));
    assert_eq!(whole, run(true), "a resumed study draws the same");
}

#[test]
fn a_changed_space_is_refused_unless_forced() {
    let project = Project::new("bowl", BOWL);
    assert_eq!(code(&project, &["--n-trials", "3"]), 0);
    let wider = ["--n-trials", "6", "search_space.x.high=9"];
    let refused = project.tune(&wider);
    assert_eq!(refused.status.code(), Some(3));
    let said = stderr(&refused);
    assert!(
        said.contains('x') && said.contains('9') && said.contains("--force"),
        "{said}"
    );
    assert_eq!(project.history("test").trials().len(), 3);
    assert_eq!(code(&project, &[&wider[..], &["--force"]].concat()), 0);
    assert_eq!(
        code(&project, &[&wider[..], &["--study", "other"]].concat()),
        0
    );
    assert_eq!(project.history("other").trials().len(), 6);
}

#[test]
fn pruned_trials_end_early_and_lose_their_checkpoints() {
    let more = format!("{BOWL}tune: {{pruner: {{name: median, n_startup_trials: 4}}}}\n");
    let project = Project::new("bowl", &more);
    assert_eq!(code(&project, &["--n-trials", "30"]), 0);
    let history = project.history("test");
    let pruned: Vec<&Trial> = history
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Pruned)
        .collect();
    assert!(!pruned.is_empty());
    for trial in pruned {
        let (step, value) = trial.last_report().unwrap();
        assert!(step < 9, "trial {} was not cut short", trial.number);
        assert_eq!(trial.values, [value]);
        let run = project.run_of(trial);
        assert!(!run.checkpoint_dir().exists());
        let reports = events(&run)
            .into_iter()
            .filter(|event| matches!(event, Event::Report { .. }))
            .count();
        assert_eq!(reports, trial.intermediate.len());
    }
}

#[test]
fn conditions_and_fixed_values_reach_the_train_function() {
    let project = Project::new(
        "echoes",
        "search_space:\n  optimizer: {type: categorical, choices: [sgd, adam]}\n  \
         momentum: {type: float, low: 0, high: 1, when: {optimizer: sgd}}\n  \
         model: {depth: {type: int, low: 1, high: 3}}\n  \
         nesterov: {value: true, when: {optimizer: sgd}}\n",
    );
    assert_eq!(
        code(&project, &["--n-trials", "12", "--sampler", "random"]),
        0
    );
    let history = project.history("test");
    let mut seen = BTreeSet::new();
    for trial in history.trials() {
        let manifest = project.run_of(trial).manifest().unwrap();
        let given = &manifest.hyperparameters;
        let sgd = given["optimizer"] == "sgd";
        seen.insert(sgd);
        assert_eq!(given.contains_key("momentum"), sgd);
        assert_eq!(
            given.get("nesterov").is_some_and(|value| value == true),
            sgd
        );
        assert!((1..=3).contains(&given["model"]["depth"].as_i64().unwrap()));
    }
    assert_eq!(seen.len(), 2, "both optimisers were tried");
}

#[test]
fn a_train_function_may_define_its_parameters_itself() {
    let project = Project::new("defines", "");
    assert_eq!(code(&project, &["--n-trials", "25", "--jobs", "2"]), 0);
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Complete), 25);
    for trial in history.trials() {
        assert!(trial.params.contains_key("lr"));
        let depth = trial.param("depth").unwrap().as_i64().unwrap();
        assert_eq!(trial.params.contains_key("width"), depth > 1);
    }
}

#[test]
fn a_grid_tries_everything_once_and_then_has_nothing_to_do() {
    let project = Project::new(
        "bowl",
        "search_space:\n  x: {type: int, low: 0, high: 2}\n  y: {type: categorical, choices: [-2, 3]}\n\
         tune: {sampler: grid}\n",
    );
    assert_eq!(code(&project, &["--jobs", "2"]), 0);
    let history = project.history("test");
    let tried: BTreeSet<_> = all_params(&history).into_iter().collect();
    assert_eq!((history.trials().len(), tried.len()), (6, 6));
    assert_eq!(history.best().unwrap().values, [0.0]);
    assert_eq!(code(&project, &[]), 4);
}

#[test]
fn a_grid_has_an_end_of_its_own_unless_a_number_is_given() {
    let project = Project::new(
        "echoes",
        "search_space: {x: {type: int, low: 1, high: 103}}\ntune: {sampler: grid}\n",
    );
    let finished = || project.history("test").finished();
    assert_eq!(code(&project, &["tune.n_trials=2"]), 0);
    assert_eq!(finished(), 2);
    assert_eq!(code(&project, &["--n-trials", "3"]), 0);
    assert_eq!(finished(), 3);
    assert_eq!(code(&project, &["--jobs", "2"]), 0);
    assert_eq!(finished(), 103);
}

#[test]
fn ranges_on_the_command_line_make_the_space() {
    let project = Project::new("bowl", "hyperparameters: {y: -2}\n");
    let ranges = ["x=uniform[0:2]", "y=choice[-2,-1]"];
    assert_eq!(
        code(&project, &[&ranges[..], &["--n-trials", "8"]].concat()),
        0
    );
    let history = project.history("test");
    for trial in history.trials() {
        assert!((0.0..=2.0).contains(&trial.param("x").unwrap().as_f64().unwrap()));
        assert!([-2, -1].contains(&trial.param("y").unwrap().as_i64().unwrap()));
    }
}

#[test]
fn a_dry_run_takes_ranges_and_runs_nothing() {
    let project = Project::new("bowl", "hyperparameters: {y: -2}\n");
    let output = project.tune(&["x=uniform[0:2]", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("search_space"), "{shown}");
    assert!(!project.path().join(".explr").exists());
}

#[test]
fn a_good_value_ends_the_study() {
    let project = Project::new("bowl", BOWL);
    assert_eq!(code(&project, &["--n-trials", "200", "--stop-at", "30"]), 0);
    let history = project.history("test");
    assert!(history.trials().len() < 200);
    assert!(history.best().unwrap().values[0] <= 30.0);
}

#[test]
fn the_best_parameters_can_be_run_again() {
    let project = Project::new("bowl", BOWL);
    assert_eq!(code(&project, &["--n-trials", "10"]), 0);
    let history = project.history("test");
    let best = history.best().unwrap();
    let printed = project
        .explr()
        .args(["study", "best", "test"])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", stderr(&printed));
    std::fs::write(project.path().join("best.yaml"), &printed.stdout).unwrap();
    let trial = format!("test#{}", best.number);
    for arguments in [["--params", "best.yaml"], ["--from-trial", &trial]] {
        let again = project.run(&arguments);
        assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
        let run = project.store().run("last").unwrap();
        let value = run.summary().unwrap().result.unwrap().primary_metric;
        assert_eq!(value.to_bits(), best.values[0].to_bits(), "{arguments:?}");
    }
}

#[test]
fn the_commands_that_are_printed_work_as_they_stand() {
    for elsewhere in [&[][..], &["store=elsewhere"]] {
        let project = Project::new("bowl", BOWL);
        let output = project.tune(&[&["--n-trials", "5"], elsewhere].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let printed = stderr(&output);
        let commands: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("→ explr "))
            .collect();
        assert_eq!(commands.len(), 2, "{printed}");
        for command in commands {
            let mut explr = project.explr();
            let done = explr.args(command.split(' ')).output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{command}: {}", stderr(&done));
        }
    }
}

#[test]
fn a_trial_is_run_again_without_its_configuration_file() {
    let project = Project::new("bowl", BOWL);
    assert_eq!(code(&project, &["--n-trials", "5"]), 0);
    let best = project.history("test").best().unwrap().clone();
    let trial = format!("test#{}", best.number);
    let again = |settings: &[&str]| {
        let mut explr = project.explr();
        let explr = explr.args(["run", "--from-trial", &trial]).args(settings);
        let output = explr.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let run = project.store().run("last").unwrap();
        run.summary().unwrap().result.unwrap().primary_metric
    };
    assert_eq!(again(&[]).to_bits(), best.values[0].to_bits());
    assert_ne!(again(&["x=1", "y=7"]).to_bits(), best.values[0].to_bits());
    let output = project.explr().args(["run", "x=1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn enqueued_trials_come_first() {
    let project = Project::new("bowl", &format!("{BOWL}tune: {{enqueue: [{{x: 1}}]}}\n"));
    assert_eq!(code(&project, &["--n-trials", "2"]), 0);
    let enqueue = ["study", "enqueue", "test", "x=1", "y=-2"];
    let output = project.explr().args(enqueue).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(code(&project, &["--n-trials", "4"]), 0);
    let history = project.history("test");
    assert_eq!(history.trials()[0].param("x").unwrap(), 1.0);
    assert_eq!(history.best().unwrap().values, [0.0]);
    assert_eq!(history.best().unwrap().number, 2);
}

#[test]
fn several_objectives_have_a_front() {
    let project = Project::new(
        "bowl",
        &format!(
            "{BOWL}tune: {{objectives: [{{metric: loss}}, {{metric: x, direction: maximize}}]}}\n"
        ),
    );
    assert_eq!(code(&project, &["--n-trials", "15"]), 0);
    let history = project.history("test");
    assert_eq!(history.directions().len(), 2);
    assert!(!history.pareto_front().is_empty());
    for trial in history.trials() {
        let x = trial.param("x").unwrap().as_f64().unwrap();
        assert_eq!(trial.values[1].to_bits(), x.to_bits());
    }
}

#[test]
fn jobs_that_have_no_room_are_refused_before_anything_runs() {
    let project = Project::new("bowl", &format!("{BOWL}resources: {{gpus: 99}}\n"));
    let output = project.tune(&["--n-trials", "1"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(
        !project
            .path()
            .join(".explr/runs")
            .read_dir()
            .is_ok_and(|mut runs| runs.next().is_some())
    );
}

#[test]
fn a_sweep_runs_every_combination_and_then_what_is_missing() {
    let project = Project::new(
        "bowl",
        "hyperparameters: {x: 1, y: 0}\nsweep:\n  matrix: {y: [-2, 0, 3], train.function: [bowl, echoes]}\n",
    );
    let sweep = |arguments: &[&str]| {
        let command = [&["sweep", "config.yaml", "--jobs", "2"], arguments].concat();
        let output = project.explr().args(command).output().unwrap();
        println!("{}", stderr(&output));
        output
    };
    let planned = sweep(&["--dry-run"]);
    let planned = String::from_utf8(planned.stdout).unwrap();
    assert_eq!(planned.lines().count(), 6, "{planned}");
    assert!(
        planned.lines().any(|line| line == "echoes y=3"),
        "{planned}"
    );
    assert_eq!(sweep(&[]).status.code(), Some(0));
    let history = project.history("test-sweep");
    assert_eq!(history.count(TrialState::Complete), 6);
    for trial in history.trials() {
        let manifest = project.run_of(trial).manifest().unwrap();
        let function = trial.param("train.function").unwrap();
        assert_eq!(manifest.function, function.as_str().unwrap());
        assert_eq!(manifest.hyperparameters["y"], trial.param("y").unwrap());
    }
    assert_eq!(sweep(&[]).status.code(), Some(4), "nothing to do");
}

#[test]
fn a_sweep_over_resources_runs_as_many_at_a_time_as_every_run_has_room_for() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let project = Project::new(
        "echoes",
        &format!("sweep:\n  matrix: {{resources.cpus: [1, {cores}]}}\n"),
    );
    let output = project
        .explr()
        .args(["sweep", "config.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let history = project.history("test-sweep");
    assert_eq!(history.count(TrialState::Complete), history.trials().len());
}

#[test]
fn variables_that_a_fork_can_not_have_start_workers_afresh() {
    let more = format!("{BOWL}worker: {{env: {{OMP_NUM_THREADS: \"3\"}}}}\n");
    let project = Project::new("environment", &more);
    assert_eq!(code(&project, &["--n-trials", "1"]), 0);
    let run = project.run_of(&project.history("test").trials()[0]);
    let log = std::fs::read_to_string(run.log_path()).unwrap();
    assert!(log.contains("OMP_NUM_THREADS=3"), "{log}");
}
