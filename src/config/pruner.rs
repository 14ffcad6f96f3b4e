use super::{OrAuto, named};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// What ends hopeless trials early. Names and options are Optuna's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(transform = with_aliases)]
pub enum PrunerConfig {
    /// Nothing does.
    #[default]
    None,
    /// Worse than the median of the trials before.
    Median {
        /// Trials that are let through first.
        #[serde(default = "five")]
        n_startup_trials: u32,
        /// Steps of each trial that are let through first.
        #[serde(default)]
        n_warmup_steps: u32,
        /// Steps between two checks.
        #[serde(default = "one")]
        interval_steps: NonZeroU32,
        /// Values of other trials at a step that a check needs.
        #[serde(default = "one")]
        n_min_trials: NonZeroU32,
    },
    /// Not among the best per cent of the trials before.
    Percentile {
        /// The per cent that go on.
        #[serde(default = "quarter")]
        #[schemars(range(min = 0.0, max = 100.0))]
        percentile: f64,
        /// Trials that are let through first.
        #[serde(default = "five")]
        n_startup_trials: u32,
        /// Steps of each trial that are let through first.
        #[serde(default)]
        n_warmup_steps: u32,
        /// Steps between two checks.
        #[serde(default = "one")]
        interval_steps: NonZeroU32,
        /// Values of other trials at a step that a check needs.
        #[serde(default = "one")]
        n_min_trials: NonZeroU32,
    },
    /// Asynchronous successive halving.
    #[serde(alias = "successive_halving")]
    Asha {
        /// Steps before the first check.
        #[serde(default = "auto")]
        min_resource: OrAuto,
        /// One of this many goes on.
        #[serde(default = "four")]
        #[schemars(range(min = 2))]
        reduction_factor: u32,
        /// Checks that are left out at the start.
        #[serde(default)]
        min_early_stopping_rate: u32,
    },
    /// Successive halving with several first checks.
    Hyperband {
        /// Steps before the first check.
        #[serde(default = "one")]
        min_resource: NonZeroU32,
        /// Steps of a whole trial.
        #[serde(default = "auto")]
        max_resource: OrAuto,
        /// One of this many goes on.
        #[serde(default = "three")]
        #[schemars(range(min = 2))]
        reduction_factor: u32,
    },
    /// Below or above a limit.
    Threshold {
        /// Lowest value that goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lower: Option<f64>,
        /// Highest value that goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upper: Option<f64>,
        /// Steps of each trial that are let through first.
        #[serde(default)]
        n_warmup_steps: u32,
        /// Steps between two checks.
        #[serde(default = "one")]
        interval_steps: NonZeroU32,
    },
    /// Another pruner's decision, but only of trials that stand still.
    Patient {
        /// The other pruner. Without one, standing still is enough.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "named::optional_word_or_map"
        )]
        #[schemars(schema_with = "PrunerConfig::word_or_map")]
        wrapped: Option<Box<PrunerConfig>>,
        /// Steps without a better value.
        patience: u32,
        /// What counts as better at all.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        min_delta: f64,
    },
    /// Worse than the best trial by Wilcoxon's signed-rank test over steps.
    Wilcoxon {
        /// Largest probability of being wrong.
        #[serde(default = "tenth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        p_threshold: f64,
        /// Steps of each trial that are let through first.
        #[serde(default = "two")]
        n_startup_steps: u32,
    },
}

impl PrunerConfig {
    /// The names. `threshold` and `patient` need options, as is said when
    /// they stand alone.
    const WORDS: [&'static str; 9] = [
        "none",
        "median",
        "percentile",
        "asha",
        "successive_halving",
        "hyperband",
        "threshold",
        "patient",
        "wilcoxon",
    ];

    pub(super) fn word_or_map(generator: &mut SchemaGenerator) -> Schema {
        named::schema::<Self>(generator, &Self::WORDS)
    }
}

/// Optuna's name for `asha` is as good.
fn with_aliases(schema: &mut Schema) {
    let branches = schema.get_mut("oneOf").and_then(|list| list.as_array_mut());
    for branch in branches.into_iter().flatten() {
        let name = &mut branch["properties"]["name"];
        if name["const"] == "asha" {
            *name = serde_json::json!({ "enum": ["asha", "successive_halving"] });
        }
    }
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn four() -> u32 {
    4
}

fn five() -> u32 {
    5
}

fn quarter() -> f64 {
    25.0
}

fn tenth() -> f64 {
    0.1
}

fn auto() -> OrAuto {
    OrAuto::Auto
}
