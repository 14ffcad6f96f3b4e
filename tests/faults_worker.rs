//! A worker that dies takes nobody with it, and its end has a name (P6).

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{Project, assert_bounded, events, is_alive, metrics, stderr, wait_for};
use explr_protocol::{Event, FailureClass, RunState};

fn fails_as(function: &str, class: FailureClass, message: &str) -> Project {
    let project = Project::new(function, "");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, class);
    assert!(failure.message.contains(message), "{failure:?}");
    let shown = stderr(&output);
    assert!(shown.contains(&format!("failed ({class})")), "{shown}");
    project
}

#[test]
fn a_segmentation_fault_is_named_and_its_last_lines_are_kept() {
    let project = fails_as("segfaults", FailureClass::Signal, "SIGSEGV");
    assert_eq!(project.failure().log_tail, ["about to crash"]);
    assert_eq!(metrics(&project.only_run()), [("loss".into(), 0, 1.0)]);
}

#[test]
fn an_abort_is_named() {
    fails_as("aborts", FailureClass::Abort, "SIGABRT");
}

#[test]
fn a_cpp_exception_keeps_its_words() {
    fails_as(
        "throws",
        FailureClass::Abort,
        "uncaught C++ exception std::runtime_error: the tensor library is unhappy",
    );
}

#[test]
fn a_panic_has_its_message_and_place() {
    let project = fails_as("panics", FailureClass::Panic, "index out of bounds");
    let location = project.failure().location.unwrap();
    assert!(location.contains("lib.rs:"), "{location}");
}

#[test]
fn a_plugin_that_aborts_on_panic_tells_the_panic_first() {
    let plugin = common::build_plugins("abort").join("libfixture.so");
    let project = Project::with_plugin(&plugin, "panics", "");
    assert_eq!(project.run(&[]).status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Panic);
    assert!(
        failure.message.contains("index out of bounds"),
        "{failure:?}"
    );
    assert!(failure.location.unwrap().contains("lib.rs:"));
}

#[test]
fn an_error_has_its_message_and_place() {
    let project = fails_as("errors", FailureClass::Error, "No such file or directory");
    let location = project.failure().location.unwrap();
    assert!(location.contains("lib.rs:"), "{location}");
}

#[test]
fn a_worker_that_exits_is_no_success() {
    fails_as("exits", FailureClass::Exit, "code 3");
}

#[test]
fn an_objective_that_is_no_number_fails_the_run_and_its_metrics_stay() {
    let project = fails_as("not_a_number", FailureClass::Nan, "NaN");
    let logged = metrics(&project.only_run());
    assert!(logged[0].2.is_nan());
    assert!(logged[1].2.is_infinite());
}

#[test]
fn a_hung_worker_is_asked_and_then_killed() {
    let project = Project::new("hangs", "worker: {timeout: 1s, grace: 500ms}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("worker.timeout"), "{failure:?}");
    assert!(stderr(&output).contains("to stop"), "{}", stderr(&output));
}

#[test]
fn a_frozen_worker_is_noticed_by_its_silence() {
    let project = Project::new("freezes", "worker: {heartbeat_timeout: 2s, grace: 500ms}");
    assert_eq!(project.run(&[]).status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("heartbeat_timeout"), "{failure:?}");
}

#[test]
fn a_worker_without_progress_is_noticed_though_its_heart_beats() {
    let project = Project::new("hangs", "worker: {progress_timeout: 2s, grace: 500ms}");
    assert_eq!(project.run(&[]).status.code(), Some(100));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("progress_timeout"), "{failure:?}");
}

#[test]
fn endless_output_is_drained_and_bounded() {
    let project = Project::new("prints", "hyperparameters: {megabytes: 100}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    let run = project.only_run();
    assert_bounded(&run);
    let shown = stderr(&output);
    assert!(shown.contains("more lines in its log"), "{shown}");
    assert!(shown.len() < 1 << 20, "{}", shown.len());
}

#[test]
fn what_a_train_function_leaves_behind_is_ended() {
    let project = Project::new("has_children", "hyperparameters: {return: true}");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let pids = std::fs::read_to_string(project.only_run().artifact_dir().join("pids")).unwrap();
    for pid in pids.split(' ') {
        let pid = pid.parse().unwrap();
        wait_for("a stray to end", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn a_failed_attempt_is_repeated_if_the_config_says_so() {
    let project = Project::new("fails_first", "worker: {retries: 2, retry_on: [abort]}");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    let run = project.only_run();
    let summary = run.summary().unwrap();
    assert_eq!(summary.state, RunState::Completed);
    assert_eq!(summary.attempt, 2);
    let states: Vec<_> = events(&run)
        .into_iter()
        .filter_map(|event| match event {
            Event::State {
                state,
                attempt,
                failure,
            } => Some((state, attempt, failure.map(|failure| failure.class))),
            _ => None,
        })
        .collect();
    assert_eq!(
        states,
        [
            (RunState::Created, 1, None),
            (RunState::Running, 1, None),
            (RunState::Running, 2, Some(FailureClass::Abort)),
            (RunState::Completed, 2, None),
        ]
    );
}

#[test]
fn a_failure_of_another_class_is_not_repeated() {
    let project = Project::new("fails_first", "worker: {retries: 2, retry_on: [signal]}");
    assert_eq!(project.run(&[]).status.code(), Some(100));
    assert_eq!(project.only_run().summary().unwrap().attempt, 1);
}

#[test]
fn a_worker_gets_its_share_of_the_cores_and_its_environment() {
    let more = "resources: {cpus: 1}\nseed: 7\nworker: {env: {FIXTURE: \"${env:GIVEN}\"}}";
    let project = Project::new("environment", more);
    let output = project
        .explr()
        .args(["run", "config.yaml"])
        .env("GIVEN", "hello")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = project.only_run();
    let log = std::fs::read_to_string(run.log_path()).unwrap();
    for line in [
        "OMP_NUM_THREADS=1",
        "FIXTURE=hello",
        "LD_LIBRARY_PATH=\n",
        "threads=1 seed=7",
    ] {
        assert!(log.contains(line), "{log}");
    }
    let manifest = serde_json::to_string(&run.manifest().unwrap()).unwrap();
    assert!(manifest.contains("${env:GIVEN}"), "{manifest}");
}
