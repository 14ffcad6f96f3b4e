//! Whether a running trial is worth going on with.

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
