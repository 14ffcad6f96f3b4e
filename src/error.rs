use crate::Exit;
use crate::config::ConfigError;
use crate::runner::RunError;
use crate::store::StoreError;
use crate::tracking::TrackingError;
use explr_study::{StorageError, StudyError};

/// Anything that can keep explr from doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run can't be started or seen through.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A study can't be used.
    #[error("{}", explain(.0))]
    Study(StudyError),
    /// Tracking can't be set up.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
}

impl Error {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Config,
            Self::Store(error) => error.exit(),
            Self::Run(error) => error.exit(),
            Self::Study(error) => exit_of(error),
            Self::Tracking(error) => error.exit(),
        }
    }
}

/// The study's words, with what to do about it.
fn explain(error: &StudyError) -> String {
    match error {
        StudyError::Differs {
            study,
            differences,
            forceable,
        } => {
            let list = differences.join("\n  ");
            let force = if *forceable {
                "go on with it all the same with `--force`, or "
            } else {
                ""
            };
            format!(
                "study `{study}` was begun differently:\n  {list}\n\
                 help: {force}begin another one with `--study NAME`"
            )
        }
        StudyError::Storage(error @ StorageError::Damaged { path, .. }) => {
            let name = path.file_stem().unwrap_or_default().display();
            format!(
                "{error}\n\
                 help: `explr repair --study {name}` keeps what is whole and saves the original"
            )
        }
        StudyError::Storage(error @ StorageError::Unrepairable { .. }) => format!(
            "{error}\n\
             help: go on from a copy of the file, or begin another study with `--study NAME`"
        ),
        other => other.to_string(),
    }
}

impl From<StudyError> for Error {
    fn from(error: StudyError) -> Self {
        Self::Study(error)
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::Study(error.into())
    }
}

fn exit_of(error: &StudyError) -> Exit {
    match error {
        StudyError::Storage(StorageError::Held { .. } | StorageError::Busy { .. }) => Exit::Locked,
        StudyError::Storage(_) => Exit::Store,
        _ => Exit::Config,
    }
}
