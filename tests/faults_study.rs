//! What goes wrong around a study, and what is left of it (`docs/faults.md`).

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, Running, processes_of, stderr, wait_for};
use explr_study::{History, TrialState};
use nix::sys::signal::Signal;
use std::process::Stdio;

const SPACE: &str =
    "search_space:\n  x: {type: float, low: -5, high: 5}\n  y: {type: float, low: -5, high: 5}\n";

fn start(project: &Project, arguments: &[&str]) -> Running {
    let child = project
        .explr()
        .args(["tune", "config.yaml"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

/// Waits until the study has finished so many trials.
fn wait_for_trials(project: &Project, count: usize) -> History {
    wait_for("trials to finish", || {
        let history = project.try_history("test")?;
        let finished = history
            .trials()
            .iter()
            .filter(|trial| trial.state.is_finished())
            .count();
        (finished >= count).then_some(history)
    })
}

fn states(history: &History) -> [usize; 4] {
    [
        TrialState::Complete,
        TrialState::Failed,
        TrialState::Running,
        TrialState::Waiting,
    ]
    .map(|state| history.count(state))
}

#[test]
fn failed_trials_are_recorded_with_their_reason_and_the_study_goes_on() {
    for (function, class) in [
        ("segfaults", "signal"),
        ("panics", "panic"),
        ("errors", "error"),
        ("aborts", "abort"),
        ("exits", "exit"),
        ("not_a_number", "nan"),
    ] {
        let project = Project::new(function, SPACE);
        let output = project.tune(&["--n-trials", "2"]);
        assert_eq!(
            output.status.code(),
            Some(100),
            "no trial completed: {function}"
        );
        let history = project.history("test");
        assert_eq!(states(&history), [0, 2, 0, 0]);
        for trial in history.trials() {
            let why = trial.user_attrs["explr:failure"].as_str().unwrap();
            assert!(why.starts_with(class), "{function}: {why}");
        }
    }
}

#[test]
fn some_failures_among_many_have_a_code_of_their_own() {
    let project = Project::new("fails_right_of", &format!("{SPACE}seed: 3\n"));
    let output = project.tune(&["--n-trials", "12", "--sampler", "random"]);
    assert_eq!(output.status.code(), Some(5));
    let history = project.history("test");
    let [complete, failed, ..] = states(&history);
    assert!(complete > 0 && failed > 0 && complete + failed == 12);
    let budget = (failed + 1).to_string();
    let within = [
        "--study",
        "again",
        "--n-trials",
        "12",
        "--sampler",
        "random",
        "--max-fail",
        &budget,
    ];
    assert_eq!(project.tune(&within).status.code(), Some(0));
}

#[test]
fn too_many_failures_end_the_study() {
    let project = Project::new("errors", SPACE);
    let output = project.tune(&["--n-trials", "50", "--max-fail", "3"]);
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(project.history("test").trials().len(), 3);
    let fast = project.tune(&["--study", "fast", "--n-trials", "50", "--fail-fast"]);
    assert_eq!(fast.status.code(), Some(101));
    assert_eq!(project.history("fast").trials().len(), 1);
}

#[test]
fn a_hung_trial_times_out_and_the_next_one_runs() {
    let project = Project::new(
        "hangs",
        &format!("{SPACE}worker: {{timeout: 1s, grace: 0s}}\n"),
    );
    let output = project.tune(&["--n-trials", "2", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(100));
    let history = project.history("test");
    for trial in history.trials() {
        assert!(
            trial.user_attrs["explr:failure"]
                .as_str()
                .unwrap()
                .starts_with("timeout")
        );
    }
}

#[test]
fn a_failed_trial_is_repeated_under_its_number_if_the_config_says_so() {
    let project = Project::new("fails_first", &format!("{SPACE}worker: {{retries: 1}}\n"));
    assert_eq!(project.tune(&["--n-trials", "2"]).status.code(), Some(0));
    assert_eq!(states(&project.history("test")), [2, 0, 0, 0]);
}

#[test]
fn a_killed_orchestrator_loses_nothing_and_leaves_nothing_running() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 20}}\n"),
    );
    let arguments = ["--n-trials", "12", "--jobs", "2"];
    let mut explr = start(&project, &arguments);
    let before = wait_for_trials(&project, 3);
    explr.signal(Signal::SIGKILL);
    explr.code();
    for run in project.store().runs().unwrap() {
        wait_for("the workers to end", || {
            processes_of(&run).is_empty().then_some(())
        });
    }
    let output = project.tune(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let history = project.history("test");
    assert_eq!(states(&history), [12, 0, 0, 0]);
    for (old, new) in before.trials().iter().zip(history.trials()) {
        assert_eq!(old.number, new.number);
        for (name, assigned) in &old.params {
            assert_eq!(
                new.params[name].internal.to_bits(),
                assigned.internal.to_bits()
            );
        }
        if old.state == TrialState::Complete {
            assert_eq!(old.values, new.values);
        }
    }
    // One run a trial, and the study's own.
    assert_eq!(project.store().runs().unwrap().len(), 13);
}

#[test]
fn the_first_interrupt_lets_trials_stop_and_the_same_command_continues_them() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let project = Project::new(
            "bowl",
            &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
        );
        let arguments = ["--n-trials", "6", "--jobs", "2"];
        let mut explr = start(&project, &arguments);
        wait_for_trials(&project, 1);
        explr.signal(signal);
        assert_eq!(explr.code(), Some(code));
        let history = project.history("test");
        assert_eq!(history.count(TrialState::Running), 0);
        assert!(history.count(TrialState::Waiting) > 0);
        assert_eq!(project.tune(&arguments).status.code(), Some(0));
        assert_eq!(states(&project.history("test")), [6, 0, 0, 0]);
    }
}

