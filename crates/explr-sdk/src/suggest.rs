//! Parameters that a train function defines itself.

use crate::names::check_key;
use crate::params::{self, find};
use crate::{LogError, TrainingContext};
use explr_protocol::{Answer, Ask, Distribution};
use serde::Serialize;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Why a parameter has no value.
#[derive(Debug, thiserror::Error)]
pub enum SuggestError {
    /// Nobody gave it, and there is no study to ask.
    #[error(
        "the parameter `{name}` has no value: give `hyperparameters.{name}=...`, or search for \
         it with `explr tune`"
    )]
    NotGiven {
        /// The parameter.
        name: String,
    },
    /// It was given a value that it may not have.
    #[error("the parameter `{name}` must be {allowed}, and {value} is not")]
    NotAllowed {
        /// The parameter.
        name: String,
        /// The value.
        value: Value,
        /// What it may be.
        allowed: String,
    },
    /// The study gave no value.
    #[error("the study gives no value for the parameter `{name}`: {why}")]
    Refused {
        /// The parameter.
        name: String,
        /// Its words.
        why: String,
    },
    /// The name is not one for a parameter, or the value could not be logged.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A number to be suggested, see [`TrainingContext::suggest_float`].
#[derive(Debug)]
#[must_use = "`value` gives the value"]
pub struct SuggestFloat<'c> {
    context: &'c TrainingContext,
    name: &'c str,
    range: RangeInclusive<f64>,
    log: bool,
    step: Option<f64>,
    default: Option<f64>,
}

/// A whole number to be suggested, see [`TrainingContext::suggest_int`].
#[derive(Debug)]
#[must_use = "`value` gives the value"]
pub struct SuggestInt<'c> {
    context: &'c TrainingContext,
    name: &'c str,
    range: RangeInclusive<i64>,
    log: bool,
    step: i64,
    default: Option<i64>,
}

/// A choice to be suggested, see [`TrainingContext::suggest_categorical`].
#[derive(Debug)]
#[must_use = "`value` gives the value"]
pub struct SuggestCategorical<'c, T> {
    context: &'c TrainingContext,
    name: &'c str,
    choices: Vec<T>,
    default: Option<T>,
}

/// A train function may define its own search space, parameter by parameter.
///
/// A hyperparameter of the same name that was given wins, if the range allows
/// its value. Else, in a trial, the study chooses: the same value each time,
/// also when the trial goes on after an interruption. In a single run it is
/// the default, if there is one. The value is logged as a param.
impl TrainingContext {
    /// A number from a range, both bounds included.
    ///
    /// ```no_run
    /// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
    /// let lr = ctx.suggest_float("lr", 1e-5..=1e-1).log().or(1e-3).value()?;
    /// let dropout = ctx.suggest_float("dropout", 0.0..=0.5).step(0.1).value()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn suggest_float<'c>(
        &'c self,
        name: &'c str,
        range: RangeInclusive<f64>,
    ) -> SuggestFloat<'c> {
        SuggestFloat {
            context: self,
            name,
            range,
            log: false,
            step: None,
            default: None,
        }
    }

    /// A whole number from a range, both bounds included.
    pub fn suggest_int<'c>(&'c self, name: &'c str, range: RangeInclusive<i64>) -> SuggestInt<'c> {
        SuggestInt {
            context: self,
            name,
            range,
            log: false,
            step: 1,
            default: None,
        }
    }

    /// One of a few choices, of any type that serde can write.
    ///
    /// ```no_run
    /// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
    /// let optimizer = ctx.suggest_categorical("optimizer", ["sgd", "adam"]).value()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn suggest_categorical<'c, T: Serialize>(
        &'c self,
        name: &'c str,
        choices: impl IntoIterator<Item = T>,
    ) -> SuggestCategorical<'c, T> {
        SuggestCategorical {
            context: self,
            name,
            choices: choices.into_iter().collect(),
            default: None,
        }
    }

    /// Finds the value of a parameter, reads it with `read`, which knows what
    /// is `allowed`, and logs it unless it was given: then it is in the journal.
    fn settle<T>(
        &self,
        name: &str,
        distribution: Distribution,
        default: Option<Value>,
        read: impl FnOnce(&Value) -> Option<T>,
        allowed: impl FnOnce() -> String,
    ) -> Result<T, SuggestError> {
        check_key("param", name)?;
        let given = find(self.hyperparameters(), name);
        let value = match given {
            Some(given) => given.clone(),
            None if self.trial().is_some() => self.ask_for(name, distribution)?,
            None => default.ok_or_else(|| SuggestError::NotGiven {
                name: name.to_owned(),
            })?,
        };
        let Some(settled) = read(&value) else {
            return Err(SuggestError::NotAllowed {
                name: name.to_owned(),
                value,
                allowed: allowed(),
            });
        };
        if given.is_none() {
            self.tracker().log_param(name, value)?;
        }
        Ok(settled)
    }

    fn ask_for(&self, name: &str, distribution: Distribution) -> Result<Value, SuggestError> {
        let question = Ask::Suggest {
            name: name.to_owned(),
            distribution,
        };
        let why = match self.host.ask(&question) {
            Ok(Answer::Value(value)) => return Ok(value),
            Ok(Answer::Refused { message }) => message,
            Ok(Answer::Continue | Answer::Prune) => "it answered another question".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(SuggestError::Refused {
            name: name.to_owned(),
            why,
        })
    }
}

