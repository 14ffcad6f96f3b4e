use crate::{FailureClass, number};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Whether a smaller or a larger primary metric is better.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better, as for a loss.
    #[default]
    Minimize,
    /// Larger is better, as for an accuracy.
    Maximize,
}

/// What a train function returns when it succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingResult {
    /// Value of the primary metric.
    #[serde(with = "number")]
    pub primary_metric: f64,
    /// Name of the primary metric, `val_loss` unless said otherwise.
    pub primary_metric_name: String,
    /// Which way the primary metric improves.
    pub direction: Direction,
    /// Further final metrics, by name.
    #[serde(with = "number::map", default)]
    pub metrics: BTreeMap<String, f64>,
    /// The best model, as a path relative to the run's folder or absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_model_path: Option<PathBuf>,
    /// Number of epochs that were completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs_completed: Option<u64>,
    /// The function ended early because it was asked to stop.
    #[serde(default)]
    pub stopped_early: bool,
}

/// How a train function ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainError {
    /// `Error`, `Panic`, `CudaOom`, or `Plugin` where it never began.
    pub class: FailureClass,
    /// The message, with its chain of causes, a line each.
    pub message: String,
    /// `file:line:column` in the user's code, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// How a train function ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a result.
    Ok(TrainingResult),
    /// Without one.
    Err(TrainError),
    /// Early, because a pruner of its study said so.
    Pruned {
        /// The last step that was reported.
        step: i64,
        /// The value there, finite or not.
        #[serde(with = "number")]
        value: f64,
    },
}
