use super::TrainerError;
use crate::Direction;
use serde::{Deserialize, Serialize};

/// Settings of a [`Trainer`](super::Trainer), to be given in code or to be
/// part of the hyperparameters:
///
/// ```
/// use explr_sdk::trainer::TrainerConfig;
///
/// #[derive(serde::Deserialize)]
/// struct Params {
///     lr: f64,
///     trainer: TrainerConfig,
/// }
///
/// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
/// let params: Params = ctx.params()?;
/// let in_code = TrainerConfig { epochs: Some(10), accumulate: 4, ..TrainerConfig::default() };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// Ends after this many epochs.
    pub epochs: Option<u64>,
    /// Ends after this many optimiser steps.
    pub max_steps: Option<u64>,
    /// Batches to an optimiser step: 1. The gradient is the mean over them,
    /// also over the fewer ones that may be left at the end of an epoch.
    pub accumulate: u64,
    /// Limits the L2 norm of all gradients of an optimiser together.
    pub clip_norm: Option<f64>,
    /// Limits every element of the gradients.
    pub clip_value: Option<f64>,
    /// Validates at the end of every `n`th epoch: 1.
    pub validate_every_epochs: u64,
    /// Validates after every `n`th step, instead of at the end of epochs.
    pub validate_every_steps: Option<u64>,
    /// Batches of a validation before the first step, to find mistakes in it
    /// early: 0. Nothing of it is logged.
    pub sanity_batches: u64,
    /// The value of the validation by which the training is judged:
    /// `val_loss`.
    pub monitor: String,
    /// Whether a smaller or a larger one is better: `minimize`.
    pub direction: Direction,
    /// Which checkpoints are saved; `null` for none.
    pub checkpoint: Option<CheckpointConfig>,
    /// Ends when the monitored value no longer gets better.
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Logs the loss of the training, its mean over so many steps: 50.
    pub log_every_steps: u64,
}

/// When checkpoints are saved, and which stay. One more is saved at the end,
/// and when the run is asked to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// At the end of every `n`th epoch: 1.
    pub every_epochs: u64,
    /// After every `n`th step too.
    pub every_steps: Option<u64>,
    /// How many of the newest stay: 2.
    pub keep_last: usize,
    /// How many of the best by the monitored value stay: 1. Only those count
    /// that are saved right after a validation.
    pub keep_top: usize,
}

/// When a training has no more hope.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Ends at this many validations in a row that were not better.
    pub patience: u64,
    /// By more than how much a better value must be better: 0.
    #[serde(default)]
    pub min_delta: f64,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            epochs: None,
            max_steps: None,
            accumulate: 1,
            clip_norm: None,
            clip_value: None,
            validate_every_epochs: 1,
            validate_every_steps: None,
            sanity_batches: 0,
            monitor: "val_loss".to_owned(),
            direction: Direction::Minimize,
            checkpoint: Some(CheckpointConfig::default()),
            early_stopping: None,
            log_every_steps: 50,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            every_steps: None,
            keep_last: 2,
            keep_top: 1,
        }
    }
}

impl TrainerConfig {
    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), TrainerError> {
        let checkpoint = self.checkpoint.as_ref();
        let counts = [
            ("accumulate", Some(self.accumulate)),
            ("validate_every_epochs", Some(self.validate_every_epochs)),
            ("validate_every_steps", self.validate_every_steps),
            ("log_every_steps", Some(self.log_every_steps)),
            (
                "checkpoint.every_epochs",
                checkpoint.map(|c| c.every_epochs),
            ),
            (
                "checkpoint.every_steps",
                checkpoint.and_then(|c| c.every_steps),
            ),
            (
                "early_stopping.patience",
                self.early_stopping.map(|e| e.patience),
            ),
        ];
        for (key, count) in counts {
            if count == Some(0) {
                return Err(TrainerError::Setting {
                    key,
                    problem: "is 0; it must be 1 or more".to_owned(),
                });
            }
        }
        for (key, limit) in [
            ("clip_norm", self.clip_norm),
            ("clip_value", self.clip_value),
        ] {
            if let Some(limit) = limit.filter(|limit| limit.is_nan() || *limit <= 0.0) {
                return Err(TrainerError::Setting {
                    key,
                    problem: format!("is {limit}; it must be above 0"),
                });
            }
        }
        if self.epochs.is_none() && self.max_steps.is_none() {
            return Err(TrainerError::Setting {
                key: "epochs",
                problem: "is missing, and so is `max_steps`; give one of them".to_owned(),
            });
        }
        Ok(())
    }
}
