//! Whether a running trial is worth going on with.
//!
//! A pruner is a function of the history and the trial's own reports: it keeps
//! nothing between calls. So it decides the same in every process, and the
//! trials of parallel workers count as soon as their reports are in the
//! history. Names and meanings of the options are Optuna's.
//!
//! With several objectives an intermediate value has no meaning: such a study
//! takes no pruner but [`Never`].

mod checks;
mod error;
mod hyperband;
mod patient;
mod percentile;
mod rungs;
mod successive_halving;
mod threshold;
mod wilcoxon;

pub use error::PrunerError;
pub use hyperband::{Hyperband, HyperbandOptions};
pub use patient::{Patient, PatientOptions};
pub use percentile::{Median, Percentile, PercentileOptions};
pub use successive_halving::{SuccessiveHalving, SuccessiveHalvingOptions};
pub use threshold::{Threshold, ThresholdOptions};
pub use wilcoxon::{Wilcoxon, WilcoxonOptions};

use crate::{History, Trial};

/// Decides whether a trial ends early.
pub trait Pruner: std::fmt::Debug + Send {
    /// Its name, as in the configuration.
    fn name(&self) -> &'static str;

    /// Whether `trial`, a running trial of `history` that has just reported a
    /// value, should end. A function of these two alone.
    fn prune(&self, history: &History, trial: &Trial) -> bool;
}

/// Lets every trial go on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Never;

impl Pruner for Never {
    fn name(&self) -> &'static str {
        "none"
    }

    fn prune(&self, _: &History, _: &Trial) -> bool {
        false
    }
}

impl Pruner for Box<dyn Pruner> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        (**self).prune(history, trial)
    }
}
