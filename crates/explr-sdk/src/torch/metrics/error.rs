use tch::TchError;

/// Why a metric could not take in a batch, or has no value.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The tensors don't fit the metric.
    #[error("{metric}: {problem}")]
    Input {
        /// The metric.
        metric: String,
        /// What is wrong with them.
        problem: String,
    },
    /// Some labels are no classes of the task.
    #[error(
        "{metric}: {count} labels are no class of it; correct the number of classes, or name \
         the label that is to be left out with `ignoring`"
    )]
    Labels {
        /// The metric.
        metric: String,
        /// How many.
        count: i64,
    },
    /// Some scores are not numbers.
    #[error("{metric}: {count} scores are not a number (NaN), so they have no order")]
    NotANumber {
        /// The metric.
        metric: String,
        /// How many.
        count: i64,
    },
    /// A saved state belongs to another metric.
    #[error("this is the state of `{found}`, not of `{wanted}`")]
    OtherState {
        /// What is to be restored or merged.
        wanted: String,
        /// Whose state it is.
        found: String,
    },
    /// A saved state is not as it was saved.
    #[error("the saved state of a metric: {problem}")]
    BadState {
        /// What is wrong with it.
        problem: String,
    },
    /// The value is more than one number.
    #[error("{metric} has a value of the shape {shape:?}, not one number; use `compute`")]
    NotOneNumber {
        /// The metric.
        metric: String,
        /// The shape of its value.
        shape: Vec<i64>,
    },
    /// libtorch's error.
    #[error(transparent)]
    Torch(#[from] TchError),
}
