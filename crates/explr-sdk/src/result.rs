use explr_protocol::Direction;
use std::path::PathBuf;

/// What a train function returns when it succeeds.
///
/// The primary metric is what a study optimises and what lists are sorted
/// by. It is a loss named `val_loss`, the smaller the better, unless said
/// otherwise:
///
/// ```
/// # use explr_sdk::TrainingResult;
/// let by_loss = TrainingResult::new(0.12);
/// let by_accuracy = TrainingResult::new(0.98)
///     .named("val_accuracy")
///     .maximize()
///     .metric("val_loss", 0.12)
///     .best_model("checkpoints/best/model.safetensors")
///     .epochs(20);
/// ```
///
/// A primary metric that is NaN or infinite makes the run fail.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TrainingResult(explr_protocol::TrainingResult);

impl TrainingResult {
    /// A result whose primary metric is the loss `val_loss`.
    pub fn new(primary_metric: f64) -> Self {
        Self(explr_protocol::TrainingResult {
            primary_metric,
            primary_metric_name: "val_loss".to_owned(),
            direction: Direction::Minimize,
            metrics: std::collections::BTreeMap::new(),
            best_model_path: None,
            epochs_completed: None,
            stopped_early: false,
        })
    }

    /// Names the primary metric.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.primary_metric_name = name.into();
        self
    }

    /// The smaller the primary metric, the better. The default.
    pub fn minimize(mut self) -> Self {
        self.0.direction = Direction::Minimize;
        self
    }

    /// The larger the primary metric, the better.
    pub fn maximize(mut self) -> Self {
        self.0.direction = Direction::Maximize;
        self
    }

    /// Adds a further final metric.
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<f64>) -> Self {
        self.0.metrics.insert(name.into(), value.into());
        self
    }

    /// Names the best model's file, absolute or relative to the run's folder.
    pub fn best_model(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.best_model_path = Some(path.into());
        self
    }

    /// Tells how many epochs were completed.
    pub fn epochs(mut self, completed: u64) -> Self {
        self.0.epochs_completed = Some(completed);
        self
    }

    /// Tells that training ended before its planned end, because it was asked
    /// to stop or because it no longer improved.
    pub fn stopped_early(mut self, stopped: bool) -> Self {
        self.0.stopped_early = stopped;
        self
    }

    /// What crosses to the worker.
    pub(crate) fn into_inner(self) -> explr_protocol::TrainingResult {
        self.0
    }
}
