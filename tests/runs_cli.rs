//! `explr runs` and `explr repair`, as people and programs meet them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store_support;

use assert_cmd::Command;
use explr::store::{RunDir, Store};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use store_support::{abandoned, completed, failed, id, run};
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
    store: Store,
}

impl Fixture {
    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join(".explr")).unwrap();
        Self { dir, store }
    }

    /// Two that went well, one that failed, one that was abandoned.
    fn four() -> Self {
        let fixture = Self::empty();
        run(&fixture.store, 1, "digits", &completed(0.25));
        run(&fixture.store, 2, "digits", &completed(0.125));
        run(&fixture.store, 3, "cifar", &failed());
        run(&fixture.store, 4, "digits", &abandoned());
        fixture.store.reconcile().unwrap();
        fixture
    }

    fn explr(&self, args: &[&str]) -> Output {
        let output = explr(self.dir.path()).args(args).output().unwrap();
        self.output(&output)
    }

    fn output(&self, output: &std::process::Output) -> Output {
        let clean = |bytes: &[u8]| {
            let folder = self.dir.path().display().to_string();
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(&folder, "DIR")
        };
        Output {
            code: output.status.code(),
            out: clean(&output.stdout),
            err: clean(&output.stderr),
        }
    }

    fn run(&self, name: &str) -> RunDir {
        self.store.run(name).unwrap()
    }
}

