//! What values a parameter may have.

use serde_json::Value;

/// Largest whole number that every `f64` holds exactly.
const EXACT: i64 = 1 << 53;

/// What is wrong with a distribution.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DistributionError {
    /// A bound is NaN or infinite.
    #[error("the bounds must be finite numbers, not {low} and {high}")]
    NotFinite {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// The bounds are the wrong way round.
    #[error("low ({low}) is greater than high ({high})")]
    LowAboveHigh {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A logarithmic range that reaches 0 or below.
    #[error("a logarithmic range must begin above 0, and low is {low}")]
    LogOfNothing {
        /// Lower bound.
        low: f64,
    },
    /// A step that is 0, negative or not finite.
    #[error("the step must be a finite number above 0, not {step}")]
    Step {
        /// The step.
        step: f64,
    },
    /// The step leads past the upper bound.
    #[error(
        "the step {step} does not divide the range from {low} to {high}; the last value would be {last}"
    )]
    Indivisible {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// The step.
        step: f64,
        /// The greatest value that steps from `low` reach.
        last: f64,
    },
    /// A logarithmic range has no steps.
    #[error("a range can't have both `log` and a `step`")]
    LogWithStep,
    /// A whole number that `f64` can't hold exactly.
    #[error("whole numbers must lie between -2^53 and 2^53, and {value} doesn't")]
    TooLarge {
        /// The bound.
        value: i64,
    },
    /// No choices.
    #[error("there are no choices")]
    NoChoices,
    /// The same choice twice.
    #[error("the choice {choice} is there twice")]
    SameChoice {
        /// The choice.
        choice: Value,
    },
}

/// The values that a parameter may have, and how they are distributed before
/// anything is known.
///
/// Values are handled as numbers, in Optuna's internal representation: a
/// number is itself (logarithmic ones in plain scale), a category is its
/// index.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Real numbers.
    Float(FloatRange),
    /// Whole numbers.
    Int(IntRange),
    /// Unordered choices.
    Categorical(Categories),
}

/// A range of real numbers, both bounds included. Valid by construction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatRange {
    low: f64,
    high: f64,
    log: bool,
    step: Option<f64>,
}

/// A range of whole numbers, both bounds included. Valid by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntRange {
    low: i64,
    high: i64,
    log: bool,
    step: i64,
}

/// Choices without an order. Never empty, no two alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Categories(Vec<Value>);

impl FloatRange {
    /// A range from `low` to `high`; uniform in the logarithm with `log`, in
    /// steps from `low` with `step`. The step must divide the range.
    pub fn new(
        low: f64,
        high: f64,
        log: bool,
        step: Option<f64>,
    ) -> Result<Self, DistributionError> {
        if !low.is_finite() || !high.is_finite() {
            return Err(DistributionError::NotFinite { low, high });
        }
        if low > high {
            return Err(DistributionError::LowAboveHigh { low, high });
        }
        if log && low <= 0.0 {
            return Err(DistributionError::LogOfNothing { low });
        }
        if let Some(step) = step {
            if log {
                return Err(DistributionError::LogWithStep);
            }
            if !(step.is_finite() && step > 0.0) {
                return Err(DistributionError::Step { step });
            }
            let steps = (high - low) / step;
            // 0.1 + 0.1 + 0.1 is not 0.3: a step divides but for rounding.
            if (steps - steps.round()).abs() > 1e-8 * steps.max(1.0) {
                let last = low + steps.floor() * step;
                return Err(DistributionError::Indivisible {
                    low,
                    high,
                    step,
                    last,
                });
            }
        }
        Ok(Self {
            low,
            high,
            log,
            step,
        })
    }

    /// Lower bound.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Upper bound.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Uniform in the logarithm.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// Distance of neighbouring values.
    pub fn step(&self) -> Option<f64> {
        self.step
    }

    /// Number of values, if they come in steps.
    pub fn count(&self) -> Option<u64> {
        #[expect(clippy::float_cmp, reason = "exactly one value")]
        if self.low == self.high {
            return Some(1);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        self.step
            .map(|step| (((self.high - self.low) / step).round() as u64).saturating_add(1))
    }

    /// The allowed value nearest to `value`.
    pub fn round(&self, value: f64) -> f64 {
        let value = match self.step {
            Some(step) => self.low + ((value - self.low) / step).round() * step,
            None => value,
        };
        value.clamp(self.low, self.high)
    }
}

impl IntRange {
    /// A range from `low` to `high`; uniform in the logarithm with `log`, in
    /// steps from `low` with a `step` above 1. The step must divide the range.
    pub fn new(low: i64, high: i64, log: bool, step: i64) -> Result<Self, DistributionError> {
        for value in [low, high] {
            if !(-EXACT..=EXACT).contains(&value) {
                return Err(DistributionError::TooLarge { value });
            }
        }
        if low > high {
            return Err(DistributionError::LowAboveHigh {
                low: low as f64,
                high: high as f64,
            });
        }
        if log && low <= 0 {
            return Err(DistributionError::LogOfNothing { low: low as f64 });
        }
        if step <= 0 {
            return Err(DistributionError::Step { step: step as f64 });
        }
        if log && step != 1 {
            return Err(DistributionError::LogWithStep);
        }
        if (high - low) % step != 0 {
            return Err(DistributionError::Indivisible {
                low: low as f64,
                high: high as f64,
                step: step as f64,
                last: (high - (high - low) % step) as f64,
            });
        }
        Ok(Self {
            low,
            high,
            log,
            step,
        })
    }