impl SuggestFloat<'_> {
    /// Searches evenly in the logarithm, as for a learning rate.
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Takes only values that are a multiple of `step` above the lower bound.
    pub fn step(mut self, step: f64) -> Self {
        self.step = Some(step);
        self
    }

    /// The value in a run that is no trial, unless it is given.
    pub fn or(mut self, default: f64) -> Self {
        self.default = Some(default);
        self
    }

    /// The value.
    pub fn value(self) -> Result<f64, SuggestError> {
        let (low, high) = (*self.range.start(), *self.range.end());
        let distribution = Distribution::Float {
            low,
            high,
            log: self.log,
            step: self.step,
        };
        self.context.settle(
            self.name,
            distribution,
            self.default.map(Value::from),
            |value| params::number(value).filter(|number| self.allows(*number)),
            || match self.step {
                Some(step) => format!("from {low} to {high} in steps of {step}"),
                None => format!("from {low} to {high}"),
            },
        )
    }

    fn allows(&self, value: f64) -> bool {
        // 0.1 + 0.1 + 0.1 is not 0.3: a step divides but for rounding.
        let on_a_step = self.step.is_none_or(|step| {
            let steps = (value - self.range.start()) / step;
            (steps - steps.round()).abs() <= 1e-8 * steps.abs().max(1.0)
        });
        self.range.contains(&value) && on_a_step
    }
}

impl SuggestInt<'_> {
    /// Searches evenly in the logarithm, as for a number of units.
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Takes only values that are a multiple of `step` above the lower bound.
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// The value in a run that is no trial, unless it is given.
    pub fn or(mut self, default: i64) -> Self {
        self.default = Some(default);
        self
    }

    /// The value.
    pub fn value(self) -> Result<i64, SuggestError> {
        let (low, high, step) = (*self.range.start(), *self.range.end(), self.step);
        let distribution = Distribution::Int {
            low,
            high,
            log: self.log,
            step,
        };
        self.context.settle(
            self.name,
            distribution,
            self.default.map(Value::from),
            |value| params::integer(value).filter(|number| self.allows(*number)),
            || match step {
                1 => format!("a whole number from {low} to {high}"),
                _ => format!("a whole number from {low} to {high} in steps of {step}"),
            },
        )
    }

    fn allows(&self, value: i64) -> bool {
        let above = i128::from(value) - i128::from(*self.range.start());
        self.range.contains(&value) && above.checked_rem(self.step.into()) == Some(0)
    }
}

impl<T: Serialize> SuggestCategorical<'_, T> {
    /// The value in a run that is no trial, unless it is given.
    pub fn or(mut self, default: T) -> Self {
        self.default = Some(default);
        self
    }

    /// The value.
    pub fn value(self) -> Result<T, SuggestError> {
        let json = |choice: &T| {
            serde_json::to_value(choice).map_err(|source| LogError::Json {
                name: self.name.to_owned(),
                source,
            })
        };
        let names = self
            .choices
            .iter()
            .map(json)
            .collect::<Result<Vec<_>, _>>()?;
        let default = self.default.as_ref().map(json).transpose()?;
        let distribution = Distribution::Categorical {
            choices: names.clone(),
        };
        let mut choices = self.choices;
        self.context.settle(
            self.name,
            distribution,
            default,
            |value| {
                let chosen = names.iter().position(|name| name == value)?;
                Some(choices.swap_remove(chosen))
            },
            || format!("one of {}", Value::Array(names.clone())),
        )
    }
}
