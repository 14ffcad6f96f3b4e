use super::{Manifest, Result, RunDir, RunId, RunLock, StoreError, files, journal, select};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder that holds all runs, usually `.explr` beside the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

/// Ending of a study's journal.
const JOURNAL: &str = ".journal";

/// Name of a store's folder, unless the config says otherwise.
const NAME: &str = ".explr";

impl Store {
    /// Opens a store for writing, and makes it, with mode 0700, if there is
    /// none. Fails here, not in the middle of a run, when it is not writable.
    pub fn open(root: &Path) -> Result<Self> {
        let not_writable = |source| StoreError::NotWritable {
            root: root.to_owned(),
            source,
        };
        let source_of = |error| match error {
            StoreError::Io { source, .. } => not_writable(source),
            other => other,
        };
        let new = !root.is_dir();
        files::make_dir(root).map_err(source_of)?;
        let root = root.canonicalize().map_err(not_writable)?;
        let store = Self { root };
        files::make_dir(&store.runs_dir()).map_err(source_of)?;
        files::probe(&store.runs_dir()).map_err(not_writable)?;
        if new {
            // Runs belong to no commit. Only in a folder of our own: a store
            // may also be told to live in one that holds other things.
            let ignore = store.root.join(".gitignore");
            fs::write(&ignore, "*\n").map_err(StoreError::io("write", &ignore))?;
        }
        Ok(store)
    }

    /// Opens a store that is there, for reading at least.
    pub fn existing(root: &Path) -> Result<Self> {
        match root.canonicalize() {
            Ok(root) if root.is_dir() => Ok(Self { root }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("read", root)(error))
            }
            _ => Err(StoreError::Missing {
                root: root.to_owned(),
            }),
        }
    }

    /// The nearest `.explr` folder: in `start`, or in one of its parents.
    pub fn find(start: &Path) -> Option<PathBuf> {
        start
            .ancestors()
            .map(|folder| folder.join(NAME))
            .find(|candidate| candidate.is_dir())
    }

    /// The folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the MLflow server that explr starts.
    pub fn mlflow_dir(&self) -> PathBuf {
        self.root.join("mlflow")
    }

    /// The journal of the study of this name, which may not exist yet. Makes
    /// the folder of studies.
    pub fn study_journal(&self, name: &str) -> Result<PathBuf> {
        let folder = self.studies_dir();
        let is_name = Path::new(name).components().count() == 1
            && !name.contains('/')
            && !matches!(name, "." | "..");
        if !is_name {
            return Err(StoreError::Outside {
                name: name.to_owned(),
                folder,
            });
        }
        files::make_dir(&folder)?;
        Ok(folder.join(format!("{name}{JOURNAL}")))
    }

    /// The studies, by name, with their journals.
    pub fn studies(&self) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.studies_dir();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        let mut studies = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", &folder))?;
            let name = entry.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(JOURNAL))
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                studies.push((name.to_owned(), entry.path()));
            }
        }
        studies.sort();
        Ok(studies)
    }

    /// Removes a study's journal and what stands beside it. Who calls this
    /// holds the study's lock.
    pub fn remove_study(&self, journal: &Path) -> Result<()> {
        fs::remove_file(journal).map_err(StoreError::io("remove", journal))?;
        let mut holder = journal.as_os_str().to_owned();
        holder.push(".holder");
        // It says who holds the study: nobody does any more.
        let _ = fs::remove_file(holder);
        files::sync_dir(&self.studies_dir())
    }

    fn studies_dir(&self) -> PathBuf {
        self.root.join("studies")
    }

    pub(super) fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Makes the folder of a run. It appears at once and complete.
    ///
    /// A run that nobody has locked counts as abandoned: where others may look
    /// at the store, use [`create_locked_run`](Self::create_locked_run).
    pub fn create_run(&self, manifest: &Manifest) -> Result<RunDir> {
        self.create_locked_run(manifest).map(|(run, _)| run)
    }

    /// The same, with the run locked from its first moment.
    pub fn create_locked_run(&self, manifest: &Manifest) -> Result<(RunDir, RunLock)> {
        let id = &manifest.run_id;
        let path = self.runs_dir().join(id.as_str());
        let hidden = self.runs_dir().join(format!("{UNFINISHED}{id}"));
        let unfinished = RunDir::new(id.clone(), hidden.clone());
        let made = fill(&unfinished, manifest).and_then(|lock| {
            fs::rename(&hidden, &path).map_err(StoreError::io("make the folder", &path))?;
            Ok(lock)
        });
        let lock = made.inspect_err(|_| {
            let _ = fs::remove_dir_all(&hidden);
        })?;
        files::sync_dir(&self.runs_dir())?;
        Ok((RunDir::new(id.clone(), path), lock))
    }

    /// The run with this id, the start of one, or its short form; `last` is
    /// the newest.
    pub fn run(&self, name: &str) -> Result<RunDir> {
        let id = select::pick(name, &self.ids()?, &self.root)?;
        Ok(self.dir(id))
    }

    /// All runs, oldest first.
    pub fn runs(&self) -> Result<Vec<RunDir>> {
        Ok(self.ids()?.into_iter().map(|id| self.dir(id)).collect())
    }

    fn dir(&self, id: RunId) -> RunDir {
        let path = self.runs_dir().join(id.as_str());
        RunDir::new(id, path)
    }

    fn ids(&self) -> Result<Vec<RunId>> {
        let runs = self.runs_dir();
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &runs)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", &runs))?;
            // Does not follow links: a run is a folder of this store.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                && is_folder
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

/// Prefix of a run's folder while it is made.
pub(super) const UNFINISHED: &str = ".new-";

fn fill(run: &RunDir, manifest: &Manifest) -> Result<RunLock> {
    files::make_dir(&run.artifact_dir())?;
    files::make_dir(&run.checkpoint_dir())?;
    drop(journal::Writer::open(&run.journal_path())?);
    let lock = run.lock()?;
    files::write_json(&run.manifest_path(), manifest, files::Durability::Synced)?;
    Ok(lock)
}
