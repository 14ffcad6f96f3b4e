use super::checks::Checks;
use super::{Pruner, PrunerError};
use crate::{History, Trial};

/// Options of [`Threshold`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdOptions {
    /// A value below this one is pruned. Default: no limit.
    pub lower: Option<f64>,
    /// A value above this one is pruned. Default: no limit.
    pub upper: Option<f64>,
    /// Nothing is pruned before this step. Default: 0.
    pub n_warmup_steps: u64,
    /// A trial is looked at once in so many steps, counted from the warm-up;
    /// if it reports nothing there, at its next report. Default: 1.
    pub interval_steps: u64,
}

impl Default for ThresholdOptions {
    fn default() -> Self {
        Self {
            lower: None,
            upper: None,
            n_warmup_steps: 0,
            interval_steps: 1,
        }
    }
}

/// Prunes a trial whose last value is outside fixed limits, whatever the
/// direction, or NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    lower: f64,
    upper: f64,
    checks: Checks,
}

impl Threshold {
    /// A pruner with these options, one limit at least.
    pub fn new(options: ThresholdOptions) -> Result<Self, PrunerError> {
        if options.lower.is_none() && options.upper.is_none() {
            return Err(PrunerError::new("lower", "or `upper` must be given"));
        }
        let lower = options.lower.unwrap_or(f64::NEG_INFINITY);
        let upper = options.upper.unwrap_or(f64::INFINITY);
        for (field, limit) in [("lower", lower), ("upper", upper)] {
            if limit.is_nan() {
                return Err(PrunerError::new(field, "must be a number, not NaN"));
            }
        }
        if lower > upper {
            return Err(PrunerError::new(
                "lower",
                format!("({lower}) is greater than `upper` ({upper})"),
            ));
        }
        Ok(Self {
            lower,
            upper,
            checks: Checks::new(options.n_warmup_steps, options.interval_steps)?,
        })
    }
}

impl Pruner for Threshold {
    fn name(&self) -> &'static str {
        "threshold"
    }

    fn prune(&self, _: &History, trial: &Trial) -> bool {
        self.checks
            .due(trial)
            .is_some_and(|(_, value)| !(self.lower..=self.upper).contains(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Threshold, ThresholdOptions};

    #[test]
    fn limits_must_be_given_and_in_order() {
        let none = ThresholdOptions::default();
        assert_eq!(
            Threshold::new(none).unwrap_err().to_string(),
            "`lower` or `upper` must be given"
        );
        let crossed = ThresholdOptions {
            lower: Some(1.0),
            upper: Some(0.0),
            ..none
        };
        assert_eq!(
            Threshold::new(crossed).unwrap_err().to_string(),
            "`lower` (1) is greater than `upper` (0)"
        );
    }
}
