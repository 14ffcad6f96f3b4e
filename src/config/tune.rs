use super::{OrAuto, PrunerConfig, SamplerConfig, Seconds, named};
use explr_protocol::Direction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::num::NonZeroU32;

/// How `explr tune` searches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tune {
    /// Name of the study. Default: the experiment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// Number of trials in all. Default: 100; with the sampler `grid`, the
    /// whole grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub n_trials: Option<u32>,
    /// Whether to `minimize` or `maximize`. Default: `minimize`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The metric that is searched for. Default: the primary metric of the
    /// train function's result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Several metrics at once, instead of `metric` and `direction`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Objective>,
    /// What proposes parameters: a name, or a map of `name` and options.
    #[serde(deserialize_with = "named::word_or_map")]
    #[schemars(schema_with = "SamplerConfig::word_or_map")]
    pub sampler: SamplerConfig,
    /// What ends hopeless trials early: a name, or a map of `name` and
    /// options.
    #[serde(deserialize_with = "named::word_or_map")]
    #[schemars(schema_with = "PrunerConfig::word_or_map")]
    pub pruner: PrunerConfig,
    /// Trials at the same time, or `auto`: as many as fit.
    pub jobs: OrAuto,
    /// Longest time for the study. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// The study is done when a trial is at least this good. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<f64>,
    /// The study stops when this many trials have failed. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_fail: Option<u32>,
    /// The study stops when one trial has failed.
    pub fail_fast: bool,
    /// Keep the checkpoints of pruned trials.
    pub keep_pruned_checkpoints: bool,
    /// Parameters of trials that run first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enqueue: Vec<Map<String, Value>>,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            study: None,
            n_trials: None,
            direction: None,
            metric: None,
            objectives: Vec::new(),
            sampler: SamplerConfig::default(),
            pruner: PrunerConfig::default(),
            jobs: OrAuto::Number(NonZeroU32::MIN),
            timeout: None,
            stop_at: None,
            max_fail: None,
            fail_fast: false,
            keep_pruned_checkpoints: false,
            enqueue: Vec::new(),
        }
    }
}

/// One of several metrics that are searched for at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The metric's name.
    pub metric: String,
    /// Whether to `minimize` or `maximize`.
    #[serde(default)]
    pub direction: Direction,
}
