//! The MLflow server of a store.
//!
//! It is the real one, started detached so that its pages outlive the run
//! that needed it, and shared by every explr process of the store. This
//! module finds it again, starts it, and stops it on request. It owns
//! `.explr/mlflow/`: `mlflow.db`, `artifacts/`, `server.json` (what was
//! started), `places.json`, `identity`, `server.lock`, `server.log`.
//!
//! A server is believed to be this store's only when it says so itself: in a
//! header that explr gives to those it starts, or in a tag in the database,
//! which any server of that database shows. A process id or an open port
//! proves nothing. What explr did not start it never stops.

mod find;
mod identity;
mod log;
mod places;
mod python;
mod start;
mod state;
mod stop;

pub use python::find as find_python;

use super::TrackingError;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;

/// How the store's own server is found, started and stopped.
#[derive(Debug)]
pub(super) struct OwnServer {
    /// `.explr/mlflow`.
    dir: PathBuf,
    /// Where the server keeps artifacts.
    artifacts: PathBuf,
    /// The wished-for port.
    port: Option<u16>,
    auto_start: bool,
    /// Folders whose parents may hold a `.venv` with MLflow.
    near: Vec<PathBuf>,
    /// What this process started, to be told of its end.
    child: Mutex<Option<Child>>,
}

/// A server that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its address.
    pub url: String,
    /// The version of MLflow.
    pub version: String,
    /// What is known of the process, if explr started it.
    pub process: Option<Process>,
}

/// A server process that explr started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id, and that of its group.
    pub pid: u32,
    /// When it was started, in Unix milliseconds.
    pub started_ms: u64,
}

/// The port that is tried first, which is MLflow's own default.
const PORT: u16 = 5000;

impl OwnServer {
    pub(super) fn new(
        dir: PathBuf,
        artifacts: Option<PathBuf>,
        port: Option<u16>,
        auto_start: bool,
        near: Vec<PathBuf>,
    ) -> Self {
        let before = places::Places::read(&dir);
        let artifacts = artifacts.or(before.as_ref().map(|places| places.artifacts.clone()));
        Self {
            artifacts: artifacts.unwrap_or_else(|| dir.join("artifacts")),
            port: port.or(before.map(|places| places.port)),
            dir,
            auto_start,
            near,
            child: Mutex::new(None),
        }
    }

    /// What the cursors of runs call this server, whatever its port.
    pub(super) fn identity(&self) -> Result<String, TrackingError> {
        identity::of(&self.dir)
    }

    fn database(&self) -> PathBuf {
        self.dir.join("mlflow.db")
    }
}