    /// Lower bound.
    pub fn low(&self) -> i64 {
        self.low
    }

    /// Upper bound.
    pub fn high(&self) -> i64 {
        self.high
    }

    /// Uniform in the logarithm.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// Distance of neighbouring values, 1 or more.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        (self.high - self.low).unsigned_abs() / self.step.unsigned_abs() + 1
    }

    /// The allowed value nearest to `value`.
    pub fn round(&self, value: f64) -> f64 {
        let (low, step) = (self.low as f64, self.step as f64);
        (low + ((value - low) / step).round() * step).clamp(low, self.high as f64)
    }
}

impl Categories {
    /// Choices of any JSON values.
    pub fn new(choices: Vec<Value>) -> Result<Self, DistributionError> {
        if choices.is_empty() {
            return Err(DistributionError::NoChoices);
        }
        for (index, choice) in choices.iter().enumerate() {
            if choices[..index].contains(choice) {
                return Err(DistributionError::SameChoice {
                    choice: choice.clone(),
                });
            }
        }
        Ok(Self(choices))
    }

    /// The choices, in the order given.
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

impl Distribution {
    /// The external form of an internal value: what the train function gets.
    pub fn external(&self, internal: f64) -> Value {
        match self {
            Self::Float(_) => internal.into(),
            #[expect(clippy::cast_possible_truncation, reason = "within ±2^53")]
            Self::Int(_) => (internal.round() as i64).into(),
            Self::Categorical(categories) => categories
                .0
                .get(index(internal))
                .cloned()
                .unwrap_or(Value::Null),
        }
    }

    /// The internal form of an external value; none if it is not allowed
    /// here.
    pub fn internal(&self, external: &Value) -> Option<f64> {
        match self {
            Self::Categorical(categories) => categories
                .0
                .iter()
                .position(|choice| choice == external)
                .map(|index| index as f64),
            Self::Float(_) | Self::Int(_) => {
                external.as_f64().filter(|value| self.contains(*value))
            }
        }
    }

    /// Whether an internal value is one of this distribution's.
    pub fn contains(&self, internal: f64) -> bool {
        match self {
            Self::Float(range) => {
                let tolerance = 1e-8 * (range.high - range.low);
                (range.low..=range.high).contains(&internal)
                    && (range.step.is_none()
                        || (range.round(internal) - internal).abs() <= tolerance)
            }
            #[expect(clippy::float_cmp, reason = "whole numbers are exact")]
            Self::Int(range) => range.round(internal) == internal,
            Self::Categorical(categories) => {
                internal >= 0.0 && internal.fract() == 0.0 && index(internal) < categories.0.len()
            }
        }
    }

    /// Whether a parameter may have both distributions in one study, by
    /// Optuna's rule: bounds and steps may change; the type, the scale and the
    /// choices may not.
    pub fn is_compatible(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.log == b.log,
            (Self::Int(a), Self::Int(b)) => a.log == b.log,
            (Self::Categorical(a), Self::Categorical(b)) => a == b,
            _ => false,
        }
    }

    /// Number of values, if it is finite.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Float(range) => range.count(),
            Self::Int(range) => Some(range.count()),
            Self::Categorical(categories) => Some(categories.0.len() as u64),
        }
    }

    /// The internal value at `unit` of [0, 1] when the allowed values are laid
    /// out over it in their own scale: a uniform `unit` gives the
    /// distribution's own density.
    pub fn from_unit(&self, unit: f64) -> f64 {
        let unit = unit.clamp(0.0, 1.0);
        match self {
            Self::Float(range) => match (range.count(), range.log) {
                (Some(count), _) => {
                    let step = range.step.unwrap_or(0.0);
                    range.round(range.low + cell(unit, count) * step)
                }
                (None, true) => {
                    let (low, high) = (range.low.ln(), range.high.ln());
                    range.round((low + unit * (high - low)).exp())
                }
                (None, false) => range.round(range.low + unit * (range.high - range.low)),
            },
            Self::Int(range) if range.log => {
                let (low, high) = (
                    (range.low as f64 - 0.5).ln(),
                    (range.high as f64 + 0.5).ln(),
                );
                range.round((low + unit * (high - low)).exp())
            }
            Self::Int(range) => {
                range.round(range.low as f64 + cell(unit, range.count()) * range.step as f64)
            }
            Self::Categorical(categories) => cell(unit, categories.0.len() as u64),
        }
    }

    /// The middle of what [`from_unit`](Self::from_unit) maps to `internal`.
    pub fn to_unit(&self, internal: f64) -> f64 {
        let unit = match self {
            Self::Float(range) => match (range.count(), range.log) {
                (Some(count), _) => {
                    let step = range.step.unwrap_or(1.0);
                    ((internal - range.low) / step + 0.5) / count as f64
                }
                (None, true) => {
                    (internal.ln() - range.low.ln()) / (range.high.ln() - range.low.ln())
                }
                (None, false) => (internal - range.low) / (range.high - range.low),
            },
            Self::Int(range) if range.log => {
                let (low, high) = (
                    (range.low as f64 - 0.5).ln(),
                    (range.high as f64 + 0.5).ln(),
                );
                (internal.ln() - low) / (high - low)
            }
            Self::Int(range) => {
                ((internal - range.low as f64) / range.step as f64 + 0.5) / range.count() as f64
            }
            Self::Categorical(categories) => (internal + 0.5) / categories.0.len() as f64,
        };
        unit.clamp(0.0, 1.0)
    }
}

