use std::error::Error as StdError;

/// Why data could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A sample could not be read or transformed.
    #[error("sample {index} could not be read: {source}")]
    Sample {
        /// Its index in the data set; in a stream its number, from 0.
        index: usize,
        /// What its code says.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The code for a sample or a batch panicked.
    #[error("{what} panicked: {message}")]
    Panic {
        /// What was being done, with the index of the sample.
        what: String,
        /// What it said.
        message: String,
    },
    /// The samples of a batch don't go together, or not as a batch.
    #[error("the batch of samples {indices:?} could not be made: {source}")]
    Batch {
        /// Indices of its samples.
        indices: Vec<usize>,
        /// The reason.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A sampler has no samples to give.
    #[error("batch {batch} of epoch {epoch} could not be drawn: {source}")]
    Sampler {
        /// The epoch, from 0.
        epoch: u64,
        /// The batch, from 0.
        batch: u64,
        /// The reason.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// There is no tensor of this name.
    #[error("there is no tensor {wanted}; there are: {names}")]
    NoTensor {
        /// The name.
        wanted: String,
        /// The names that there are.
        names: String,
    },
    /// A setting or argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A saved position belongs to another loader.
    #[error(
        "the saved position of the data loader does not fit: {what} was {saved} and is now \
         {current}; set it back, or start without the saved position"
    )]
    Position {
        /// What is different.
        what: &'static str,
        /// Its value then.
        saved: u64,
        /// Its value now.
        current: u64,
    },
    /// A worker thread could not be started.
    #[error("a thread of the data loader could not be started: {0}; use fewer workers")]
    Thread(#[source] std::io::Error),
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl DataError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
