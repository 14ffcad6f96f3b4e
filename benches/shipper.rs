//! How many metrics a second the shipper brings to MLflow, beside a plain loop
//! of full `log-batch` requests to a server of the same kind.
//!
//! Both are limited by the server. Run with `cargo bench --bench shipper`; it
//! needs the project's `.venv` (`make setup`).

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

use explr::config::Mlflow;
use explr::store::journal::Writer;
use explr::store::{HostInfo, Manifest, RunDir, RunId, Store};
use explr::tracking::{Settings, sync, ui};
use explr_protocol::Device;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const BATCHES: usize = 20;
const BATCH: usize = 1000;
const KEYS: usize = 10;

/// A fresh store with a running server.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    config: Mlflow,
    url: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let store = Store::open(&folder.path().join(".explr")).unwrap();
        let config = Mlflow::default();
        let url = ui::ensure(&config, folder.path(), &store).unwrap().url;
        Self {
            folder,
            store,
            config,
            url,
        }
    }

    /// A run with as many metrics as a round of the plain loop sends.
    fn run(&self) -> RunDir {
        let run = self.store.create_run(&manifest()).unwrap();
        let mut writer = Writer::open(&run.journal_path()).unwrap();
        let keys: Vec<_> = (0..KEYS).map(|key| format!("metric_{key}")).collect();
        for step in 0..BATCHES * BATCH / KEYS {
            let values = keys.iter().map(|key| (key.as_str(), step as f64 / 7.0));
            writer.append_metrics(values, step as i64).unwrap();
        }
        run
    }

    fn ship(&self) -> Duration {
        let run = self.run();
        let settings = Settings::resolve(&self.config, self.folder.path(), &self.store);
        let settings = settings.unwrap().unwrap();
        let before = Instant::now();
        let reports = sync(&settings, &[run], |_, _| {}).unwrap();
        let took = before.elapsed();
        assert_eq!((reports[0].1.left, reports[0].1.set_aside), (0, 0));
        took
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = ui::stop(&self.config, self.folder.path(), &self.store);
    }
}

async fn post(client: &reqwest::Client, url: &str, path: &str, body: String) -> Value {
    let response = client
        .post(format!("{url}/api/2.0/mlflow/{path}"))
        .header("Content-Type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{response:?}");
    response.json().await.unwrap()
}

/// Sends bodies that are ready, one after the other.
async fn plain_loop(url: &str) -> Duration {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let new = json!({"experiment_id": "0", "start_time": 1}).to_string();
    let run = post(&client, url, "runs/create", new).await;
    let run_id = run["run"]["info"]["run_id"].clone();
    let bodies: Vec<_> = (0..BATCHES).map(|batch| body(&run_id, batch)).collect();
    let before = Instant::now();
    for body in bodies {
        post(&client, url, "runs/log-batch", body).await;
    }
    before.elapsed()
}

fn body(run_id: &Value, batch: usize) -> String {
    let metrics: Vec<_> = (0..BATCH)
        .map(|n| {
            let step = (batch * BATCH + n) / KEYS;
            json!({
                "key": format!("metric_{}", n % KEYS),
                "value": step as f64 / 7.0,
                "timestamp": 1_700_000_000_000_u64 + step as u64,
                "step": step,
            })
        })
        .collect();
    json!({"run_id": run_id, "metrics": metrics}).to_string()
}

fn main() {
    let (plain, shipper) = (Bench::new(), Bench::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut plain_time, mut shipper_time) = (Duration::ZERO, Duration::ZERO);
    for round in 0..=ROUNDS {
        let times = (runtime.block_on(plain_loop(&plain.url)), shipper.ship());
        // The first round warms both servers up.
        if round > 0 {
            plain_time += times.0;
            shipper_time += times.1;
        }
    }
    let rate = |time: Duration| (ROUNDS * BATCHES * BATCH) as f64 / time.as_secs_f64();
    println!("plain loop  {:>8.0} metrics/s", rate(plain_time));
    println!("shipper     {:>8.0} metrics/s", rate(shipper_time));
    println!("ratio       {:>8.2}", rate(shipper_time) / rate(plain_time));
}

fn manifest() -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        run_id: RunId::new(),
        created_ms: 1_700_000_000_000,
        experiment: "shipper".to_owned(),
        description: None,
        tags: BTreeMap::new(),
        study: None,
        function: "train_model".to_owned(),
        code: "bench".to_owned(),
        hyperparameters: Map::new(),
        seed: 42,
        device: Device::Cpu,
        config: Value::Null,
        fingerprint: String::new(),
        command: Vec::new(),
        config_file: None,
        cwd: PathBuf::new(),
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
