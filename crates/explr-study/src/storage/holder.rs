use super::StorageError;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::gethostname;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The right to run a study, held by one process at a time for as long as it
/// lives: a `flock` on a file beside the journal, which the kernel releases
/// however the process ends.
///
/// It is a matter between processes of this crate. Python programs do not know
/// it, and may add trials meanwhile.
#[derive(Debug)]
pub struct StudyLock {
    /// Closed on exec, so no child holds it.
    _file: File,
}

/// Who runs a study, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Name of its machine.
    pub host: String,
    /// Since when, in Unix milliseconds.
    pub since: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.pid == 0 {
            f.write_str("another process")
        } else {
            write!(f, "process {} on {}", self.pid, self.host)?;
            match Timestamp::from_millisecond(self.since) {
                Ok(since) => write!(f, " (since {})", since.strftime("%Y-%m-%d %H:%M:%S UTC")),
                Err(_) => Ok(()),
            }
        }
    }
}

impl Holder {
    fn this_process() -> Self {
        Self {
            pid: std::process::id(),
            host: gethostname().map_or_else(
                |_| "this machine".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
            since: Timestamp::now().as_millisecond(),
        }
    }

    fn read(path: &Path) -> Self {
        fs::read(path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_else(|| Self {
                pid: 0,
                host: String::new(),
                since: 0,
            })
    }
}

impl StudyLock {
    /// Takes the right to run the study in the journal at `journal`, or says
    /// who has it.
    pub fn take(journal: &Path) -> Result<Self, StorageError> {
        let path = beside(journal);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::Held {
                    path: journal.to_owned(),
                    holder: Holder::read(&path),
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(StorageError::io("lock", &path)(error));
            }
        }
        // Only for messages: a full disk must not keep anyone from the study.
        let _ = write_holder(&mut file);
        Ok(Self { _file: file })
    }

    /// Whether a process works on the study in the journal at `journal`.
    pub fn is_held(journal: &Path) -> bool {
        File::open(beside(journal))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// The file that is locked.
fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.file_name().unwrap_or_default().to_owned();
    name.push(".holder");
    journal.with_file_name(name)
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(&Holder::this_process())?;
    text.push(b'\n');
    file.set_len(0)?;
    file.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::StudyLock;
    use crate::storage::StorageError;

    #[test]
    fn a_study_is_run_by_one_at_a_time_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.journal");
        let lock = StudyLock::take(&path).unwrap();
        match StudyLock::take(&path) {
            Err(StorageError::Held { holder, .. }) => {
                assert_eq!(holder.pid, std::process::id());
                assert!(holder.to_string().starts_with("process "));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(StudyLock::take(&path).is_ok());
    }
}
