use super::StorageError;
use super::journal::JournalFile;
use super::lock::AppendLock;
use super::record::{Op, Record};
use super::replay::{Replay, StudyState};
use crate::History;
use crate::error::StudyError;
use explr_protocol::Direction;
use std::path::Path;
use uuid::Uuid;

/// What the names of this crate's workers begin with.
const WORKER: &str = "explr-";

/// When a record is safe from a power cut. From the death of the process it
/// always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When the call returns.
    Now,
    /// With the next record that is.
    WithTheNext,
}

/// Where one study is kept, open for changes.
#[derive(Debug)]
pub(crate) struct Store {
    replay: Replay,
    journal: Option<JournalFile>,
    /// This store's name in records.
    worker: String,
    /// The study's id.
    study: usize,
}

impl Store {
    /// Opens the study of this name, in memory or in a journal, or begins it.
    pub(crate) fn open(
        journal: Option<&Path>,
        name: &str,
        directions: &[Direction],
    ) -> Result<Self, StudyError> {
        let mut store = Self {
            replay: Replay::default(),
            journal: journal.map(JournalFile::open).transpose()?,
            worker: format!("{WORKER}{}", Uuid::new_v4()),
            study: 0,
        };
        store.refresh()?;
        if let Some(id) = store.find(name) {
            store.study = id;
            return Ok(store);
        }
        let lock = store.lock()?;
        if store.find(name).is_none() {
            let create = Op::CreateStudy {
                name: name.to_owned(),
                directions: directions.to_vec(),
            };
            store.write(lock.as_ref(), vec![create], Durability::Now)?;
        }
        store.study = store.find(name).unwrap_or_default();
        Ok(store)
    }

    /// Opens a study that is in a journal already.
    pub(crate) fn open_existing(journal: &Path, name: &str) -> Result<Self, StudyError> {
        let known = load(journal)?.iter().any(|study| study.name() == name);
        if !known {
            return Err(StudyError::NoStudy {
                study: name.to_owned(),
                path: journal.to_owned(),
            });
        }
        Self::open(Some(journal), name, &[])
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.replay
            .studies()
            .find(|(_, study)| study.history().name() == name)
            .map(|(id, _)| id)
    }

    /// The study.
    pub(crate) fn study(&self) -> &StudyState {
        self.replay.study(self.study)
    }

    /// Its id in records.
    pub(crate) fn study_id(&self) -> u64 {
        self.study as u64
    }

    /// The id that the next new trial gets.
    pub(crate) fn next_trial_id(&self) -> u64 {
        self.replay.next_trial_id()
    }

    /// What the study remembers.
    pub(crate) fn history(&self) -> &History {
        self.study().history()
    }

    /// Whether trials of this worker are run here.
    pub(crate) fn is_here(&self, worker: &str) -> bool {
        worker == self.worker
    }

    /// Whether a worker is of this crate, here or in another process.
    pub(crate) fn is_of_this_crate(worker: &str) -> bool {
        worker.starts_with(WORKER)
    }

    /// Reads what others wrote.
    pub(crate) fn refresh(&mut self) -> Result<(), StorageError> {
        let Self {
            replay, journal, ..
        } = self;
        match journal {
            Some(journal) => journal.read_new(|record| replay.apply(record)),
            None => Ok(()),
        }
    }

    /// Changes the study: `decide` sees it with all that others wrote, says
    /// what to write, and nobody else writes between. If that fails, nothing
    /// is changed.
    pub(crate) fn commit<T>(
        &mut self,
        durability: Durability,
        decide: impl FnOnce(&Self) -> Result<(Vec<Op>, T), StudyError>,
    ) -> Result<T, StudyError> {
        let lock = self.lock()?;
        if self.study().is_deleted() {
            return Err(StudyError::Deleted {
                study: self.history().name().to_owned(),
            });
        }
        let (ops, result) = decide(self)?;
        self.write(lock.as_ref(), ops, durability)?;
        Ok(result)
    }

    /// Waits for the right to append, and reads what others wrote before.
    fn lock(&mut self) -> Result<Option<AppendLock>, StorageError> {
        let lock = self.journal.as_ref().map(JournalFile::lock).transpose()?;
        self.refresh()?;
        Ok(lock)
    }

    fn write(
        &mut self,
        lock: Option<&AppendLock>,
        ops: Vec<Op>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        if ops.is_empty() {
            return Ok(());
        }
        let records: Vec<Record> = ops
            .into_iter()
            .map(|op| Record {
                worker: self.worker.clone(),
                op,
            })
            .collect();
        if let (Some(journal), Some(lock)) = (&mut self.journal, lock) {
            journal.append(lock, &records, durability)?;
        }
        for record in records {
            self.replay.apply(record);
        }
        Ok(())
    }
}

/// All studies of a journal, without changing it.
pub(crate) fn load(path: &Path) -> Result<Vec<History>, StorageError> {
    let mut replay = Replay::default();
    JournalFile::open_to_read(path)?.read_new(|record| replay.apply(record))?;
    Ok(replay.into_histories())
}
