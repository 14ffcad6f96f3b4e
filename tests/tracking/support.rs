//! A store with runs in it, and MLflow's own client to read them back.

use explr::config::Mlflow;
use explr::store::journal::{Reader, Writer};
use explr::store::{HostInfo, Manifest, RunDir, RunId, RunLock, Store};
use explr::tracking::{Report, Settings, Shipper, Status, sync, ui};
use explr_protocol::{Device, Event, RunState};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Long enough for a server's start on a machine that does other things.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// A store of its own, whose server ends with it.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) config: Mlflow,
    folder: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        venv_python();
        // Within the workspace, so that the server finds its `.venv`.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self {
            store: Store::open(&folder.path().join(".explr")).unwrap(),
            config: Mlflow {
                port: Some(free_port()),
                ..Mlflow::default()
            },
            folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::resolve(&self.config, self.path(), &self.store)
            .unwrap()
            .unwrap()
    }

    /// The address of the store's server, started if need be.
    pub(crate) fn server(&self) -> String {
        ui::ensure(&self.config, self.path(), &self.store)
            .unwrap()
            .url
    }

    /// The id of the server's process.
    pub(crate) fn server_pid(&self) -> u32 {
        let running = ui::find(&self.config, self.path(), &self.store).unwrap();
        running.unwrap().process.unwrap().pid
    }

    pub(crate) fn new_run(&self, experiment: &str) -> TestRun {
        self.new_run_with(experiment, |_| {})
    }

    pub(crate) fn new_run_with(
        &self,
        experiment: &str,
        change: impl FnOnce(&mut Manifest),
    ) -> TestRun {
        let mut manifest = manifest(experiment, &self.config);
        change(&mut manifest);
        let (run, lock) = self.store.create_locked_run(&manifest).unwrap();
        TestRun {
            lock: Some(lock),
            writer: Writer::open(&run.journal_path()).unwrap(),
            run,
        }
    }

    pub(crate) fn shipper(&self, run: &TestRun) -> Shipper {
        Shipper::start(self.settings(), self.store.clone(), run.run.clone())
    }

    pub(crate) fn ship(&self, run: &TestRun) -> Report {
        self.shipper(run)
            .finish(LIMIT, |_| ControlFlow::Continue(()))
    }

    pub(crate) fn sync(&self, run: &TestRun) -> Report {
        let runs = [run.run.clone()];
        let mut reports = sync(&self.settings(), &runs, |_, _| {}).unwrap();
        reports.pop().unwrap().1
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        let _ = ui::stop(&self.config, self.folder.path(), &self.store);
    }
}

/// A server costs seconds: tests that do it no harm share one.
pub(crate) fn shared() -> Arc<TestStore> {
    static SHARED: Mutex<Weak<TestStore>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let store = Arc::new(TestStore::new());
        *shared = Arc::downgrade(&store);
        store
    })
}

/// Nobody interrupts.
pub(crate) fn go_on(_: &Status) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A run, and its journal to write to.
///
/// It is locked, as a run is that goes on: others leave it alone.
pub(crate) struct TestRun {
    pub(crate) lock: Option<RunLock>,
    pub(crate) run: RunDir,
    pub(crate) writer: Writer,
}

impl TestRun {
    #[allow(clippy::needless_pass_by_value)] // events are made on the spot
    pub(crate) fn log(&mut self, event: Event) {
        self.writer.append(&event).unwrap();
    }

    pub(crate) fn state(&mut self, state: RunState) {
        self.log(Event::State {
            state,
            attempt: 1,
            failure: None,
        });
    }

    pub(crate) fn metric(&mut self, key: &str, value: f64, step: i64) {
        self.writer.append_metrics([(key, value)], step).unwrap();
    }

    pub(crate) fn param(&mut self, key: &str, value: impl Into<Value>) {
        let (key, value) = (key.to_owned(), value.into());
        self.log(Event::Param { key, value });
    }

    pub(crate) fn tag(&mut self, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.log(Event::Tag { key, value });
    }

    pub(crate) fn artifact(&mut self, name: &str, content: &[u8]) {
        let path = self.run.artifact_dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        let path = name.to_owned();
        self.log(Event::Artifact { path });
    }

    pub(crate) fn uuid(&self) -> &str {
        self.run.id().as_str()
    }

    /// Every point of every metric in the journal, as MLflow stores it.
    pub(crate) fn points(&self) -> BTreeSet<Point> {
        let reader = Reader::open(&self.run.journal_path(), 0).unwrap();
        reader
            .filter_map(|entry| {
                let record = entry.unwrap().record;
                let (key, value, step) = match record.event {
                    Event::Metric { key, value, step } => (key, value, step),
                    Event::Report { value, step } => ("intermediate_value".to_owned(), value, step),
                    _ => return None,
                };
                // The one character here that MLflow refuses.
                Some(Point::new(&key.replace('@', "_"), value, step, record.ts))
            })
            .collect()
    }
}

/// A point of a metric. Values are compared to the bit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    key: String,
    step: i64,
    timestamp: u64,
    bits: u64,
}

impl Point {
    fn new(key: &str, value: f64, step: i64, timestamp: u64) -> Self {
        // A database has no infinity, for which MLflow takes the largest
        // number, and no negative zero.
        let value = if value.is_nan() {
            f64::NAN
        } else {
            value.clamp(-f64::MAX, f64::MAX) + 0.0
        };
        Self {
            key: key.to_owned(),
            step,
            timestamp,
            bits: value.to_bits(),
        }
    }
}

