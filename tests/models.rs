//! Models in the real MLflow: logged once, and registered.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;
#[path = "tracking/support.rs"]
#[allow(dead_code)]
mod support;

use explr::store::RunDir;
use explr::store::journal::Writer;
use explr_protocol::{Direction, Event, RunState, TrainingResult};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use support::{TestRun, TestStore, python, seen_once, shared};

/// Logs a model that doubles its input, as a plug-in logs a TorchScript one.
fn log_model(run: &mut TestRun, name: &str) {
    write_model(&run.run, name);
    let path = name.to_owned();
    run.log(Event::Artifact { path });
}

fn write_model(run: &RunDir, name: &str) {
    const SAVE: &str = "import sys, torch\n\
        class Double(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n\
        torch.jit.trace(Double(), torch.zeros(3)).save(sys.argv[1])";
    let folder = run.artifact_dir().join(name);
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
                "source": m.tags["mlflow.source.name"],
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
    let mut run = store.new_run("logged");
    run.state(RunState::Running);
    log_model(&mut run, "model");
    assert_eq!(store.ship(&run).left, 0);
    // A better one takes its place.
    log_model(&mut run, "model");
    end(&mut run);
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
    assert_eq!(model["source"], json!(seen.tags["mlflow.source.name"]));
    let files = ["MLmodel", "data", "requirements.txt"];
    assert_eq!(model["files"], json!(files));
    let id = model["id"].as_str().unwrap();
    for uri in [format!("runs:/{}/model", seen.id), format!("models:/{id}")] {
        assert_eq!(predictions(&url, &uri), "[2.0, 4.0, 6.0]", "{uri}");
    }
}

fn explr(store: &TestStore, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_explr"));
    command
        .args(args)
        .arg("--store")
        .arg(store.store.root())
        .current_dir(store.path())
        .env_remove("MLFLOW_TRACKING_URI")
        .stdin(Stdio::null());
    command
}

