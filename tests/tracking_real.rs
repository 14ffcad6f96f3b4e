//! Tracking against the real MLflow server, read back with its own client.
//! A missing `.venv` is a failure: run `make setup`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use explr::store::journal::Writer;
use explr::tracking::{TrackingError, ui};
use explr_protocol::{Dataset, Direction, Event, Failure, FailureClass, RunState, TrainingResult};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{LIMIT, TestRun, TestStore, python, seen, seen_once, shared};

fn log_steps(run: &mut TestRun, steps: std::ops::Range<i64>) {
    for step in steps {
        run.metric("loss", 1.0 / (step + 1) as f64, step);
        run.metric("acc", step as f64, step);
    }
}

fn explr(store: &TestStore, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_explr"));
    command
        .args(args)
        .arg("--store")
        .arg(store.store.root())
        .current_dir(store.path())
        .env_remove("DISPLAY")
        .stdin(Stdio::null());
    command
}

fn kill_9(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn everything_in_the_journal_is_in_mlflow_once() {
    let store = shared();
    let mut run = store.new_run("all kinds");
    let shipper = store.shipper(&run);
    run.state(RunState::Running);
    run.param("optimizer.name", json!("adam"));
    run.param("optimizer.lr", json!(1e-4));
    run.param("layers", json!([64, 32]));
    run.param("prompt", json!("x".repeat(7000)));
    run.tag("team", "vision");
    run.tag("team", "language");
    for step in 0..2500 {
        run.metric("loss", 1.0 / (step + 1) as f64, step);
        if step % 100 == 0 {
            run.metric("val/acc@5", step as f64, step);
        }
    }
    for (step, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324]
        .into_iter()
        .enumerate()
    {
        run.metric("odd", value, step as i64);
    }
    run.metric("edges", 1.0, i64::MAX);
    run.metric("edges", 2.0, -7);
    run.artifact("plots/a b é.txt", b"hello");
    run.artifact("model/big.bin", &vec![7; 3 << 20]);
    run.artifact("model/empty", b"");
    run.log(Event::Artifact {
        path: "model".into(),
    });
    run.log(Event::Dataset(Dataset {
        name: "digits".into(),
        digest: "abc".into(),
        context: Some("training".into()),
        source: Some("https://example.com/digits".into()),
        schema: Some(json!({"shape": [8, 8]})),
        profile: None,
    }));
    run.log(Event::Dataset(Dataset {
        name: "bare".into(),
        digest: "d".into(),
        context: None,
        source: None,
        schema: None,
        profile: None,
    }));
    run.log(Event::Result(TrainingResult {
        primary_metric: 0.25,
        primary_metric_name: "val_loss".into(),
        direction: Direction::Minimize,
        metrics: BTreeMap::from([("acc".into(), 0.9)]),
        best_model_path: None,
        epochs_completed: Some(3),
        stopped_early: false,
    }));
    run.state(RunState::Completed);
    let report = shipper.finish(LIMIT, support::go_on);
    assert_eq!((report.left, report.set_aside, report.error), (0, 0, None));

    let url = store.server();
    let seen = seen_once(&url, &run);
    seen.assert_metrics_of(&run);
    assert_eq!(seen.status, "FINISHED");
    assert!(seen.end_time.unwrap() > seen.start_time);
    assert_eq!(seen.start_time, 1_700_000_000_000);
    assert_eq!(seen.params["optimizer.name"], "adam");
    assert_eq!(seen.params["optimizer.lr"], "0.0001");
    assert_eq!(seen.params["layers"], "[64,32]");
    assert!(seen.params["prompt"].ends_with("[cut; 7000 characters]"));
    assert_eq!(seen.params.len(), 4);
    assert_eq!(seen.tags["team"], "language");
    assert_eq!(seen.tags["mlflow.user"], "ada");
    assert_eq!(seen.tags["mlflow.source.type"], "LOCAL");
    assert_eq!(
        seen.artifacts.keys().collect::<Vec<_>>(),
        [
            "explr/params/prompt.txt",
            "model/big.bin",
            "model/empty",
            "plots/a b é.txt",
        ]
    );
    assert_eq!(seen.datasets.len(), 2, "{:?}", seen.datasets);
    assert_eq!(seen.datasets[0]["tags"]["mlflow.data.context"], "training");
    let page = format!("{url}/#/experiments/");
    assert!(report.run_url.unwrap().starts_with(&page));
}

#[test]
fn a_run_that_fails_and_goes_on_is_one_run_with_its_last_state() {
    let store = shared();
    let mut run = store.new_run("states");
    run.state(RunState::Running);
    log_steps(&mut run, 0..10);
    run.log(Event::State {
        state: RunState::Failed,
        attempt: 1,
        failure: Some(Failure {
            class: FailureClass::Signal,
            message: "killed by SIGSEGV".into(),
            location: None,
            log_tail: vec![],
        }),
    });
    assert_eq!(store.ship(&run).left, 0);
    let url = store.server();
    let failed = seen_once(&url, &run);
    assert_eq!(failed.status, "FAILED");
    assert_eq!(failed.tags["explr.failure"], "signal: killed by SIGSEGV");

    for state in [RunState::Running, RunState::Completed] {
        let (attempt, failure) = (2, None);
        run.log(Event::State {
            state,
            attempt,
            failure,
        });
        log_steps(&mut run, 10..20);
    }
    assert_eq!(store.ship(&run).left, 0);
    let seen = seen_once(&url, &run);
    assert_eq!((seen.id, seen.status.as_str()), (failed.id, "FINISHED"));
    assert!(!seen.tags.contains_key("explr.failure"));
    seen_once(&url, &run).assert_metrics_of(&run);
}

#[test]
fn what_a_crash_left_behind_is_brought_by_the_next_run() {
    let store = shared();
    let mut crashed = store.new_run("left behind");
    crashed.state(RunState::Running);
    log_steps(&mut crashed, 0..100);
    // Its orchestrator is gone: nobody holds the journal or the run.
    let TestRun {
        run: crashed,
        writer,
        lock,
    } = crashed;
    drop((writer, lock));
    let mut next = store.new_run("left behind");
    next.state(RunState::Running);
    next.state(RunState::Completed);
    assert_eq!(store.ship(&next).left, 0);
    let crashed = TestRun {
        writer: Writer::open(&crashed.journal_path()).unwrap(),
        run: crashed,
        lock: None,
    };
    let seen = seen_once(&store.server(), &crashed);
    assert_eq!(seen.status, "KILLED");
    seen.assert_metrics_of(&crashed);
}

#[test]
fn runs_and_experiments_that_were_deleted_come_back_whole() {
    let store = shared();
    let url = store.server();
    let mut run = store.new_run("deleted");
    let delete = |what: &str| {
        let code = format!(
            "from mlflow import MlflowClient; c = MlflowClient('{url}'); \
             e = c.get_experiment_by_name('deleted').experiment_id; \
             r = c.search_runs([e])[0].info.run_id; c.{what}"
        );
        python(&["-c", &code]);
    };
    run.state(RunState::Running);
    log_steps(&mut run, 0..10);
    assert_eq!(store.ship(&run).left, 0);
    delete("delete_run(r)");
    log_steps(&mut run, 10..20);
    assert_eq!(store.ship(&run).left, 0);
    seen_once(&url, &run).assert_metrics_of(&run);

    delete("delete_experiment(e)");
    log_steps(&mut run, 20..30);
    run.state(RunState::Completed);
    assert_eq!(store.ship(&run).left, 0);
    let runs = seen(&url, run.uuid());
    assert!(!runs.is_empty());
    runs.iter()
        .find(|run| run.status == "FINISHED")
        .unwrap()
        .assert_metrics_of(&run);
}

#[test]
fn a_parameter_keeps_its_first_value_and_the_rest_arrives() {
    let store = shared();
    let mut run = store.new_run("changed parameter");
    run.param("lr", json!(0.1));
    run.param("lr", json!(0.2));
    run.param("wd", json!(0.3));
    log_steps(&mut run, 0..10);
    let report = store.ship(&run);
    assert_eq!((report.left, report.set_aside), (0, 1));
    let seen = seen_once(&store.server(), &run);
    assert_eq!((&*seen.params["lr"], &*seen.params["wd"]), ("0.1", "0.3"));
    seen.assert_metrics_of(&run);
}

#[test]
fn another_store_s_server_is_left_alone() {
    let theirs = shared();
    let url = theirs.server();
    let mut ours = TestStore::new();
    ours.config.port = url.rsplit(':').next().map(|port| port.parse().unwrap());
    let own = ours.server();
    assert_ne!(own, url);
    assert_eq!(theirs.server(), url);
}

#[test]
fn nothing_is_lost_or_doubled_when_the_server_is_killed() {
    let store = TestStore::new();
    let mut run = store.new_run("server killed");
    run.state(RunState::Running);
    let shipper = store.shipper(&run);
    for round in 0..3 {
        store.server();
        log_steps(&mut run, round * 2000..(round + 1) * 2000);
        std::thread::sleep(Duration::from_millis(700 + 350 * round as u64));
        kill_9(store.server_pid());
    }
    run.state(RunState::Completed);
    let report = shipper.finish(LIMIT, support::go_on);
    assert_eq!((report.left, report.set_aside, report.error), (0, 0, None));
    let seen = seen_once(&store.server(), &run);
    seen.assert_metrics_of(&run);
    assert_eq!(seen.status, "FINISHED");
}

#[test]
fn nothing_is_lost_or_doubled_when_the_shipper_is_killed() {
    let store = shared();
    let mut run = store.new_run("shipper killed");
    run.state(RunState::Running);
    log_steps(&mut run, 0..3000);
    run.artifact("model/weights.bin", &vec![3; 8 << 20]);
    log_steps(&mut run, 3000..6000);
    run.state(RunState::Completed);
    let url = store.server();
    let mut killed = 0;
    for round in 0..6 {
        let mut sync = explr(&store, &["sync", run.uuid()])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + 130 * round));
        killed += u32::from(sync.try_wait().unwrap().is_none());
        sync.kill().unwrap();
        sync.wait().unwrap();
    }
    assert!(killed > 0, "no process was killed while it shipped");
    let output = explr(&store, &["sync", run.uuid()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen = seen_once(&url, &run);
    seen.assert_metrics_of(&run);
    assert_eq!(seen.artifacts.len(), 1);
    assert_eq!(seen.status, "FINISHED");
}

#[test]
fn processes_that_start_the_server_at_once_share_it() {
    let store = TestStore::new();
    let start = || {
        let mut command = explr(&store, &["mlflow-ui", "--no-open"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let children = [start(), start(), start()];
    let url = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let urls = children.map(url);
    assert!(urls.iter().all(|url| *url == urls[0]), "{urls:?}");
    let root = store.store.mlflow_dir();
    let pattern = root.join("launch.py").display().to_string();
    let found = Command::new("pgrep")
        .args(["-fc", &pattern])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), "1");

    let status = explr(&store, &["mlflow-ui", "--status"]).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    for part in [
        &urls[0],
        "3.17.2",
        &store.store.root().display().to_string(),
    ] {
        assert!(text.contains(part), "{text}");
    }
    let stop = || {
        explr(&store, &["mlflow-ui", "--stop"])
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(stop(), Some(0));
    assert_eq!(stop(), Some(4));
    assert!(std::net::TcpStream::connect(urls[0].trim_start_matches("http://")).is_err());
}

#[test]
fn a_server_starts_past_a_taken_port_and_what_was_left_of_another() {
    let store = TestStore::new();
    let port = store.config.port.unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let dir = store.store.mlflow_dir();
    std::fs::create_dir_all(&dir).unwrap();
    // The process of this test, as if the number of a dead server had become
    // its own.
    let state = json!({
        "pid": std::process::id(),
        "start_ticks": 1,
        "port": port,
        "started_ms": 1,
        "python": "python",
    });
    std::fs::write(dir.join("server.json"), state.to_string()).unwrap();
    std::fs::write(dir.join("server.lock"), "left behind").unwrap();
    let url = store.server();
    assert!(!url.ends_with(&format!(":{port}")), "{url}");
    assert_ne!(store.server_pid(), std::process::id());
}

#[test]
fn a_server_started_by_hand_on_the_store_s_database_is_used_and_not_stopped() {
    let store = TestStore::new();
    store.server();
    ui::stop(&store.config, store.path(), &store.store).unwrap();
    let dir = store.store.mlflow_dir();
    let port = store.config.port.unwrap().to_string();
    let database = format!("sqlite:///{}", dir.join("mlflow.db").display());
    let mut by_hand = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python"))
        .args(["-m", "mlflow", "server", "--workers", "1", "--port", &port])
        .args(["--backend-store-uri", &database])
        .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let find = || ui::find(&store.config, store.path(), &store.store).unwrap();
    let running = loop {
        if let Some(running) = find() {
            break running;
        }
        assert!(by_hand.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(running.process, None);
    let refused = ui::stop(&store.config, store.path(), &store.store);
    assert!(
        matches!(refused, Err(TrackingError::NotOurs { .. })),
        "{refused:?}"
    );
    Command::new("kill")
        .arg(by_hand.id().to_string())
        .status()
        .unwrap();
    by_hand.wait().unwrap();
}

#[test]
fn a_database_of_another_mlflow_is_copied_and_named() {
    let template = shared();
    template.server();
    let store = TestStore::new();
    let database = |store: &TestStore| {
        let path = store.store.mlflow_dir().join("mlflow.db");
        path.to_str().unwrap().to_owned()
    };
    std::fs::create_dir_all(store.store.mlflow_dir()).unwrap();
    let copy = "import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b); \
                b.execute(\"update alembic_version set version_num = 'zzz'\"); b.commit()";
    python(&["-c", copy, &database(&template), &database(&store)]);
    let error = ui::ensure(&store.config, store.path(), &store.store).unwrap_err();
    assert!(matches!(error, TrackingError::Schema { .. }), "{error}");
    let copies = std::fs::read_dir(store.store.mlflow_dir()).unwrap();
    let is_copy = |name: &str| name.starts_with("mlflow.db.before-upgrade-");
    assert!(
        copies
            .flatten()
            .any(|file| is_copy(file.file_name().to_str().unwrap()))
    );
}

#[test]
fn sync_says_what_there_is_to_do() {
    let store = shared();
    let mut run = store.new_run("sync");
    run.state(RunState::Running);
    run.state(RunState::Completed);
    let TestRun { run, writer, lock } = run;
    drop((writer, lock));
    let code = |args: &[&str]| explr(&store, args).output().unwrap().status.code();
    let id = run.id().as_str();
    assert_eq!(code(&["sync", id, "--json"]), Some(0));
    let gone = format!("http://127.0.0.1:{}", support::free_port());
    assert_eq!(code(&["sync", id, "--tracking-uri", &gone]), Some(10));
    assert_eq!(
        code(&["sync", id, "--tracking-uri", "sqlite:///x.db"]),
        Some(3)
    );
    assert_eq!(
        code(&["sync", "no-such-run"]),
        code(&["runs", "show", "no-such-run"])
    );
}
