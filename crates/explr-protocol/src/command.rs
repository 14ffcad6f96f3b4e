use crate::Direction;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A program that trains, and what its worker has to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments, with `{name}` for what a run's context
    /// fills in.
    pub arguments: Vec<String>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Where its metrics come from, besides the lines that it appends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricSource>,
    /// The metric of [`metrics`](Self::metrics) that is reported to the study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// The metrics that the study looks at, the first one first.
    #[serde(default)]
    pub objectives: Vec<String>,
    /// Which way the first of them improves.
    #[serde(default)]
    pub direction: Direction,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    pub grace_ms: u64,
}

/// Where the metrics of a program are that knows nothing of explr.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricSource {
    /// In what it prints: the named groups of a regular expression.
    Pattern(String),
    /// In its calls of `wandb.log`, by a stand-in for W&B's Python package.
    Wandb,
    /// In a file that grows.
    File {
        /// The file or folder, with `{name}` for what a run's context fills in.
        path: String,
        /// What is in it.
        format: MetricFormat,
    },
}

/// What a file of metrics looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricFormat {
    /// A header, then a line of values a step; the column `step` or `epoch` is
    /// the step.
    Csv,
    /// A JSON object a line, with a number for each metric and `step` or
    /// `epoch`.
    Jsonl,
    /// A folder with event files of `TensorBoard`; their scalars.
    Tensorboard,
}
