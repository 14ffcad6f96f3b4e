//! Kills the worker, explr and the MLflow server at random moments, lets
//! explr run again, and compares MLflow with the journals, metric by metric
//! (P1, P2, P3, P5). `ROUNDS` kills, 3 unless the environment says otherwise;
//! `SEED` repeats a sequence.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;
#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use common::chaos::{Random, Server, kill_server, number, server};
use common::{Project, Running, metrics, processes_of, stderr, wait_for};
use explr::store::RunDir;
use explr::store::journal::Writer;
use explr_protocol::RunState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use support::{TestRun, free_port, seen_once};

const STEPS: i64 = 150;

#[test]
fn whatever_is_killed_mlflow_ends_up_with_exactly_what_the_journal_holds() {
    let rounds = number("ROUNDS").unwrap_or(3);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("ROUNDS={rounds} SEED={seed}");
    let mut random = Random(seed);
    let more = format!(
        "hyperparameters: {{steps: {STEPS}, pause_ms: 10, lr: 0.001}}\n\
         worker: {{retries: 3, retry_on: [signal]}}\n\
         mlflow: {{port: {}, sync_timeout: 2s, system_metrics_interval: 500ms}}",
        free_port()
    );
    let project = Project::new("descend", &more);
    let venv = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    std::os::unix::fs::symlink(venv, project.path().join(".venv")).unwrap();
    let _server = Server(&project);

    for round in 0..rounds {
        let setting = format!("seed={round}");
        let mut explr = project.start(&[&setting]);
        let run = wait_for("the round's run", || {
            newest(&project).filter(|run| run.manifest().is_ok_and(|m| m.seed == round))
        });
        std::thread::sleep(Duration::from_millis(random.below(2500)));
        let victims = ["worker", "explr", "MLflow", "everything"];
        let victim = victims[random.index(4)];
        println!("round {round}: {victim}");
        strike(&project, &explr, &run, victim);
        explr.code();
        wait_for("the worker to end", || {
            processes_of(&run).is_empty().then_some(())
        });
        if run.summary().unwrap().state != RunState::Completed {
            let output = project.run(&[&setting]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
    }

    let sync = project.explr().args(["sync", "--all"]).output().unwrap();
    assert!(
        // 4: the runs brought everything themselves.
        matches!(sync.status.code(), Some(0 | 4)),
        "{}",
        stderr(&sync)
    );
    let url = server(&project).expect("a server").url;
    let runs = project.store().runs().unwrap();
    assert_eq!(runs.len() as u64, rounds);
    for run in runs {
        assert_eq!(run.summary().unwrap().state, RunState::Completed);
        assert_eq!(metrics(&run).len() as i64, 2 * STEPS);
        let run = TestRun {
            lock: None,
            writer: Writer::open(&run.journal_path()).unwrap(),
            run,
        };
        let seen = seen_once(&url, &run);
        seen.assert_metrics_of(&run);
        assert_eq!(seen.status, "FINISHED");
        assert_eq!(seen.params["steps"], STEPS.to_string());
    }
}

fn strike(project: &Project, explr: &Running, run: &RunDir, victim: &str) {
    if matches!(victim, "worker" | "everything") {
        for pid in processes_of(run) {
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

fn newest(project: &Project) -> Option<RunDir> {
    let store = explr::store::Store::existing(&project.path().join(".explr")).ok()?;
    store.runs().ok()?.pop()
}