/// A run as MLflow's own client sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) name: String,
    pub(crate) start_time: u64,
    pub(crate) end_time: Option<u64>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// In the order of the answer, doubles included.
    pub(crate) points: Vec<Point>,
    /// SHA-256 of each file.
    pub(crate) artifacts: BTreeMap<String, String>,
    pub(crate) datasets: Vec<Value>,
}

const READ: &str = r#"
import hashlib, json, os, sys, tempfile
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiments = [e.experiment_id for e in client.search_experiments()]
runs = client.search_runs(experiments, f"tags.`explr.run.uuid` = '{sys.argv[2]}'")
out = []
for run in runs:
    run_id = run.info.run_id
    points = []
    for key in run.data.metrics:
        for m in client.get_metric_history(run_id, key):
            points.append([m.key, repr(m.value), m.step, m.timestamp])
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        if client.list_artifacts(run_id):
            root = client.download_artifacts(run_id, "", folder)
            for base, _, names in os.walk(root):
                for name in names:
                    path = os.path.join(base, name)
                    digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
                    files[os.path.relpath(path, root)] = digest
    datasets = [{"name": i.dataset.name, "digest": i.dataset.digest, "source": i.dataset.source,
                 "source_type": i.dataset.source_type, "schema": i.dataset.schema,
                 "profile": i.dataset.profile, "tags": {t.key: t.value for t in i.tags}}
                for i in run.inputs.dataset_inputs]
    out.append({"id": run_id, "status": run.info.status, "name": run.info.run_name,
                "start": run.info.start_time, "end": run.info.end_time, "params": run.data.params,
                "tags": run.data.tags, "points": points, "files": files, "datasets": datasets})
print(json.dumps(out))
"#;

/// The runs at the server that came from this one.
pub(crate) fn seen(url: &str, uuid: &str) -> Vec<Seen> {
    let answer: Value = serde_json::from_str(&python(&["-c", READ, url, uuid])).unwrap();
    answer.as_array().unwrap().iter().map(seen_run).collect()
}

/// The one run at the server that came from this one.
pub(crate) fn seen_once(url: &str, run: &TestRun) -> Seen {
    let mut runs = seen(url, run.uuid());
    assert_eq!(runs.len(), 1, "one run at the server: {runs:?}");
    runs.remove(0)
}

fn seen_run(run: &Value) -> Seen {
    let texts = |value: &Value| {
        let map = value.as_object().unwrap().iter();
        map.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect()
    };
    let point = |point: &Value| {
        let value: f64 = point[1].as_str().unwrap().parse().unwrap();
        Point::new(
            point[0].as_str().unwrap(),
            value,
            point[2].as_i64().unwrap(),
            point[3].as_u64().unwrap(),
        )
    };
    Seen {
        id: run["id"].as_str().unwrap().to_owned(),
        status: run["status"].as_str().unwrap().to_owned(),
        name: run["name"].as_str().unwrap().to_owned(),
        start_time: run["start"].as_u64().unwrap(),
        end_time: run["end"].as_u64(),
        params: texts(&run["params"]),
        tags: texts(&run["tags"]),
        points: run["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(point)
            .collect(),
        artifacts: texts(&run["files"]),
        datasets: run["datasets"].as_array().unwrap().clone(),
    }
}

impl Seen {
    /// MLflow holds exactly the metrics of the journal, each once. Those of
    /// the result, which have names of their own, are left out.
    pub(crate) fn assert_metrics_of(&self, run: &TestRun) {
        let own = |point: &&Point| !point.key.starts_with("result/");
        let seen: Vec<_> = self.points.iter().filter(own).cloned().collect();
        let set: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(set.len(), seen.len(), "a point is doubled");
        let journal = run.points();
        let missing: Vec<_> = journal.difference(&set).take(5).collect();
        let strange: Vec<_> = set.difference(&journal).take(5).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "of {} points in the journal and {} at the server, missing {missing:?}, strange {strange:?}",
            journal.len(),
            set.len(),
        );
    }
}

/// Runs the Python of the project's environment and returns what it prints.
pub(crate) fn python(args: &[&str]) -> String {
    let output = Command::new(venv_python())
        .args(args)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn venv_python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make setup`",
        python.display()
    );
    python
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn manifest(experiment: &str, mlflow: &Mlflow) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        run_id: RunId::new(),
        created_ms: 1_700_000_000_000,
        experiment: experiment.to_owned(),
        description: Some("What it is **about**".to_owned()),
        tags: BTreeMap::new(),
        study: None,
        function: "train_model".to_owned(),
        code: "../plugin".to_owned(),
        hyperparameters: Map::new(),
        seed: 42,
        device: Device::Cpu,
        config: json!({"mlflow": mlflow}),
        fingerprint: String::new(),
        command: vec!["explr".to_owned(), "run".to_owned()],
        config_file: None,
        cwd: PathBuf::from("/"),
        git: None,
        host: HostInfo {
            name: "box".to_owned(),
            user: "ada".to_owned(),
            os: "linux".to_owned(),
            cpus: 2,
        },
        versions: BTreeMap::new(),
    }
}
