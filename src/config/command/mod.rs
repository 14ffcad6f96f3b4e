//! Experiments that are a command: `train.command` and `train.metrics`.

mod rules;
pub(crate) mod template;
pub(crate) mod variables;

pub(super) use rules::CommandRules;

use explr_protocol::MetricFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the metrics of a command are that knows nothing of explr: in what it
/// prints, or in a file that it writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// A regular expression for the lines that the command prints. Each named
    /// group is a metric; the group `step`, if there is one, is the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A file that the command appends to, or a folder with `TensorBoard`'s
    /// event files, relative to this file. The `{name}`s of `command` may
    /// stand here too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What `file` is: `csv`, `jsonl` or `tensorboard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<MetricFormat>,
    /// The command is a Python script that calls `wandb.log`. It finds a
    /// stand-in for the package `wandb`, which sends nothing anywhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wandb: bool,
    /// The metric whose values the study's pruner looks at. Default: the
    /// study's metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}
