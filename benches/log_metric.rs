//! What a metric costs the training, and what millions of them cost in memory.
//!
//! `log_metric` is called `CALLS` times from a plugin in a real worker, with
//! MLflow off, down (nobody listens), hanging (a server that never answers)
//! and up (the real server). Then the memory of explr and of its worker is
//! watched while the worker logs `MILLIONS` million metrics.

#![allow(clippy::unwrap_used)] // A benchmark fails by panicking, as a test does.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Project, processes_of, stderr};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

fn main() {
    let calls = number("CALLS", 1_000_000);
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let hanging = silent.local_addr().unwrap().port();
    let closed = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let at =
        |port| format!("mlflow: {{tracking_uri: \"http://127.0.0.1:{port}\", sync_timeout: 1s}}");
    println!("{calls} calls of log_metric from a plugin");
    println!("MLflow       calls/s    median       99 %");
    measure("off", calls, "mlflow: off");
    measure("down", calls, &at(closed));
    measure("hanging", calls, &at(hanging));
    measure("up", calls, "mlflow: {sync_timeout: 1s}");
    watch_memory(number("MILLIONS", 10) * 1_000_000);
}

fn measure(name: &str, calls: u64, mlflow: &str) {
    let more = format!("hyperparameters: {{calls: {calls}}}\n{mlflow}");
    let project = Project::new("logs_fast", &more);
    link_environment(&project);
    if name == "up" {
        explr(&project, &["mlflow-ui", "--no-open"]);
    }
    explr(&project, &["run", "config.yaml", "--quiet"]);
    let result = project.only_run().summary().unwrap().result.unwrap();
    println!(
        "{name:<8} {:>11.0} {:>6.2} µs {:>7.2} µs",
        result.primary_metric, result.metrics["median_us"], result.metrics["p99_us"]
    );
    if name == "up" {
        explr(&project, &["mlflow-ui", "--stop"]);
    }
}

/// Prints what explr and its worker hold at every tenth of the way.
fn watch_memory(most: u64) {
    let mlflow = "mlflow: {sync_timeout: 1s}";
    let project = Project::new(
        "counts",
        &format!("hyperparameters: {{most: {most}}}\n{mlflow}"),
    );
    link_environment(&project);
    let mut explr = project.start(&["--quiet"]);
    let run = project.wait_for_metric();
    let worker = processes_of(&run)[0];
    println!("memory while {most} metrics are logged, MLflow up");
    println!("   metrics   explr MiB   worker MiB");
    let mut next = most / 10;
    while explr.0.try_wait().unwrap().is_none() {
        let bytes = std::fs::read(run.artifact_dir().join("acknowledged")).unwrap();
        let logged = u64::from_ne_bytes(bytes.try_into().unwrap());
        if logged >= next {
            let orchestrator = resident(explr.pid().as_raw());
            println!(
                "{logged:>10} {orchestrator:>11.1} {:>12.1}",
                resident(worker)
            );
            next += most / 10;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    self::explr(&project, &["mlflow-ui", "--stop"]);
}

/// Resident memory of a process in MiB; 0 when it has gone.
fn resident(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|text| text.trim().strip_suffix(" kB"))
        .map_or(0.0, |text| text.parse().unwrap());
    kib / 1024.0
}

/// Lets explr find the project's Python, and so MLflow.
fn link_environment(project: &Project) {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    std::os::unix::fs::symlink(environment, project.path().join(".venv")).unwrap();
}

fn explr(project: &Project, arguments: &[&str]) {
    let store = project.path().join(".explr");
    std::fs::create_dir_all(&store).unwrap();
    let output = project.explr().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}
