use super::checks::steps;
use crate::{History, Trial, TrialState};

/// The steps at which trials compete: `first`, and each time `factor` times
/// as far.
///
/// A trial's value at a rung is the one at its first report there or beyond.
/// So what competes follows from the reports alone, and a resumed study
/// decides as the uninterrupted one would have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rungs {
    first: i64,
    factor: i64,
}

impl Rungs {
    /// Rungs from `min_resource * factor^rate` on.
    pub(super) fn new(min_resource: u64, factor: u64, rate: u32) -> Self {
        Self {
            first: steps(min_resource.saturating_mul(factor.saturating_pow(rate))),
            factor: steps(factor),
        }
    }

    /// Whether the trial's last report lost at a rung that it is the first to
    /// reach, among those trials that compete.
    pub(super) fn lost(
        self,
        history: &History,
        trial: &Trial,
        competes: impl Fn(&Trial) -> bool,
    ) -> bool {
        let mut reports = trial.intermediate.iter().rev();
        let Some((&step, &value)) = reports.next() else {
            return false;
        };
        let before = reports.next().map_or(i64::MIN, |(&step, _)| step);
        let mut rung = self.first;
        while rung <= step {
            if rung > before
                && (value.is_nan() || !self.promoted(history, trial, value, rung, &competes))
            {
                return true;
            }
            match rung.checked_mul(self.factor) {
                Some(next) => rung = next,
                None => break,
            }
        }
        false
    }

    /// Whether `value` is among the best `1 / factor` of those that reached
    /// the rung; while they are too few for that, whether it is the best.
    fn promoted(
        self,
        history: &History,
        trial: &Trial,
        value: f64,
        rung: i64,
        competes: impl Fn(&Trial) -> bool,
    ) -> bool {
        let loss = history.loss(value);
        let (mut reached, mut better) = (1, 0);
        for other in history.trials() {
            let Some((_, &rival)) = other.intermediate.range(rung..).next() else {
                continue;
            };
            if other.number == trial.number || rival.is_nan() || !competes(other) {
                continue;
            }
            reached += 1;
            better += i64::from(history.loss(rival) < loss);
        }
        better < (reached / self.factor).max(1)
    }
}

/// The last step of the trial that was the first to be complete, of those
/// with reports: what a whole trial takes.
pub(super) fn whole_trial(history: &History) -> Option<u64> {
    history
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .filter_map(|trial| Some((trial.finished, trial.number, trial.last_report()?.0)))
        .min()
        .map(|(_, _, step)| u64::try_from(step).unwrap_or(0))
}