impl TryFrom<explr_protocol::Distribution> for Distribution {
    type Error = DistributionError;

    fn try_from(given: explr_protocol::Distribution) -> Result<Self, DistributionError> {
        use explr_protocol::Distribution as Given;
        Ok(match given {
            Given::Float {
                low,
                high,
                log,
                step,
            } => Self::Float(FloatRange::new(low, high, log, step)?),
            Given::Int {
                low,
                high,
                log,
                step,
            } => Self::Int(IntRange::new(low, high, log, step)?),
            Given::Categorical { choices } => Self::Categorical(Categories::new(choices)?),
        })
    }
}

/// Which of `count` equal cells of [0, 1] holds `unit`.
fn cell(unit: f64, count: u64) -> f64 {
    (unit * count as f64).floor().min(count as f64 - 1.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn index(internal: f64) -> usize {
    internal.max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::{Categories, Distribution, DistributionError, FloatRange, IntRange};
    use serde_json::json;

    fn all() -> Vec<Distribution> {
        vec![
            Distribution::Float(FloatRange::new(-2.0, 3.0, false, None).unwrap()),
            Distribution::Float(FloatRange::new(1e-5, 1e-1, true, None).unwrap()),
            Distribution::Float(FloatRange::new(0.0, 0.9, false, Some(0.1)).unwrap()),
            Distribution::Int(IntRange::new(-3, 7, false, 2).unwrap()),
            Distribution::Int(IntRange::new(1, 1024, true, 1).unwrap()),
            Distribution::Int(IntRange::new(5, 5, false, 1).unwrap()),
            Distribution::Categorical(
                Categories::new(vec![json!("a"), json!([1]), json!(null)]).unwrap(),
            ),
        ]
    }

    #[test]
    fn more_values_than_can_be_counted_are_as_many_as_can_be() {
        let range = FloatRange::new(0.0, 1e300, false, Some(1.0)).unwrap();
        assert_eq!(range.count(), Some(u64::MAX));
    }

    #[test]
    fn units_and_values_are_each_others_inverse() {
        for distribution in all() {
            for step in 0..=100 {
                let value = distribution.from_unit(f64::from(step) / 100.0);
                assert!(distribution.contains(value), "{distribution:?}: {value}");
                let back = distribution.from_unit(distribution.to_unit(value));
                assert!(
                    (back - value).abs() < 1e-9,
                    "{distribution:?}: {value} {back}"
                );
            }
        }
    }

    #[test]
    fn external_values_come_back() {
        for distribution in all() {
            for step in 0..=20 {
                let value = distribution.from_unit(f64::from(step) / 20.0);
                assert_eq!(
                    distribution.internal(&distribution.external(value)),
                    Some(value)
                );
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        use DistributionError as E;
        let float = FloatRange::new;
        assert!(matches!(
            float(f64::NAN, 1.0, false, None),
            Err(E::NotFinite { .. })
        ));
        assert!(matches!(
            float(2.0, 1.0, false, None),
            Err(E::LowAboveHigh { .. })
        ));
        assert!(matches!(
            float(0.0, 1.0, true, None),
            Err(E::LogOfNothing { .. })
        ));
        assert!(matches!(
            float(0.0, 1.0, false, Some(0.3)),
            Err(E::Indivisible { .. })
        ));
        assert!(matches!(
            float(0.1, 1.0, true, Some(0.1)),
            Err(E::LogWithStep)
        ));
        assert!(float(0.0, 0.3, false, Some(0.1)).is_ok());
        assert!(matches!(
            IntRange::new(0, 9, false, 2),
            Err(E::Indivisible { .. })
        ));
        assert!(matches!(IntRange::new(0, 9, false, 0), Err(E::Step { .. })));
        assert!(matches!(
            IntRange::new(0, i64::MAX, false, 1),
            Err(E::TooLarge { .. })
        ));
        assert!(matches!(Categories::new(vec![]), Err(E::NoChoices)));
        assert!(matches!(
            Categories::new(vec![json!(1), json!(1)]),
            Err(E::SameChoice { .. })
        ));
    }
}