struct Output {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Output {
    fn ids(&self) -> Vec<String> {
        let rows: Vec<Value> = serde_json::from_str(&self.out).unwrap();
        rows.iter()
            .map(|row| row["short"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn explr(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_explr"));
    command
        .current_dir(dir)
        .env("TZ", "UTC")
        .env_remove("EXPLR_STORE");
    command
}

#[test]
fn runs_are_listed_newest_first() {
    let fixture = Fixture::four();
    // When the abandoned run got its end is now; the rest is fixed.
    let output = fixture.explr(&["runs", "list", "--state", "completed", "--state", "failed"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    insta::assert_snapshot!(output.out, @r"
RUN       EXPERIMENT  STATE              STARTED           DURATION  METRIC          BEST
00000003  cifar       failed (cuda_oom)  2024-11-24 04:39  2.0s
00000002  digits      completed          2024-11-24 03:39  10.0s     val_loss 0.125  0.0625
00000001  digits      completed          2024-11-24 02:39  10.0s     val_loss 0.25   0.125
");
    let all = fixture.explr(&["runs", "list", "--json"]);
    assert_eq!(all.ids(), ["00000004", "00000003", "00000002", "00000001"]);
}

#[test]
fn a_list_can_be_filtered_sorted_and_cut() {
    let fixture = Fixture::four();
    let ids = |args: &[&str]| {
        let args = [&["runs", "list", "--json"], args].concat();
        fixture.explr(&args).ids()
    };
    assert_eq!(ids(&["--experiment", "cifar"]), ["00000003"]);
    assert_eq!(ids(&["--state", "interrupted"]), ["00000004"]);
    assert_eq!(ids(&["--limit", "1"]), ["00000004"]);
    assert_eq!(
        ids(&["--sort", "val_loss"]),
        ["00000002", "00000001", "00000004", "00000003"]
    );
    assert_eq!(
        ids(&["--sort", "val_loss", "--descending", "--limit", "2"]),
        ["00000003", "00000004"]
    );
    assert_eq!(
        ids(&[
            "--sort",
            "duration",
            "--state",
            "failed",
            "--state",
            "completed"
        ])[0],
        "00000003"
    );
    // Without the metric, and with NaN: last, whichever way.
    assert_eq!(ids(&["--sort", "test_acc", "--descending"]).len(), 4);
    assert_eq!(ids(&["--experiment", "no such"]), [""; 0]);
}

#[test]
fn an_empty_store_and_a_missing_one_are_no_errors_for_a_list() {
    let fixture = Fixture::empty();
    let output = fixture.explr(&["runs", "list"]);
    assert_eq!((output.code, output.out.as_str()), (Some(0), ""));
    insta::assert_snapshot!(output.err, @"no runs yet: `explr run` makes the first");
    let nowhere = tempfile::tempdir().unwrap();
    let json = explr(nowhere.path())
        .args(["runs", "list", "--json"])
        .output()
        .unwrap();
    assert_eq!(
        (json.status.code(), json.stdout.as_slice()),
        (Some(0), &b"[]\n"[..])
    );
    assert!(String::from_utf8_lossy(&json.stderr).contains("nothing has been recorded there yet"));
    let show = explr(nowhere.path())
        .args(["runs", "show", "last"])
        .output()
        .unwrap();
    assert_eq!(show.status.code(), Some(4));
    assert!(
        !nowhere.path().join(".explr").exists(),
        "looking makes nothing"
    );
}

#[test]
fn the_store_is_found_from_a_folder_below() {
    let fixture = Fixture::four();
    let below = fixture.dir.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let list = |command: &mut Command, more: &[&str]| {
        let args = [&["runs", "list", "--json"], more].concat();
        let output = command.args(args).output().unwrap();
        fixture.output(&output).ids().len()
    };
    assert_eq!(list(&mut explr(&below), &[]), 4);
    let elsewhere = tempfile::tempdir().unwrap();
    let root = fixture.store.root().to_str().unwrap();
    let mut command = explr(elsewhere.path());
    assert_eq!(list(command.env("EXPLR_STORE", root), &[]), 4);
    let mut command = explr(elsewhere.path());
    command.env("EXPLR_STORE", "/nowhere");
    assert_eq!(list(&mut command, &["--store", root]), 4);
}

#[test]
fn a_completed_run_is_shown_in_whole() {
    let fixture = Fixture::four();
    std::fs::write(
        fixture.run("00000001").mlflow_path(),
        r#"{"server":"own","experiment_id":"1","run_id":"abc","offset":9}"#,
    )
    .unwrap();
    let server = fixture.store.mlflow_dir();
    std::fs::create_dir(&server).unwrap();
    std::fs::write(server.join("server.json"), r#"{"port":5001}"#).unwrap();
    let output = fixture.explr(&["runs", "show", "00000001"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    insta::assert_snapshot!(output.out, @r#"
run         01935c0e-0001-7000-8000-000000000001
experiment  digits
state       completed
started     2024-11-24 02:39:06
ended       2024-11-24 02:39:16
duration    10.0s
val_loss    0.25
epochs      2
model       .explr/runs/01935c0e-0001-7000-8000-000000000001/artifacts/model.pt
function    train_model in ./digits
device      cpu
seed        42
command     explr run digits.yaml
git         0123456789ab (main, with changes)
host        ada@box (linux, 2 cores)
MLflow      http://127.0.0.1:5001/#/experiments/1/runs/abc
folder      .explr/runs/01935c0e-0001-7000-8000-000000000001

Hyperparameters
  lr     0.001
  model  {"depth":3}

Parameters
  note  first⏎second

Metrics
  METRIC     LAST  STEP  MIN    MAX   COUNT
  grad_norm  NaN   1     NaN    NaN   1
  val_loss   0.25  1     0.125  0.25  2

Tags
  team  vision

Artifacts
  plots/confusion.png

Checkpoints
  epoch-1.ckpt  epoch 1, step 100

→ explr runs logs 00000001
"#);
    let json = fixture.explr(&["runs", "show", "1", "--json"]);
    assert_eq!(json.code, Some(2), "{}", json.err);
    let json = fixture.explr(&["runs", "show", id(1).as_str(), "--json"]);
    let value: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["primary"]["best"], 0.125);
    assert_eq!(value["metrics"]["grad_norm"]["last"], "NaN");
    assert_eq!(value["manifest"]["git"]["dirty"], true);
}

#[test]
fn a_failed_run_is_shown_with_its_reason() {
    let fixture = Fixture::four();
    insta::assert_snapshot!(fixture.explr(&["runs", "show", "00000003"]).out, @r#"
run         01935c0e-0003-7000-8000-000000000003
experiment  cifar
state       failed (cuda_oom)
started     2024-11-24 04:39:05
ended       2024-11-24 04:39:07
duration    2.0s
function    train_model in ./digits
device      cpu
seed        42
command     explr run digits.yaml
git         0123456789ab (main, with changes)
host        ada@box (linux, 2 cores)
folder      .explr/runs/01935c0e-0003-7000-8000-000000000003

Why
  CUDA out of memory
  while allocating 2 GiB
  at src/lib.rs:12:5

Last lines of the log
  epoch 1
  �[31moops

Hyperparameters
  lr     0.001
  model  {"depth":3}

Metrics
  METRIC    LAST  STEP  MIN  MAX  COUNT
  val_loss  0.9   0     0.9  0.9  1

→ explr runs logs 00000003; explr run --resume 00000003 tries again from its newest checkpoint
"#);
}

#[test]
fn a_run_that_is_not_there_is_explained() {
    let fixture = Fixture::four();
    let output = fixture.explr(&["runs", "show", "00000009"]);
    assert_eq!(output.code, Some(2));
    insta::assert_snapshot!(output.err, @"error: no run `00000009` in DIR/.explr: did you mean 00000001?");
    let output = fixture.explr(&["runs", "logs", "0000"]);
    insta::assert_snapshot!(output.err, @"error: `0000` could be any of 01935c0e-0001-7000-8000-000000000001, 01935c0e-0002-7000-8000-000000000002, 01935c0e-0003-7000-8000-000000000003, 01935c0e-0004-7000-8000-000000000004: give more characters");
}

#[test]
fn the_log_is_printed_in_whole_or_from_its_last_lines() {
    let fixture = Fixture::four();
    let log = fixture.run("00000001").log_path();
    std::fs::write(log.with_extension("log.1"), "one\ntwo\n").unwrap();
    std::fs::write(&log, "three\nfour\n").unwrap();
    let logs = |args: &[&str]| {
        fixture
            .explr(&[&["runs", "logs", "00000001"], args].concat())
            .out
    };
    assert_eq!(logs(&[]), "one\ntwo\nthree\nfour\n");
    assert_eq!(logs(&["--lines", "1"]), "four\n");
    assert_eq!(logs(&["--lines", "3"]), "two\nthree\nfour\n");
    let output = fixture.explr(&["runs", "logs", "00000002"]);
    assert_eq!((output.code, output.out.as_str()), (Some(0), ""));
}

#[test]
fn a_log_is_followed_until_the_run_ends() {
    let fixture = Fixture::empty();
    let run = run(&fixture.store, 1, "digits", &abandoned());
    let lock = run.lock().unwrap();
    let mut log = std::fs::File::create(run.log_path()).unwrap();
    writeln!(log, "first").unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_explr"))
        .args(["runs", "logs", "last", "--follow", "--store"])
        .arg(fixture.store.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    writeln!(log, "second").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    // Rotated in the meantime.
    std::fs::rename(run.log_path(), run.path().join("worker.log.1")).unwrap();
    std::fs::write(run.log_path(), "third\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "third");
    drop(lock);
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn removal_asks_first_and_spares_runs_at_work() {
    let fixture = Fixture::four();
    let output = fixture.explr(&["runs", "rm", "00000001"]);
    assert_eq!(output.code, Some(4));
    insta::assert_snapshot!(output.err, @r"
  00000001  digits
add --yes to remove this run with checkpoints and artifacts
nothing removed
");
    std::fs::write(fixture.run("00000001").mlflow_path(), "{}").unwrap();
    let output = fixture.explr(&["runs", "rm", "00000001", "--yes"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (Some(0), "removed 00000001\n")
    );
    insta::assert_snapshot!(output.err, @"note: what MLflow holds of this run stays there");
    let live = fixture.run("00000003");
    let lock = live.lock().unwrap();
    assert_eq!(
        fixture.explr(&["runs", "rm", "00000003", "--yes"]).code,
        Some(8)
    );
    assert_eq!(
        fixture
            .explr(&["runs", "rm", "--state", "failed", "--yes"])
            .code,
        Some(4)
    );
    drop(lock);
    assert_eq!(
        fixture
            .explr(&["runs", "rm", "--older-than", "1d", "--yes"])
            .code,
        Some(0)
    );
    // What ended a moment ago, because it was reconciled, is not a day old.
    assert_eq!(
        fixture.explr(&["runs", "list", "--json"]).ids(),
        ["00000004"]
    );
    assert_eq!(
        fixture.explr(&["runs", "rm", "../..", "--yes"]).code,
        Some(2)
    );
    assert_eq!(fixture.explr(&["runs", "rm", "--yes"]).code, Some(2));
}

#[test]
fn a_damaged_run_is_named_and_repaired_and_the_others_are_listed() {
    let fixture = Fixture::four();
    let path = fixture.run("00000002").journal_path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replacen("\"value\":0.125", "\"va\u{1}ue\":0.125", 1),
    )
    .unwrap();
    std::fs::remove_file(fixture.run("00000002").summary_path()).ok();
    let output = fixture.explr(&[
        "runs",
        "list",
        "--experiment",
        "digits",
        "--state",
        "damaged",
        "--state",
        "completed",
    ]);
    assert_eq!(output.code, Some(0));
    insta::assert_snapshot!(output.out, @r"
RUN       EXPERIMENT  STATE      STARTED           DURATION  METRIC         BEST
00000002  digits      damaged    2024-11-24 01:39
00000001  digits      completed  2024-11-24 02:39  10.0s     val_loss 0.25  0.125
");
    insta::assert_snapshot!(output.err, @r"warning: DIR/.explr/runs/01935c0e-0002-7000-8000-000000000002/events.jsonl:7: the journal is damaged: control character (\u0000-\u001F) found while parsing a string at column 65. `explr repair 00000002` keeps what is whole and saves the original");
    assert_eq!(fixture.explr(&["runs", "show", "00000002"]).code, Some(9));
    let output = fixture.explr(&["repair", "00000002"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let (said, original) = output.out.split_once("the original is ").unwrap();
    insta::assert_snapshot!(said, @r"
00000002: kept 11 records
  dropped line 7 (85 bytes): control character (\u0000-\u001F) found while parsing a string at column 65
  lost: 1 record; a warning stands in the place of each
");
    assert!(original.contains("events.jsonl.damaged-"), "{original}");
    assert_eq!(fixture.explr(&["runs", "show", "00000002"]).code, Some(0));
    let all = fixture.explr(&["repair", "--all"]);
    assert_eq!((all.code, all.out.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let fixture = Fixture::empty();
    for n in 0..120 {
        run(&fixture.store, n, "digits", &failed());
    }
    let script = format!(
        "{} runs list --json --store {} | head -n 1",
        env!("CARGO_BIN_EXE_explr"),
        fixture.store.root().display()
    );
    let output = std::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_store_that_may_only_be_read_can_be_looked_at() {
    let fixture = Fixture::empty();
    run(&fixture.store, 1, "digits", &completed(0.25));
    run(&fixture.store, 2, "digits", &abandoned());
    // Root may write everywhere: become nobody, with a copy it may execute.
    let program = fixture.dir.path().join("explr");
    std::fs::copy(env!("CARGO_BIN_EXE_explr"), &program).unwrap();
    let modes = std::process::Command::new("chmod")
        .args(["-R", "a+rX,a-w"])
        .arg(fixture.dir.path())
        .status();
    assert!(modes.unwrap().success());
    let mut command = std::process::Command::new(&program);
    command
        .args(["runs", "list", "--json", "--store"])
        .arg(fixture.store.root());
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534);
    }
    let output = fixture.output(&command.output().unwrap());
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert_eq!(output.ids(), ["00000002", "00000001"]);
    assert!(output.out.contains("\"state\": \"running\""));
    let restored = std::process::Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(fixture.dir.path())
        .status();
    assert!(restored.unwrap().success());
}
