//! Models in the real MLflow: logged once, and registered.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use explr::store::RunDir;
use explr_protocol::{Direction, Event, RunState, TrainingResult};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use support::{TestRun, TestStore, python, seen_once};

/// A server costs seconds: the tests share one.
fn shared() -> Arc<TestStore> {
    static SHARED: Mutex<Weak<TestStore>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let store = Arc::new(TestStore::new());
        *shared = Arc::downgrade(&store);
        store
    })
}

/// Writes a model that doubles its input, as a plug-in writes a TorchScript
/// one, and records it.
fn log_model(run: &mut TestRun, name: &str) {
    const SAVE: &str = "import sys, torch\n\
        class Double(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n\
        torch.jit.trace(Double(), torch.zeros(3)).save(sys.argv[1])";
    let folder = run.run.artifact_dir().join(name);
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let file = folder.join("data/model.pth");
    python(&["-c", SAVE, file.to_str().unwrap()]);
    let text = "artifact_path: model\nflavors:\n  python_function:\n    data: data\n    \
                loader_module: mlflow.pytorch\n    python_version: '3.11'\n  pytorch:\n    \
                model_data: data\n    pytorch_version: 2.10.0\n";
    for (file, content) in [
        (
            "data/pickle_module_info.txt",
            "mlflow.pytorch.pickle_module",
        ),
        ("requirements.txt", "mlflow\ntorch\n"),
        ("MLmodel", text),
    ] {
        std::fs::write(folder.join(file), content).unwrap();
    }
    let path = name.to_owned();
    run.log(Event::Artifact { path });
}

/// A run that trained a model and has come to its end.
fn trained(store: &TestStore, experiment: &str) -> TestRun {
    let mut run = store.new_run(experiment);
    run.state(RunState::Running);
    run.metric("loss", 0.5, 1);
    log_model(&mut run, "model");
    end(&mut run);
    run
}

fn end(run: &mut TestRun) {
    run.log(Event::Result(TrainingResult {
        primary_metric: 0.25,
        primary_metric_name: "val_loss".into(),
        direction: Direction::Minimize,
        metrics: BTreeMap::new(),
        best_model_path: None,
        epochs_completed: None,
        stopped_early: false,
    }));
    run.state(RunState::Completed);
}

/// Lets go of a run, so that commands may work on it.
fn leave(run: TestRun) -> RunDir {
    let TestRun { run, writer, lock } = run;
    drop((writer, lock));
    run
}

/// What MLflow knows of the models of a run: its own clients see all of it.
fn models_of(url: &str, run: &str) -> Value {
    const READ: &str = r#"
import json, sys
import mlflow
client = mlflow.MlflowClient(sys.argv[1])
run = client.get_run(sys.argv[2])
models = client.search_logged_models([run.info.experiment_id])
models = [m for m in models if m.source_run_id == sys.argv[2]]
print(json.dumps({
    "outputs": [o.model_id for o in run.outputs.model_outputs],
    "models": [{"id": m.model_id, "name": m.name, "status": str(m.status),
                "metrics": {x.key: x.value for x in m.metrics or []},
                "files": [f.path for f in client.list_logged_model_artifacts(m.model_id)]}
               for m in models],
}))
"#;
    serde_json::from_str(&python(&["-c", READ, url, run])).unwrap()
}

/// Loads a model in a fresh Python and returns what it makes of 1, 2, 3.
fn predictions(url: &str, uri: &str) -> String {
    const LOAD: &str = "import sys, numpy, mlflow\nmlflow.set_tracking_uri(sys.argv[1])\n\
        model = mlflow.pyfunc.load_model(sys.argv[2])\n\
        print(model.predict(numpy.array([1, 2, 3], dtype='float32')).tolist())";
    python(&["-c", LOAD, url, uri]).trim().to_owned()
}

#[test]
fn a_model_is_one_logged_model_with_its_files_and_results() {
    let store = shared();
    let run = trained(&store, "logged");
    assert_eq!(store.ship(&run).left, 0);
    let url = store.server();
    let seen = seen_once(&url, &run);
    // Its files are with the model, and found through the run.
    assert_eq!(seen.artifacts.len(), 0, "{:?}", seen.artifacts);
    let known = models_of(&url, &seen.id);
    let model = &known["models"][0];
    assert_eq!(known["models"].as_array().unwrap().len(), 1, "{known}");
    assert_eq!(known["outputs"], json!([model["id"]]));
    assert_eq!(
        (&model["name"], &model["status"]),
        (&json!("model"), &json!("READY"))
    );
    assert_eq!(model["metrics"], json!({"result/val_loss": 0.25}));
    let files = ["MLmodel", "data", "requirements.txt"];
    assert_eq!(model["files"], json!(files));
    let id = model["id"].as_str().unwrap();
    for uri in [format!("runs:/{}/model", seen.id), format!("models:/{id}")] {
        assert_eq!(predictions(&url, &uri), "[2.0, 4.0, 6.0]", "{uri}");
    }
}
