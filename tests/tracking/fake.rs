//! A small MLflow server that can be told to misbehave.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answered with this status, headers and body, and not processed.
    Answer(u16, &'static str, &'static str),
    /// Processed, and then the connection is cut.
    CutAfter,
    /// Never answered.
    Hang,
}

/// A request, as the fake decides about it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Path without the query, such as `runs/log-batch`.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How many requests of this path came before it.
    pub(crate) nth: usize,
}

impl Request {
    pub(crate) fn is(&self, path: &str) -> bool {
        self.path == path
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

type Decide = Box<dyn Fn(&Request) -> Option<Fault> + Send + Sync>;

/// What was stored, as a database would: a repeated point is the same one.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) requests: Vec<Request>,
    pub(crate) runs: Vec<Value>,
    pub(crate) metrics: BTreeSet<String>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) status: Option<String>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) models: Vec<Value>,
    /// Models that are outputs of the run.
    pub(crate) outputs: Vec<Value>,
}

pub(crate) struct Fake {
    pub(crate) url: String,
    stored: Arc<Mutex<Stored>>,
}

impl Fake {
    /// A server that asks `decide` about every request.
    pub(crate) fn new(decide: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stored = Arc::new(Mutex::new(Stored::default()));
        let decide: Arc<Decide> = Arc::new(Box::new(decide));
        let shared = Arc::clone(&stored);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stored, decide) = (Arc::clone(&shared), Arc::clone(&decide));
                std::thread::spawn(move || serve(&stream.unwrap(), &stored, &decide));
            }
        });
        Self { url, stored }
    }

    pub(crate) fn stored(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.stored.lock().unwrap()
    }

    /// The bodies of the requests to this path.
    pub(crate) fn bodies(&self, path: &str) -> Vec<String> {
        let stored = self.stored();
        let requests = stored.requests.iter().filter(|request| request.is(path));
        requests.map(Request::text).collect()
    }
}

fn serve(stream: &TcpStream, stored: &Mutex<Stored>, decide: &Decide) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader, stored)?;
        stored.lock().unwrap().requests.push(request.clone());
        match decide(&request) {
            Some(Fault::Answer(status, headers, body)) => answer(stream, status, headers, body)?,
            Some(Fault::Hang) => std::thread::sleep(Duration::from_hours(1)),
            Some(Fault::CutAfter) => {
                process(&mut stored.lock().unwrap(), &request);
                stream.shutdown(Shutdown::Both).ok()?;
                return None;
            }
            None => {
                let (status, body) = process(&mut stored.lock().unwrap(), &request);
                answer(stream, status, "", &body.to_string())?;
            }
        }
    }
}

fn read(reader: &mut impl BufRead, stored: &Mutex<Stored>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let target = line.split(' ').nth(1)?.to_owned();
    let path = target.split('?').next()?;
    let path = path.trim_start_matches("/api/2.0/mlflow/").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let nth = stored
        .lock()
        .unwrap()
        .requests
        .iter()
        .filter(|before| before.path == path)
        .count();
    Some(Request {
        path,
        headers,
        body,
        nth,
    })
}

fn answer(mut stream: &TcpStream, status: u16, headers: &str, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}

fn process(stored: &mut Stored, request: &Request) -> (u16, Value) {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let missing = || {
        (
            404,
            json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}),
        )
    };
    match request.path.as_str() {
        "experiments/get-by-name" => (200, json!({"experiment": {"experiment_id": "1"}})),
        "runs/create" => {
            let id = format!("run{}", stored.runs.len());
            let run = json!({"info": {
                "run_id": id,
                "artifact_uri": format!("mlflow-artifacts:/1/{id}/artifacts"),
                "lifecycle_stage": "active",
            }});
            stored.runs.push(run.clone());
            (200, json!({"run": run}))
        }
        "runs/search" => (
            200,
            json!({"runs": stored.runs.iter().take(1).collect::<Vec<_>>()}),
        ),
        "runs/get" => match stored.runs.first() {
            Some(run) => {
                let mut run = run.clone();
                run["outputs"] = json!({"model_outputs": stored.outputs});
                (200, json!({"run": run}))
            }
            None => missing(),
        },
        "logged-models/search" => {
            let models: Vec<_> = (stored.models.iter())
                .map(|info| json!({"info": info}))
                .collect();
            (200, json!({"models": models}))
        }
        "logged-models" => {
            let id = format!("m-{}", stored.models.len());
            let model = json!({
                "model_id": id,
                "name": body["name"],
                "tags": body["tags"],
                "status": "LOGGED_MODEL_PENDING",
                "artifact_uri": format!("mlflow-artifacts:/1/models/{id}/artifacts"),
            });
            stored.models.push(model.clone());
            (200, json!({"model": {"info": model}}))
        }
        "runs/outputs" if stored.outputs.contains(&body["models"][0]) => (
            400,
            json!({"error_code": "BAD_REQUEST", "message": "UNIQUE constraint failed"}),
        ),
        "runs/outputs" => {
            stored.outputs.push(body["models"][0].clone());
            (200, json!({}))
        }
        "runs/log-batch" => {
            for metric in body["metrics"].as_array().into_iter().flatten() {
                stored.metrics.insert(metric.to_string());
            }
            for param in body["params"].as_array().into_iter().flatten() {
                let text = |key: &str| param[key].as_str().unwrap().to_owned();
                stored.params.insert(text("key"), text("value"));
            }
            (200, json!({}))
        }
        "runs/update" => {
            stored.status = body["status"].as_str().map(str::to_owned);
            (200, json!({}))
        }
        "runs/set-tag" | "runs/delete-tag" | "runs/log-inputs" => (200, json!({})),
        path if let Some(id) = path.strip_prefix("logged-models/") => {
            let models = stored.models.iter_mut();
            for model in models.filter(|model| model["model_id"] == id) {
                model["status"] = body["status"].clone();
            }
            (200, json!({}))
        }
        path => match path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
            Some(name) => {
                stored.files.insert(name.to_owned(), request.body.clone());
                (200, json!({}))
            }
            None => missing(),
        },
    }
}
