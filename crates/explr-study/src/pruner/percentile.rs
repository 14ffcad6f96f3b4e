use super::checks::Checks;
use super::{Pruner, PrunerError};
use crate::{History, Trial, TrialState};

/// When [`Median`] and [`Percentile`] judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileOptions {
    /// Nothing is pruned before this many trials are complete. Default: 5.
    pub n_startup_trials: u64,
    /// Nothing is pruned before this step. Default: 0.
    pub n_warmup_steps: u64,
    /// A trial is looked at once in so many steps, counted from the warm-up;
    /// if it reports nothing there, at its next report. Default: 1.
    pub interval_steps: u64,
    /// Complete trials with a value at the step that it takes to judge there.
    /// Default: 1.
    pub n_min_trials: u64,
}

impl Default for PercentileOptions {
    fn default() -> Self {
        Self {
            n_startup_trials: 5,
            n_warmup_steps: 0,
            interval_steps: 1,
            n_min_trials: 1,
        }
    }
}

/// Prunes a trial whose best value so far is worse than a percentile of the
/// complete trials' values at the same step. With 25, a trial goes on if it
/// is among the best quarter.
///
/// A trial that has reported nothing but NaN is pruned; NaN of others does
/// not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    kept: f64,
    checks: Checks,
    n_startup_trials: u64,
    n_min_trials: u64,
}

impl Percentile {
    /// A pruner that keeps the best `percentile` of 100.
    pub fn new(percentile: f64, options: PercentileOptions) -> Result<Self, PrunerError> {
        if !(0.0..=100.0).contains(&percentile) {
            return Err(PrunerError::new(
                "percentile",
                format!("must lie between 0 and 100, and {percentile} doesn't"),
            ));
        }
        if options.n_min_trials == 0 {
            return Err(PrunerError::new("n_min_trials", "must be 1 or more"));
        }
        Ok(Self {
            kept: percentile,
            checks: Checks::new(options.n_warmup_steps, options.interval_steps)?,
            n_startup_trials: options.n_startup_trials,
            n_min_trials: options.n_min_trials,
        })
    }
}

impl Pruner for Percentile {
    fn name(&self) -> &'static str {
        "percentile"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        let Some((step, _)) = self.checks.due(trial) else {
            return false;
        };
        let mut complete = 0;
        let mut reported = 0;
        let mut losses = Vec::new();
        for other in history.trials() {
            if other.state != TrialState::Complete {
                continue;
            }
            complete += 1;
            if let Some(value) = other.intermediate.get(&step) {
                reported += 1;
                losses.extend(Some(history.loss(*value)).filter(|loss| !loss.is_nan()));
            }
        }
        if complete == 0 || complete < self.n_startup_trials {
            return false;
        }
        let best = trial
            .intermediate
            .values()
            .map(|value| history.loss(*value))
            .fold(f64::NAN, f64::min);
        if best.is_nan() {
            return true;
        }
        reported >= self.n_min_trials
            && percentile(&mut losses, self.kept).is_some_and(|limit| best > limit)
    }
}

/// Prunes a trial whose best value so far is worse than the median of the
/// complete trials' values at the same step: the median stopping rule
/// (Golovin et al. 2017, "Google Vizier"), as Optuna has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median(Percentile);

impl Median {
    /// A pruner that keeps the better half.
    pub fn new(options: PercentileOptions) -> Result<Self, PrunerError> {
        Percentile::new(50.0, options).map(Self)
    }
}

impl Pruner for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        self.0.prune(history, trial)
    }
}

/// The value below which `percent` of 100 lie, between neighbours in a
/// straight line as in `NumPy`.
fn percentile(values: &mut [f64], percent: f64) -> Option<f64> {
    let place = percent / 100.0 * values.len().checked_sub(1)? as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = place.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let (low, share) = (*low, place.fract());
    let Some(high) = above.iter().copied().min_by(f64::total_cmp) else {
        return Some(low);
    };
    // Equal values first: the difference of two infinite ones is no number.
    #[expect(clippy::float_cmp, reason = "exactly one of them, or equal ones")]
    if share == 0.0 || low == high {
        return Some(low);
    }
    // From the nearer side, so that rounding is NumPy's too.
    Some(if share < 0.5 {
        low + (high - low) * share
    } else {
        high - (high - low) * (1.0 - share)
    })
}

#[cfg(test)]
mod tests {
    use super::{Percentile, PercentileOptions, percentile};

    #[test]
    fn percentiles_lie_between_neighbours() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&mut values, 0.0), Some(1.0));
        assert_eq!(percentile(&mut values, 50.0), Some(2.5));
        assert_eq!(percentile(&mut values, 100.0), Some(4.0));
        assert_eq!(percentile(&mut [], 50.0), None);
        assert_eq!(
            percentile(&mut [f64::INFINITY, f64::INFINITY], 50.0),
            Some(f64::INFINITY)
        );
    }

    #[test]
    fn impossible_options_are_refused_by_name() {
        let options = PercentileOptions::default();
        assert_eq!(
            Percentile::new(101.0, options).unwrap_err().to_string(),
            "`percentile` must lie between 0 and 100, and 101 doesn't"
        );
        let options = PercentileOptions {
            interval_steps: 0,
            ..options
        };
        assert_eq!(
            Percentile::new(50.0, options).unwrap_err().to_string(),
            "`interval_steps` must be 1 or more"
        );
    }
}
