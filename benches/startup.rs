//! How long a person waits: for a command, and for the first training step.
//!
//! `make bench` builds what is needed and runs this. Everything is measured in
//! one run, so that the figures can be compared; `REPEAT` sets how often each
//! is, and `CONFIG` which experiment runs. Each `explr run` has a store of its
//! own, so it finds no MLflow server and starts one, which must not delay the
//! first step.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A benchmark fails by panicking, as a test does.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const EXPLR: &str = env!("CARGO_BIN_EXE_explr");

fn main() {
    let repeat: usize = std::env::var("REPEAT").map_or(10, |text| text.parse().expect("REPEAT"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = std::env::var_os("CONFIG").unwrap_or("configs/digits.yaml".into());
    let config = root.join(config);
    let python = root.join(".venv/bin/python");

    eprintln!("building the plugin");
    first_step(&config, &["mlflow=off"]);

    let empty = tempfile::tempdir().unwrap();
    let store = empty.path().join(".explr");
    std::fs::create_dir(&store).unwrap();

    let version = measure("explr --version", repeat, || {
        command(Path::new(EXPLR), &["--version"])
    });
    measure("explr runs list, empty store", repeat, || {
        command(Path::new(EXPLR), &["runs", "list", "--store", text(&store)])
    });
    let step = measure("explr run, first step, mlflow off", repeat, || {
        first_step(&config, &["mlflow=off"])
    });
    let tracked = measure("explr run, first step, starting mlflow", repeat, || {
        first_step(&config, &[])
    });
    measure("python -c pass", repeat, || {
        command(&python, &["-c", "pass"])
    });
    let torch = measure("python -c 'import torch'", repeat, || {
        command(&python, &["-c", "import torch"])
    });

    println!();
    for (what, time) in [
        ("explr --version", version),
        ("the first step of explr run, mlflow off", step),
        ("the first step of explr run, starting mlflow", tracked),
    ] {
        let ratio = torch.as_secs_f64() / time.as_secs_f64();
        println!("import torch takes {ratio:.1} times as long as {what}");
    }
}

/// Measures something `repeat` times, prints a line about it and returns the
/// median.
fn measure(what: &str, repeat: usize, mut once: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..repeat).map(|_| once()).collect();
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "{what:<40} {:>9.1} ms   ({:.1} to {:.1}, {repeat} times)",
        millis(median),
        millis(times[0]),
        millis(times[times.len() - 1]),
    );
    median
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that a command takes.
fn command(program: &Path, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let took = began.elapsed();
    assert!(status.success(), "{} {arguments:?}", program.display());
    took
}

/// The time from the start of `explr run`, with cargo's look at the plugin, to
/// the first metric in the run's journal. The first training step is over then,
/// and where metrics are logged once an epoch, the first epoch.
fn first_step(config: &Path, settings: &[&str]) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join(".explr");
    let began = SystemTime::now();
    let mut run = Command::new(EXPLR)
        .args(["run", text(config), "--json", "epochs=1"])
        .arg(format!("store={}", store.display()))
        .arg("mlflow.sync_timeout=0")
        .args(settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut journal = None;
    for line in BufReader::new(run.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["event"] == "planned" {
            journal = event["folder"].as_str().map(PathBuf::from);
        }
    }
    assert!(run.wait().unwrap().success(), "explr run {settings:?}");
    let metric = first_metric(&journal.expect("no run was planned").join("events.jsonl"));
    // Fails where no server was started, which is as good.
    let _ = Command::new(EXPLR)
        .args(["mlflow-ui", "--stop", "--store", text(&store)])
        .output();
    (UNIX_EPOCH + metric)
        .duration_since(began)
        .unwrap_or_default()
}

/// Time of the first metric of the train function, not of the system, since
/// the epoch.
fn first_metric(journal: &Path) -> Duration {
    BufReader::new(std::fs::File::open(journal).unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|event| {
            event["type"] == "metric" && !event["key"].as_str().unwrap().starts_with("system/")
        })
        .map(|event| Duration::from_millis(event["ts"].as_u64().unwrap()))
        .expect("the train function logged no metric")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
