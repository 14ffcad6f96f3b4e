use super::{Pruner, PrunerError};
use crate::{History, Trial};

/// Options of [`Patient`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatientOptions {
    /// Reports beyond the best one that a trial may take without getting
    /// better. Default: 1.
    pub patience: u64,
    /// How much worse than before the best of these may be all the same.
    /// Default: 0.
    pub min_delta: f64,
}

impl Default for PatientOptions {
    fn default() -> Self {
        Self {
            patience: 1,
            min_delta: 0.0,
        }
    }
}

/// Prunes a trial that has not been as good as before for its last
/// `patience + 1` reports: early stopping. Around another pruner, it asks
/// that one only then.
///
/// NaN does not count; a trial whose reports before or within the patience
/// are all NaN is not pruned.
#[derive(Debug)]
pub struct Patient {
    inner: Option<Box<dyn Pruner>>,
    patience: usize,
    min_delta: f64,
}

impl Patient {
    /// A pruner with these options, alone or around another.
    pub fn new(
        inner: Option<Box<dyn Pruner>>,
        options: PatientOptions,
    ) -> Result<Self, PrunerError> {
        if options.min_delta.is_nan() || options.min_delta < 0.0 {
            return Err(PrunerError::new(
                "min_delta",
                format!("must be 0 or more, not {}", options.min_delta),
            ));
        }
        Ok(Self {
            inner,
            patience: usize::try_from(options.patience).unwrap_or(usize::MAX),
            min_delta: options.min_delta,
        })
    }
}

impl Pruner for Patient {
    fn name(&self) -> &'static str {
        "patient"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        let losses: Vec<f64> = trial
            .intermediate
            .values()
            .map(|value| history.loss(*value))
            .collect();
        let Some(split) = losses.len().checked_sub(self.patience.saturating_add(1)) else {
            return false;
        };
        let (before, after) = losses.split_at(split);
        let least = |losses: &[f64]| losses.iter().copied().fold(f64::NAN, f64::min);
        least(before) + self.min_delta < least(after)
            && self
                .inner
                .as_ref()
                .is_none_or(|inner| inner.prune(history, trial))
    }
}
