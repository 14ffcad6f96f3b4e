use super::{Result, RunDir, RunId, Store, StoreError, now_ms};
use std::fs;
use std::path::Path;

/// Prefix of a run's folder while it is removed.
const REMOVED: &str = ".removed-";

/// Age after which what a crash left half made or half removed is swept up.
const ABANDONED_MS: u64 = 3_600_000;

impl Store {
    /// Removes a run with its checkpoints and artifacts. Refuses one that a
    /// process works on. Links within are removed, never followed.
    pub fn remove(&self, run: &RunDir) -> Result<()> {
        let _lock = run.lock()?;
        let hidden = self.runs_dir().join(format!("{REMOVED}{}", run.id()));
        // First out of sight in one step, so that no half a run is ever seen.
        fs::rename(run.path(), &hidden).map_err(StoreError::io("remove", run.path()))?;
        fs::remove_dir_all(&hidden).map_err(StoreError::io("remove", &hidden))?;
        sweep(&self.runs_dir(), REMOVED);
        Ok(())
    }
}

/// Removes old folders that begin with `prefix` and go on with a run id.
/// Best effort: they are in nobody's way.
pub(super) fn sweep(runs: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let Some(Ok(id)) = id.map(str::parse::<RunId>) else {
            continue;
        };
        if now_ms().saturating_sub(id.created_ms()) > ABANDONED_MS {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
