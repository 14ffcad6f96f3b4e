//! Plain calls of `mlflow` in a train function of Python join the run that
//! explr made at a real server, and explr has the last word on its status.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Project, stderr};
use explr_protocol::FailureClass;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the server's database holds, when nothing is written to it any more.
const LOOK: &str = "
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(json.dumps({
    'runs': [status for status, in db.execute('select status from runs')],
    'metrics': list(db.execute('select key, step, value from metrics order by step')),
    'params': dict(db.execute('select key, value from params')),
    'experiments': sorted(name for name, in db.execute('select name from experiments')),
}))
";

/// Stops the server that explr started, also when the test fails.
struct Server<'a>(&'a Project);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.0.explr().args(["mlflow-ui", "--stop"]).output();
    }
}

fn venv() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv")
}

#[test]
fn plain_calls_join_the_run_and_do_not_end_it() {
    let more = "hyperparameters: {lr: 1e-5, layers: [64, 32], flag: true}\n\
                mlflow: {enabled: true, system_metrics: false}";
    let project = Project::python("plain_mlflow.py:train", more);
    let server = Server(&project);
    let mut command = project.explr();
    command
        .args(["run", "config.yaml"])
        .env("VIRTUAL_ENV", venv());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
    let failure = project.failure();
    assert_eq!(failure.class, FailureClass::Error);
    assert_eq!(failure.message, "ValueError: after all that");
    drop(server);

    let database = project.path().join(".explr/mlflow/mlflow.db");
    let mut look = Command::new(venv().join("bin/python"));
    let output = look.args(["-c", LOOK]).arg(database).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["runs"], json!(["FAILED"]));
    assert_eq!(found["experiments"], json!(["Default", "test"]));
    let metrics = json!([["ours", 1, 0.25], ["plain", 3, 1.5], ["plain", 4, 2.5]]);
    assert_eq!(found["metrics"], metrics);
    let params = json!({"lr": "0.00001", "layers": "[64,32]", "flag": "true"});
    assert_eq!(found["params"], params);
}
