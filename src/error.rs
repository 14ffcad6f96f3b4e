use crate::Exit;
use crate::config::ConfigError;
use crate::runner::RunError;
use crate::store::StoreError;
use crate::tracking::TrackingError;

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
            Self::Tracking(error) => error.exit(),
        }
    }
}
