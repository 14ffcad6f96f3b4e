use super::named;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// What proposes the parameters of the next trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// Tree-structured Parzen estimator.
    Tpe {
        /// Quasi-random trials before the search begins; random ones without
        /// `multivariate`.
        #[serde(default = "ten")]
        n_startup_trials: u32,
        /// Model parameters together, not one by one.
        #[serde(default = "yes")]
        multivariate: bool,
    },
    /// Values at random.
    Random {},
    /// Every combination.
    Grid {
        /// Values of each range without steps: a number for all of them, or
        /// one for each by its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        points: Option<GridPoints>,
    },
    /// Quasi-random values, which cover the space evenly.
    Qmc {},
    /// Covariance matrix adaptation.
    Cmaes {},
    /// Gaussian process.
    Gp {},
}

/// How many values of a range a grid has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GridPoints {
    /// This many of each.
    All(NonZeroU32),
    /// This many of each parameter that is named.
    Each(BTreeMap<String, NonZeroU32>),
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Tpe {
            n_startup_trials: ten(),
            multivariate: yes(),
        }
    }
}

impl SamplerConfig {
    pub(super) const WORDS: [&'static str; 6] = ["tpe", "random", "grid", "qmc", "cmaes", "gp"];

    pub(super) fn word_or_map(generator: &mut SchemaGenerator) -> Schema {
        named::schema::<Self>(generator, &Self::WORDS)
    }
}

fn ten() -> u32 {
    10
}

fn yes() -> bool {
    true
}
