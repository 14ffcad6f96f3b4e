//! How far a run has been shipped: `mlflow.json` in its folder.

use super::TrackingError;
use super::logged_models::LoggedModel;
use crate::store::RunDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Written after each acknowledged request. What was sent between the last
/// writing and a crash is sent again, which changes nothing at the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    format: u32,
    /// Whose run and offset this is. For another server all starts anew.
    server: String,
    /// The experiment at the server.
    pub(super) experiment_id: String,
    /// The run at the server, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_id: Option<String>,
    /// The run at the server that this one was nested under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
    /// The page of the run, for `explr runs show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_url: Option<String>,
    /// Where the server wants the artifacts.
    #[serde(default)]
    pub(super) artifact_uri: String,
    /// The models of the run at the server, by the artifacts that they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) models: BTreeMap<String, LoggedModel>,
    /// Offset in the journal of the first record that is not there yet.
    pub(super) offset: u64,
    /// Number of records before it.
    pub(super) records: u64,
    /// How many things the server refused.
    #[serde(default)]
    pub(super) set_aside: u64,
    /// Keys that had to be changed, by kind.
    #[serde(default)]
    pub(super) renamed: Renamed,
}

/// Keys that MLflow knows under another name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Renamed {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metrics: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;

impl Cursor {
    /// The start, for this server.
    pub(super) fn new(server: &str) -> Self {
        Self {
            format: FORMAT,
            server: server.to_owned(),
            ..Self::default()
        }
    }

    /// The cursor of a run, whichever server it is for; none where there is
    /// none that can be read: shipping from the start does no harm.
    pub(super) fn read(run: &RunDir) -> Option<Self> {
        let text = fs::read(run.mlflow_path()).ok()?;
        let cursor: Self = serde_json::from_slice(&text).ok()?;
        (cursor.format == FORMAT).then_some(cursor)
    }

    pub(super) fn is_for(&self, server: &str) -> bool {
        self.server == server
    }

    pub(super) fn write(&self, run: &RunDir) -> Result<(), TrackingError> {
        let path = run.mlflow_path();
        let draft = path.with_extension("json.new");
        let write = || {
            let mut file = private()
                .write(true)
                .create(true)
                .truncate(true)
                .open(&draft)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            fs::rename(&draft, &path)
        };
        write().map_err(TrackingError::io(&path))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// The right to ship a run, held by one process at a time.
#[derive(Debug)]
pub(super) struct ShipLock {
    /// Released by the kernel when it is closed.
    _file: File,
    /// Nobody has held it before: no earlier try to create the run at any
    /// server can have got through.
    pub(super) is_first: bool,
}

impl ShipLock {
    /// None if another process has it.
    pub(super) fn take(run: &RunDir) -> Result<Option<Self>, TrackingError> {
        let path = run.path().join("mlflow.lock");
        let (file, is_first) = match private().write(true).create_new(true).open(&path) {
            Ok(file) => {
                // After a power cut the server may know the run. So must we.
                File::open(run.path())
                    .and_then(|folder| folder.sync_all())
                    .map_err(TrackingError::io(run.path()))?;
                (file, true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let file = private().write(true).open(&path);
                (file.map_err(TrackingError::io(&path))?, false)
            }
            Err(error) => return Err(TrackingError::io(path)(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self {
                _file: file,
                is_first,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(TrackingError::io(path)(error)),
        }
    }
}

/// A file of JSON lines beside the cursor.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) path: PathBuf,
}

impl Lines {
    /// What the server refused, with its reasons.
    pub(super) fn rejected(run: &RunDir) -> Self {
        Self::new(run.path(), "mlflow-rejected.jsonl")
    }

    /// The files that were uploaded.
    pub(super) fn uploaded(run: &RunDir) -> Self {
        Self::new(run.path(), "mlflow-uploaded.jsonl")
    }

    fn new(folder: &Path, name: &str) -> Self {
        Self {
            path: folder.join(name),
        }
    }

    pub(super) fn append(&self, value: &impl Serialize) -> Result<(), TrackingError> {
        let write = || {
            let mut line = serde_json::to_vec(value)?;
            line.push(b'\n');
            private()
                .append(true)
                .create(true)
                .open(&self.path)?
                .write_all(&line)
        };
        write().map_err(TrackingError::io(&self.path))
    }

    /// All lines that can be read; the last one may be torn.
    pub(super) fn read<T: for<'a> Deserialize<'a>>(&self) -> Vec<T> {
        let text = fs::read(&self.path).unwrap_or_default();
        text.split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
