use super::summary::RunSummary;
use super::{Manifest, Result, RunId, RunLock, StoreError, files};
use std::path::{Component, Path, PathBuf};

/// The folder of one run. It owns the names within, and nothing else: it can
/// be cloned and sent about freely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
}

impl RunDir {
    pub(super) fn new(id: RunId, path: PathBuf) -> Self {
        Self { id, path }
    }

    /// Another run of the same store, whether it is there or not.
    pub fn sibling(&self, id: &RunId) -> Self {
        Self::new(id.clone(), self.path.with_file_name(id.as_str()))
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run is.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.manifest_path();
        let bad = |why: String| StoreError::BadFile {
            path: path.clone(),
            why,
        };
        let manifest: Manifest =
            files::read_json(&path)?.ok_or_else(|| bad("it is missing".to_owned()))?;
        if manifest.format > Manifest::FORMAT {
            let why = format!("it has format {}: use a newer explr", manifest.format);
            return Err(bad(why));
        }
        if manifest.run_id != self.id {
            return Err(bad(format!("it belongs to run {}", manifest.run_id)));
        }
        Ok(manifest)
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The journal.
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// What the worker printed.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// The shipper's cursor.
    pub fn mlflow_path(&self) -> PathBuf {
        self.path.join("mlflow.json")
    }

    /// The cached summary; safe to delete.
    pub fn summary_path(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Files that the run produced.
    pub fn artifact_dir(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// Checkpoints, unless the config puts them elsewhere.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The place of an artifact, made sure to be inside [`artifact_dir`],
    /// through links as well. The artifact itself need not exist.
    ///
    /// [`artifact_dir`]: Self::artifact_dir
    pub fn artifact(&self, name: &str) -> Result<PathBuf> {
        let folder = self.artifact_dir();
        let outside = || StoreError::Outside {
            name: name.to_owned(),
            folder: folder.clone(),
        };
        let relative = Path::new(name);
        let mut parts = relative.components().peekable();
        if parts.peek().is_none() || !parts.all(|part| matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        let real = folder
            .canonicalize()
            .map_err(StoreError::io("read", &folder))?;
        let target = folder.join(relative);
        // What does not exist yet can't be a link: look at what does.
        let existing = target
            .ancestors()
            .find(|path| path.symlink_metadata().is_ok());
        match existing.map(Path::canonicalize) {
            Some(Ok(path)) if path.starts_with(&real) => Ok(target),
            _ => Err(outside()),
        }
    }

    /// Takes the run for this process.
    pub fn lock(&self) -> Result<RunLock> {
        RunLock::take(&self.lock_path(), &self.id)
    }

    /// Whether a process works on the run.
    pub fn is_locked(&self) -> Result<bool> {
        RunLock::is_held(&self.lock_path())
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The run in figures, folded from its journal. Incremental: a cache
    /// remembers how far it was read, so an ended run costs no reading at all.
    pub fn summary(&self) -> Result<RunSummary> {
        super::summary::load(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_stay_in_their_folder() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(RunId::new(), dir.path().join("run"));
        std::fs::create_dir_all(run.artifact_dir().join("plots")).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        let link = |to: &Path, name| std::os::unix::fs::symlink(to, run.artifact_dir().join(name));
        link(dir.path(), "out").unwrap();
        link(&run.artifact_dir().join("plots"), "within").unwrap();
        link(&dir.path().join("nowhere"), "dangling").unwrap();
        for good in ["a.txt", "plots/loss.png", "plots/new/deep.png", "within/x"] {
            assert_eq!(run.artifact(good).unwrap(), run.artifact_dir().join(good));
        }
        for bad in [
            "",
            "..",
            "../run.json",
            "/etc/passwd",
            "plots/../../x",
            "out/secret",
            "dangling",
        ] {
            assert!(
                matches!(run.artifact(bad), Err(StoreError::Outside { .. })),
                "{bad}"
            );
        }
    }
}
