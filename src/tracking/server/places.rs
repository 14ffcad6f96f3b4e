use crate::tracking::TrackingError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// `places.json`: where this store's server keeps artifacts, and its port.
///
/// A config may say so; a command that knows the store alone asks here. A
/// server with another artifact folder would not show what the last one took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Places {
    pub(super) artifacts: PathBuf,
    pub(super) port: u16,
}

impl Places {
    pub(super) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), TrackingError> {
        let path = dir.join(FILE);
        serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&path, text))
            .map_err(TrackingError::io(path))
    }
}

const FILE: &str = "places.json";
