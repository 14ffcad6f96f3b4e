use super::Holder;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a study's journal.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The system refused something.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line that is no record. A torn last line is none of this kind.
    #[error("{}, line {line}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// So much of the file is lost that what is left means something else.
    #[error("{} can't be repaired: {why}", path.display())]
    Unrepairable {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The file was removed, replaced or made shorter while the study was
    /// open.
    #[error("{} was removed or replaced while the study was open", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// Another program does not let go of the lock for appending.
    #[error("another program has held the lock of {} for {seconds} s; it may hang", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long.
        seconds: u64,
    },
    /// Another process works on the study.
    #[error("{holder} works on the study {}", path.display())]
    Held {
        /// The journal.
        path: PathBuf,
        /// Who.
        holder: Holder,
    },
}

impl StorageError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
