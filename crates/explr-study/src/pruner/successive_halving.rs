use super::rungs::{Rungs, whole_trial};
use super::{Pruner, PrunerError};
use crate::{History, Trial};

/// Options of [`SuccessiveHalving`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessiveHalvingOptions {
    /// Steps that every trial gets. By default a hundredth of what the first
    /// complete trial took; nothing is pruned before that one.
    pub min_resource: Option<u64>,
    /// One of so many trials goes on at each rung, and the next rung is so
    /// many times as far. Default: 4.
    pub reduction_factor: u64,
    /// The first rung is at `min_resource * reduction_factor` to the power of
    /// this. Default: 0.
    pub min_early_stopping_rate: u32,
}

impl Default for SuccessiveHalvingOptions {
    fn default() -> Self {
        Self {
            min_resource: None,
            reduction_factor: 4,
            min_early_stopping_rate: 0,
        }
    }
}

/// Lets trials go on that are among the best `1 / reduction_factor` of all
/// that have reached the same rung so far: asynchronous successive halving
/// (ASHA; Li et al. 2018, arXiv:1810.05934), where nobody waits for a rung to
/// fill.
///
/// All trials that have reached a rung compete, running ones included. A NaN
/// at a rung loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessiveHalving(SuccessiveHalvingOptions);

impl SuccessiveHalving {
    /// A pruner with these options.
    pub fn new(options: SuccessiveHalvingOptions) -> Result<Self, PrunerError> {
        if options.min_resource == Some(0) {
            return Err(PrunerError::new("min_resource", "must be 1 or more"));
        }
        if options.reduction_factor < 2 {
            return Err(PrunerError::new("reduction_factor", "must be 2 or more"));
        }
        Ok(Self(options))
    }
}

impl Pruner for SuccessiveHalving {
    fn name(&self) -> &'static str {
        "successive_halving"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        let hundredth = || whole_trial(history).map(|steps| (steps / 100).max(1));
        let Some(min_resource) = self.0.min_resource.or_else(hundredth) else {
            return false;
        };
        Rungs::new(
            min_resource,
            self.0.reduction_factor,
            self.0.min_early_stopping_rate,
        )
        .lost(history, trial, |_| true)
    }
}
