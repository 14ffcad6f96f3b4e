//! explr can be stopped and killed at any time: nothing survives it (P5), no
//! run stays RUNNING (P3), and a rerun goes on (a crash loses nothing).

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{Project, assert_reconciled, is_alive, metrics, processes_of, stderr, wait_for};
use explr_protocol::RunState;
use nix::sys::signal::Signal;

#[test]
fn a_killed_orchestrator_leaves_no_process_behind() {
    let project = Project::new("has_children", "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    let workers = processes_of(&run);
    assert!(workers.len() >= 3, "{workers:?}");
    explr.signal(Signal::SIGKILL);
    explr.code();
    wait_for("the worker and its child to end", || {
        // The one that left the group is reached by the next command.
        (processes_of(&run).len() <= 1).then_some(())
    });
    assert_reconciled(&project, &run);
}

#[test]
fn a_rerun_continues_what_a_kill_interrupted() {
    let more = "hyperparameters: {steps: 60, pause_ms: 10, lr: 0.01}";
    let whole = Project::new("descend", more);
    assert_eq!(whole.run(&[]).status.code(), Some(0));

    let project = Project::new("descend", more);
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGKILL);
    explr.code();
    let before = metrics(&run).len();
    assert!(before < 120);
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("continues; attempt 2"));
    let summary = project.only_run().summary().unwrap();
    assert_eq!(summary.state, RunState::Completed);
    assert_eq!(metrics(&project.only_run()), metrics(&whole.only_run()));
}

#[test]
fn a_completed_run_is_not_continued() {
    let project = Project::new("descend", "");
    assert_eq!(project.run(&[]).status.code(), Some(0));
    assert_eq!(project.run(&[]).status.code(), Some(0));
    assert_eq!(project.store().runs().unwrap().len(), 2);
}

#[test]
fn other_hyperparameters_are_another_run() {
    let project = Project::new("waits", "hyperparameters: {lr: 1}");
    let mut explr = project.start(&[]);
    project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    let first = project.only_run().id().to_string();
    let refused = project.run(&["--resume", &first, "lr=2"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("hyperparameters.lr"));
    let mut explr = project.start(&["lr=2"]);
    wait_for("the second run", || {
        (project.store().runs().unwrap().len() == 2).then_some(())
    });
    explr.signal(Signal::SIGTERM);
    assert_eq!(explr.code(), Some(143));
}

#[test]
fn the_first_interrupt_is_gentle() {
    let project = Project::new("waits", "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    let summary = run.summary().unwrap();
    assert_eq!(summary.state, RunState::Interrupted);
    // It returned: its result is there.
    assert!(summary.result.is_some());
    assert_eq!(processes_of(&run), Vec::<i32>::new());
}

#[test]
fn the_second_interrupt_ends_a_worker_that_does_not_listen() {
    let project = Project::new("hangs", "worker: {grace: 1h}");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(is_alive(explr.pid().as_raw()));
    explr.signal(Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
    assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
    assert_eq!(processes_of(&run), Vec::<i32>::new());
}

#[test]
fn sigterm_has_its_own_code() {
    let project = Project::new("hangs", "worker: {grace: 300ms}");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    explr.signal(Signal::SIGTERM);
    assert_eq!(explr.code(), Some(143));
    assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
}

#[test]
fn a_metric_whose_call_returned_survives_every_kill() {
    for round in 0..3 {
        let project = Project::new("counts", "");
        let mut explr = project.start(&[]);
        let run = project.wait_for_metric();
        let worker = processes_of(&run)[0];
        std::thread::sleep(std::time::Duration::from_millis(37 * (round + 1)));
        // The worker, the orchestrator, or both.
        if round != 1 {
            let pid = nix::unistd::Pid::from_raw(worker);
            nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
        }
        if round != 0 {
            explr.signal(Signal::SIGKILL);
        }
        explr.code();
        wait_for("the worker to end", || (!is_alive(worker)).then_some(()));
        let bytes = std::fs::read(run.artifact_dir().join("acknowledged")).unwrap();
        let acknowledged = i64::from_ne_bytes(bytes.try_into().unwrap());
        let logged = metrics(&run);
        assert!(acknowledged > 0);
        assert!(
            logged.len() as i64 >= acknowledged,
            "{} of {acknowledged}",
            logged.len()
        );
        for (step, metric) in logged.iter().enumerate() {
            assert_eq!(metric, &("count".to_owned(), step as i64, step as f64));
        }
    }
}