#[test]
fn the_time_limit_has_its_own_code_and_the_study_can_go_on() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 100}}\n"),
    );
    let output = project.tune(&["--n-trials", "100", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(124));
    let history = project.history("test");
    assert_eq!(history.count(TrialState::Running), 0);
    assert!(history.trials().len() < 100);
}

#[test]
fn a_second_orchestrator_is_told_who_has_the_study() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
    );
    let mut first = start(&project, &["--n-trials", "50"]);
    wait_for_trials(&project, 1);
    let second = project.tune(&["--n-trials", "50"]);
    assert_eq!(second.status.code(), Some(8));
    let said = stderr(&second);
    assert!(said.contains(&first.pid().to_string()), "{said}");
    first.signal(Signal::SIGKILL);
    first.code();
}

#[test]
fn a_worker_killed_from_outside_takes_nobody_with_it() {
    let project = Project::new(
        "bowl",
        &format!("{SPACE}hyperparameters: {{pause_ms: 50}}\n"),
    );
    let mut explr = start(&project, &["--n-trials", "6", "--jobs", "2"]);
    wait_for("a worker to kill", || {
        let history = project.try_history("test")?;
        let trial = history
            .trials()
            .iter()
            .find(|trial| trial.state == TrialState::Running)?;
        let run = project.try_run_of(trial)?;
        let victim = processes_of(&run).first().copied()?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), Signal::SIGKILL).ok()
    });
    assert_eq!(explr.code(), Some(5));
    let [complete, failed, running, waiting] = states(&project.history("test"));
    assert_eq!([complete + failed, running, waiting], [6, 0, 0]);
    assert!(failed >= 1);
}

#[test]
fn a_damaged_study_journal_is_refused_with_its_line() {
    let project = Project::new("bowl", SPACE);
    assert_eq!(project.tune(&["--n-trials", "2"]).status.code(), Some(0));
    let journal = project.path().join(".explr/studies/test.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = "garbage";
    std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let output = project.tune(&["--n-trials", "4"]);
    assert_eq!(output.status.code(), Some(9));
    assert!(
        stderr(&output).contains("test.journal, line 2"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_torn_last_line_of_a_study_costs_that_line_alone() {
    use std::io::Write;
    let project = Project::new("bowl", SPACE);
    assert_eq!(project.tune(&["--n-trials", "2"]).status.code(), Some(0));
    let journal = project.path().join(".explr/studies/test.journal");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .unwrap();
    file.write_all(b"{\"op_code\":4,\"worker").unwrap();
    assert_eq!(project.tune(&["--n-trials", "4"]).status.code(), Some(0));
    assert_eq!(states(&project.history("test")), [4, 0, 0, 0]);
}

#[test]
fn what_trials_leave_behind_is_ended() {
    let project = Project::new(
        "has_children",
        &format!("{SPACE}hyperparameters: {{return: true}}\n"),
    );
    let output = project.tune(&["--n-trials", "3", "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(0));
    for run in project.store().runs().unwrap() {
        assert_eq!(processes_of(&run), [0; 0]);
    }
}
