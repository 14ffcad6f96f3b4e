//! A worker of Python that dies takes nobody with it, and its end has a name
//! (P6); nothing survives explr (P5), and no metric is lost (P1).

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{
    Project, assert_bounded, assert_reconciled, events, is_alive, metrics, processes_of, stderr,
    wait_for,
};
use explr::store::Store;
use explr_protocol::{Event, FailureClass, LogLevel, RunState};
use nix::sys::signal::Signal;

fn fails_as(function: &str, more: &str, class: FailureClass, message: &str) -> Project {
    let project = Project::python(&format!("fixture.py:{function}"), more);
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
    let failure = project.failure();
    assert_eq!(failure.class, class, "{failure:?}");
    assert!(failure.message.contains(message), "{failure:?}");
    let shown = stderr(&output);
    assert!(shown.contains(&format!("failed ({class})")), "{shown}");
    project
}

#[test]
fn an_exception_has_its_message_its_cause_and_its_place() {
    let project = fails_as(
        "raises",
        "",
        FailureClass::Error,
        "ValueError: the data is unusable",
    );
    let failure = project.failure();
    assert!(
        failure.message.contains("KeyError: 'missing'"),
        "{failure:?}"
    );
    let location = failure.location.unwrap();
    assert!(location.contains("fixture.py:"), "{location}");
    let traceback = events(&project.only_run())
        .into_iter()
        .any(|event| match event {
            Event::Log {
                level: LogLevel::Error,
                message,
            } => message.contains("Traceback"),
            _ => false,
        });
    assert!(traceback);
    let run = project.only_run();
    for kept in [
        run.log_path(),
        run.artifact_dir().join("failures/attempt-1.txt"),
    ] {
        let text = std::fs::read_to_string(kept).unwrap();
        assert!(text.contains("in raises"), "{text}");
    }
}

#[test]
fn a_segmentation_fault_is_named_and_its_metrics_stay() {
    let project = fails_as("segfaults", "", FailureClass::Signal, "SIGSEGV");
    let tail = project.failure().log_tail.join("\n");
    assert!(
        tail.contains("about to crash") && tail.contains("in segfaults"),
        "{tail}"
    );
    assert_eq!(metrics(&project.only_run()), [("loss".into(), 0, 1.0)]);
}

#[test]
fn an_abort_is_named() {
    fails_as("aborts", "", FailureClass::Abort, "SIGABRT");
}

#[test]
fn a_function_that_exits_is_no_success() {
    fails_as("exits", "", FailureClass::Exit, "3");
    fails_as("exits_at_once", "", FailureClass::Exit, "3");
}

#[test]
fn an_objective_that_is_no_number_fails_the_run_and_its_metrics_stay() {
    let project = fails_as("not_a_number", "", FailureClass::Nan, "NaN");
    let logged = metrics(&project.only_run());
    assert!(logged[0].2.is_nan() && logged[1].2.is_infinite());
}

#[test]
fn a_function_that_returns_nothing_is_told_what_to_return() {
    fails_as("returns_nothing", "", FailureClass::Error, "TrainingResult");
}

#[test]
fn a_full_gpu_is_named() {
    let project = fails_as("out_of_gpu_memory", "", FailureClass::CudaOom, "20.00 GiB");
    assert_eq!(
        project.only_run().summary().unwrap().state,
        RunState::Failed
    );
}

#[test]
fn hung_and_frozen_workers_are_noticed() {
    let timeout = FailureClass::Timeout;
    let more = "worker: {timeout: 1s, grace: 500ms}";
    fails_as("hangs", more, timeout, "worker.timeout");
    let more = "worker: {heartbeat_timeout: 2s, grace: 500ms}";
    fails_as("freezes", more, timeout, "heartbeat_timeout");
    let more = "worker: {progress_timeout: 2s, grace: 500ms}";
    fails_as("hangs", more, timeout, "progress_timeout");
}

#[test]
fn endless_output_is_drained_and_bounded() {
    let project = Project::python("fixture.py:prints", "hyperparameters: {megabytes: 100}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    let run = project.only_run();
    assert_bounded(&run);
    assert!(stderr(&output).len() < 1 << 20);
}

#[test]
fn what_a_function_leaves_behind_is_ended() {
    let more = "hyperparameters: {return: true}";
    let project = Project::python("fixture.py:has_children", more);
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let pids = std::fs::read_to_string(project.only_run().artifact_dir().join("pids")).unwrap();
    for pid in pids.split(' ') {
        let pid = pid.parse().unwrap();
        wait_for("a stray to end", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn a_killed_orchestrator_leaves_no_process_behind() {
    for command in ["run", "tune"] {
        let more = "search_space: {x: {type: float, low: 0, high: 1}}";
        let project = Project::python("fixture.py:has_children", more);
        let mut explr = project.start_command(command, &[]);
        let run = wait_for("a metric", || {
            let runs = Store::existing(&project.path().join(".explr"))
                .ok()?
                .runs()
                .ok()?;
            runs.into_iter().find(|run| {
                let logged = std::fs::read_to_string(run.journal_path());
                logged.is_ok_and(|text| text.contains("\"loss\""))
            })
        });
        assert!(processes_of(&run).len() >= 4);
        explr.signal(Signal::SIGKILL);
        explr.code();
        wait_for("the worker and what is in its group to end", || {
            (processes_of(&run).len() <= 1).then_some(())
        });
        assert_reconciled(&project, &run);
    }
}

#[test]
fn the_first_interrupt_is_gentle() {
    let project = Project::python("fixture.py:waits", "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    let summary = run.summary().unwrap();
    assert_eq!(summary.state, RunState::Interrupted);
    // It ended by itself, with a result.
    assert!(
        events(&run)
            .iter()
            .any(|event| matches!(event, Event::Result(_)))
    );
}

#[test]
fn a_metric_whose_call_returned_survives_the_worker() {
    let project = Project::python("fixture.py:waits", "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    let worker = processes_of(&run)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    assert_eq!(explr.code(), Some(100));
    let steps: Vec<_> = metrics(&run).into_iter().map(|(_, step, _)| step).collect();
    assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>());
    assert!(!steps.is_empty());
}

#[test]
fn a_full_journal_stops_the_training() {
    let project = Project::python(
        "fixture.py:logs_fast",
        "hyperparameters: {metrics: 1000000}",
    );
    let mut command = project.explr();
    command.args(["run", "config.yaml"]);
    common::limit_files(&mut command, 1 << 20);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    assert!(!metrics(&project.only_run()).is_empty());
}

#[test]
fn a_trial_that_dies_costs_the_study_one_trial() {
    let more = "search_space: {x: {type: float, low: 0, high: 1}}\ntune: {n_trials: 2}";
    for function in ["segfaults", "exits_at_once", "raises"] {
        let project = Project::python(&format!("fixture.py:{function}"), more);
        let output = project.tune(&[]);
        assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
        assert_eq!(project.history("test").trials().len(), 2);
    }
}