/// A command to its end, with what it wrote.
fn ended(store: &TestStore, args: &[&str]) -> Output {
    let output = explr(store, args).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What a command prints as JSON; it must succeed.
fn told(store: &TestStore, args: &[&str]) -> Value {
    let output = ended(store, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The message of a command that must fail with this code.
fn refusal(store: &TestStore, args: &[&str], code: i32) -> String {
    let output = ended(store, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_model_is_logged_once_however_often_shipping_is_killed_and_begun_anew() {
    let store = shared();
    let url = store.server();
    let run = leave(trained(&store, "killed"));
    let id = run.id().as_str();
    for delay in [1, 20, 40, 60, 80, 100, 130, 160, 200] {
        let mut sync = explr(&store, &["sync", id]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        sync.kill().unwrap();
        sync.wait().unwrap();
    }
    assert_eq!(ended(&store, &["sync", id]).status.code(), Some(0));
    // All that is known of the server is lost.
    for file in ["mlflow.json", "mlflow-uploaded.jsonl"] {
        std::fs::remove_file(run.path().join(file)).unwrap();
    }
    assert_eq!(ended(&store, &["sync", id]).status.code(), Some(0));
    let runs = support::seen(&url, id);
    assert_eq!(runs.len(), 1);
    let known = models_of(&url, &runs[0].id);
    let models = known["models"].as_array().unwrap();
    assert_eq!(models.len(), 1, "{known}");
    assert_eq!(known["outputs"], json!([models[0]["id"]]));
    assert_eq!(models[0]["status"], "READY");
    assert_eq!(models[0]["metrics"], json!({"result/val_loss": 0.25}));
}

#[test]
fn a_registered_model_loads_by_its_alias() {
    let store = shared();
    let run = leave(trained(&store, "registered"));
    let short = run.id().short();
    // It is not at the server yet, which may not even run.
    let first = told(
        &store,
        &["models", "register", short, "double", "--alias", "champion"],
    );
    assert_eq!(
        (&first["version"], &first["created"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(first["run"], run.id().as_str());
    assert_eq!(first["aliases"], json!(["champion"]));
    assert_eq!(first["uri"], "models:/double@champion");
    let url = store.server();
    assert_eq!(
        predictions(&url, "models:/double@champion"),
        "[2.0, 4.0, 6.0]"
    );

    // The same again makes no second version, and can add an alias.
    let again = told(&store, &["models", "register", short, "double"]);
    assert_eq!(
        (&again["version"], &again["created"]),
        (&json!(1), &json!(false))
    );
    let said = ended(
        &store,
        &["models", "register", short, "double", "--alias", "tested"],
    );
    let said = String::from_utf8(said.stdout).unwrap();
    let start = format!(
        "double version 1 (@champion, @tested): already registered, model of run {short}\n"
    );
    assert!(said.starts_with(&start), "{said}");

    // Another run is another version, and takes the alias over.
    let other = leave(trained(&store, "registered"));
    let args = [
        "models",
        "register",
        other.id().as_str(),
        "double",
        "--alias",
        "champion",
    ];
    assert_eq!(told(&store, &args)["version"], 2);
    let list = told(&store, &["models", "list"]);
    let double = list
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["name"] == "double");
    let aliases = json!({"champion": 2, "tested": 1});
    assert_eq!(
        (&double.unwrap()["newest"], &double.unwrap()["aliases"]),
        (&json!(2), &aliases)
    );
    let versions = told(&store, &["models", "list", "double"]);
    let numbers: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| &version["version"])
        .collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(versions[1]["aliases"], json!(["tested"]));
    for (wanted, number) in [("@champion", 2), ("1", 1), ("@tested", 1)] {
        let shown = told(&store, &["models", "show", "double", wanted]);
        assert_eq!(shown["version"], number, "{wanted}");
    }
    let page = ended(&store, &["models", "show", "double"]);
    let page = String::from_utf8(page.stdout).unwrap();
    for line in [
        "version   2\n".to_owned(),
        "aliases   @champion\n".to_owned(),
        format!("run       {}\n", other.id().short()),
        "result    val_loss 0.25\n".to_owned(),
        "load      models:/double@champion\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line} in {page}");
    }
}

#[test]
fn what_can_t_be_registered_is_said_with_what_there_is() {
    let store = shared();
    let mut run = store.new_run("refused");
    run.state(RunState::Running);
    run.artifact("plots/loss.png", b"x");
    run.state(RunState::Completed);
    let bare = leave(run);
    let mut run = store.new_run("refused");
    run.state(RunState::Running);
    log_model(&mut run, "first");
    log_model(&mut run, "second");
    run.state(RunState::Completed);
    let two = leave(run);
    let (bare, short) = (bare.id().short(), two.id().short());

    let said = refusal(&store, &["models", "register", bare, "m"], 2);
    let reason = format!("run {bare} has logged no model; its artifacts are `plots/loss.png`\n");
    assert!(said.contains(&reason), "{said}");
    let said = refusal(&store, &["models", "register", short, "m"], 2);
    assert!(
        said.contains("say which with --artifact; they are `first`, `second`\n"),
        "{said}"
    );
    let args = ["models", "register", short, "m", "--artifact", "third"];
    let said = refusal(&store, &args, 2);
    assert!(
        said.contains("no model `third`; its models are `first`, `second`\n"),
        "{said}"
    );
    let gone = format!("http://127.0.0.1:{}", support::free_port());
    let args = [
        "models",
        "register",
        short,
        "m",
        "--artifact",
        "first",
        "--tracking-uri",
        &gone,
    ];
    let said = refusal(&store, &args, 10);
    assert!(
        said.contains(&format!("{gone}: MLflow can't be reached")),
        "{said}"
    );

    let args = ["models", "register", short, "a/b", "--artifact", "second"];
    let said = refusal(&store, &args, 10);
    assert!(said.contains("Invalid model name"), "{said}");
    let args = [
        "models",
        "register",
        short,
        "chosen",
        "--artifact",
        "second",
    ];
    let chosen = told(&store, &args);
    assert_eq!(
        (&chosen["artifact"], &chosen["version"]),
        (&json!("second"), &json!(1))
    );
    let said = refusal(&store, &["models", "show", "chosen", "@best"], 2);
    assert!(
        said.contains("no alias `best`; the newest is version 1; it has no alias"),
        "{said}"
    );
    let said = refusal(&store, &["models", "show", "chosen", "7"], 2);
    assert!(
        said.contains("no version 7; the newest is version 1"),
        "{said}"
    );
    let said = refusal(&store, &["models", "list", "chose"], 2);
    assert!(said.contains("no model `chose` is registered"), "{said}");
    refusal(&store, &["models", "show", "chosen", "best"], 2);
}

#[test]
fn the_model_of_a_trial_is_registered_by_the_study_s_name() {
    let store = shared();
    let url = store.server();
    let space = "search_space:\n  x: {type: float, low: -5, high: 5}\n  y: {type: float, low: -5, high: 5}\n";
    let project = common::Project::new("bowl", space);
    assert!(project.tune(&["--n-trials", "4"]).status.success());
    let history = project.history("test");
    let best = history.best().unwrap().number;
    let other = (best + 1) % 4;
    for number in [best, other] {
        let run = project.run_of(history.trial(number).unwrap());
        write_model(&run, "model");
        let path = "model".to_owned();
        let mut writer = Writer::open(&run.journal_path()).unwrap();
        writer.append(&Event::Artifact { path }).unwrap();
    }
    let register = |run: &str| {
        let mut command = project.explr();
        command.args([
            "models",
            "register",
            run,
            "bowl",
            "--tracking-uri",
            &url,
            "--json",
        ]);
        let output = command.output().unwrap();
        println!("{}", common::stderr(&output));
        output
    };
    let version = |run: &str| -> Value { serde_json::from_slice(&register(run).stdout).unwrap() };
    let of_trial = |number: u64| {
        let run = project.run_of(history.trial(number).unwrap());
        json!(run.id().as_str())
    };
    assert_eq!(version("best of test")["run"], of_trial(best));
    let second = version(&format!("test#{other}"));
    assert_eq!(
        (&second["run"], &second["version"]),
        (&of_trial(other), &json!(2))
    );
    assert_eq!(version(&format!("test#{best}"))["version"], 1);
    let unknown = register("test#17");
    assert!(common::stderr(&unknown).contains("study test has no trial 17; it has 4"));
    let mut command = project.explr();
    let off = command
        .args(["models", "register", "best of test", "bowl"])
        .output()
        .unwrap();
    assert_eq!(off.status.code(), Some(3), "{}", common::stderr(&off));
    let unknown = register("best of nothing");
    assert_eq!(
        unknown.status.code(),
        Some(2),
        "{}",
        common::stderr(&unknown)
    );
    let mut command = project.explr();
    command.args(["models", "list", "bowl", "--tracking-uri", &url]);
    let list = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let runs: Vec<_> = list
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(1))
        .collect();
    let names = [format!("test#{other}"), format!("test#{best}")];
    assert_eq!(runs, [Some(&*names[0]), Some(&*names[1])], "{list}");
}

/// Runs a command on a project beside the store of the server, whose `.venv`
/// has PyTorch.
fn train(store: &TestStore, command: &[&str], config: &str, files: &[(&str, &str)]) -> PathBuf {
    let project = tempfile::tempdir_in(store.path()).unwrap().keep();
    for (name, text) in files {
        std::fs::write(project.join(name), text).unwrap();
    }
    let file = project.join("config.yaml");
    std::fs::write(&file, format!("store: ../.explr\n{config}")).unwrap();
    let mut explr = Command::new(env!("CARGO_BIN_EXE_explr"));
    let ended = explr
        .arg(command[0])
        .arg(&file)
        .args(&command[1..])
        .env_remove("MLFLOW_TRACKING_URI")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", common::stderr(&ended));
    project
}

#[test]
fn a_model_that_mlflow_s_own_calls_log_is_registered_too() {
    const TRAIN: &str = "def train_model(ctx):\n    \
        import mlflow, torch\n    \
        model = torch.jit.trace(torch.nn.ReLU(), torch.zeros(3))\n    \
        with mlflow.start_run():\n        \
        for name in ['native', 'both']:\n            \
        mlflow.pytorch.log_model(model, name=name, pip_requirements=['torch'],\n                \
        serialization_format='pickle')\n    \
        ctx.tracker.log_model(model, 'both')\n    \
        return 0.5\n";
    let store = shared();
    let url = store.server();
    let config = "experiment: native\ntrain: {function: train:train_model}\n";
    train(&store, &["run"], config, &[("train.py", TRAIN)]);
    let is_it = |run: &RunDir| run.manifest().unwrap().experiment == "native";
    let run = store.store.runs().unwrap().into_iter().find(is_it).unwrap();
    // Of one name they stay two.
    let known = models_of(&url, &support::seen(&url, run.id().as_str())[0].id);
    let names = known["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["name"]);
    let mut names: Vec<_> = names.map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["both", "both", "native"]);
    let args = [
        "models",
        "register",
        run.id().as_str(),
        "relu",
        "--artifact",
        "native",
    ];
    let first = told(&store, &args);
    assert_eq!(
        (&first["artifact"], &first["created"]),
        (&json!("native"), &json!(true))
    );
    let again = told(&store, &args);
    assert_eq!(
        (&again["version"], &again["created"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(predictions(&url, "models:/relu/1"), "[1.0, 2.0, 3.0]");
}

#[test]
fn the_model_of_a_python_study_loads_where_neither_its_project_nor_explr_is() {
    const NET: &str = "import torch\n\n\n\
        class Net(torch.nn.Module):\n    def __init__(self, factor):\n        \
        super().__init__()\n        self.factor = torch.nn.Parameter(torch.tensor(factor))\n\n    \
        def forward(self, x):\n        return self.factor * x\n";
    const TRAIN: &str = "from explr_sdk import TrainingContext, TrainingResult\n\
        from net import Net\n\n\n\
        def train_model(ctx: TrainingContext) -> TrainingResult:\n    \
        model = Net(ctx.hyperparameters['factor'])\n    \
        import torch\n    \
        ctx.tracker.log_model(model, input_example=torch.ones(3))\n    \
        return TrainingResult(abs(float(model(torch.ones(1))) - 3))\n";
    let store = shared();
    let url = store.server();
    let config = "experiment: python\ntrain: {function: train:train_model}\n\
                  search_space: {factor: {type: categorical, choices: [2.0, 3.0, 5.0]}}\n\
                  tune: {sampler: grid}\n";
    let files = [("net.py", NET), ("train.py", TRAIN)];
    let project = train(&store, &["tune", "--n-trials", "3"], config, &files);
    std::fs::remove_dir_all(&project).unwrap();
    let args = [
        "models",
        "register",
        "best of python",
        "triple",
        "--alias",
        "champion",
    ];
    told(&store, &args);
    assert_eq!(
        predictions(&url, "models:/triple@champion"),
        "[3.0, 6.0, 9.0]"
    );
}
