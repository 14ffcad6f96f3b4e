use super::PrunerError;
use crate::Trial;

/// At which of its reports a trial is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checks {
    warmup: i64,
    interval: i64,
}

impl Checks {
    pub(super) fn new(n_warmup_steps: u64, interval_steps: u64) -> Result<Self, PrunerError> {
        if interval_steps == 0 {
            return Err(PrunerError::new("interval_steps", "must be 1 or more"));
        }
        Ok(Self {
            warmup: steps(n_warmup_steps),
            interval: steps(interval_steps),
        })
    }

    /// The trial's last step and value there, if they are to be judged: the
    /// warm-up is over, and this is the first report of its interval.
    pub(super) fn due(self, trial: &Trial) -> Option<(i64, f64)> {
        let mut reports = trial.intermediate.iter().rev();
        let (&step, &value) = reports.next()?;
        let since_warmup = step.checked_sub(self.warmup).filter(|since| *since >= 0)?;
        let begin = since_warmup / self.interval * self.interval + self.warmup;
        let first = reports.next().is_none_or(|(&before, _)| before < begin);
        first.then_some((step, value))
    }
}

/// A number of steps as a step.
pub(super) fn steps(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
