use crate::distribution::{Categories, Distribution, DistributionError, FloatRange, IntRange};
use serde_json::Value;
use std::ops::RangeInclusive;

/// What is wrong with a search space.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// A parameter's distribution is wrong.
    #[error("parameter `{name}`: {error}")]
    Distribution {
        /// The parameter.
        name: String,
        /// What is wrong.
        error: DistributionError,
    },
    /// Two parameters of one name.
    #[error("the parameter `{name}` is there twice")]
    Twice {
        /// The parameter.
        name: String,
    },
    /// A condition on a parameter that is not there.
    #[error("parameter `{name}`: its condition names `{parent}`, which is no parameter")]
    UnknownParent {
        /// The parameter with the condition.
        name: String,
        /// What the condition names.
        parent: String,
    },
    /// A condition that never holds.
    #[error("parameter `{name}`: `{parent}` never is {value}")]
    NeverTrue {
        /// The parameter with the condition.
        name: String,
        /// The parameter that the condition is on.
        parent: String,
        /// The value that it never has.
        value: Value,
    },
    /// Conditions that wait for each other.
    #[error("the conditions of {} go round in a circle", names.join(", "))]
    Circle {
        /// The parameters.
        names: Vec<String>,
    },
}

/// A parameter is used only when another one has one of these values.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The other parameter.
    pub parent: String,
    /// The values, external ones.
    pub any_of: Vec<Value>,
}

/// What a parameter's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// It is searched for.
    Search(Distribution),
    /// It is always this.
    Fixed(Value),
}

/// One parameter of a search space.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name; dots lead into nested hyperparameters, as in
    /// `optimizer.lr`.
    pub name: String,
    /// Its values.
    pub domain: Domain,
    /// It is active only when all of these hold.
    pub when: Vec<Condition>,
}

impl Parameter {
    /// The distribution, unless it is fixed.
    pub fn distribution(&self) -> Option<&Distribution> {
        match &self.domain {
            Domain::Search(distribution) => Some(distribution),
            Domain::Fixed(_) => None,
        }
    }
}

/// The parameters to search for. Valid by construction; a parameter comes
/// after those that its conditions name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchSpace {
    parameters: Vec<Parameter>,
}

impl SearchSpace {
    /// Checks the parameters and puts them in order.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self, SpaceError> {
        for (index, parameter) in parameters.iter().enumerate() {
            if parameters[..index]
                .iter()
                .any(|other| other.name == parameter.name)
            {
                return Err(SpaceError::Twice {
                    name: parameter.name.clone(),
                });
            }
            for condition in &parameter.when {
                check_condition(&parameter.name, condition, &parameters)?;
            }
        }
        Ok(Self {
            parameters: in_order(parameters)?,
        })
    }

    /// Builds a space parameter by parameter.
    pub fn builder() -> SpaceBuilder {
        SpaceBuilder::default()
    }

    /// The parameters; each after those that its conditions name.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.parameters
            .iter()
            .all(|parameter| parameter.distribution().is_none())
    }

    /// The active parameters with their values, external ones, in order.
    /// `choose` gives the internal value of each active parameter that is
    /// searched for.
    pub fn assign<E>(
        &self,
        mut choose: impl FnMut(&str, &Distribution) -> Result<f64, E>,
    ) -> Result<Vec<(&Parameter, Value)>, E> {
        let mut assigned: Vec<(&Parameter, Value)> = Vec::new();
        for parameter in &self.parameters {
            let active = parameter.when.iter().all(|condition| {
                assigned.iter().any(|(other, value)| {
                    other.name == condition.parent && condition.any_of.contains(value)
                })
            });
            if !active {
                continue;
            }
            let value = match &parameter.domain {
                Domain::Fixed(value) => value.clone(),
                Domain::Search(distribution) => {
                    distribution.external(choose(&parameter.name, distribution)?)
                }
            };
            assigned.push((parameter, value));
        }
        Ok(assigned)
    }
}

fn check_condition(
    name: &str,
    condition: &Condition,
    parameters: &[Parameter],
) -> Result<(), SpaceError> {
    let parent = parameters
        .iter()
        .find(|other| other.name == condition.parent)
        .ok_or_else(|| SpaceError::UnknownParent {
            name: name.to_owned(),
            parent: condition.parent.clone(),
        })?;
    let possible = |value: &Value| match &parent.domain {
        Domain::Fixed(fixed) => fixed == value,
        Domain::Search(distribution) => distribution.internal(value).is_some(),
    };
    match condition.any_of.iter().find(|value| !possible(value)) {
        Some(value) => Err(SpaceError::NeverTrue {
            name: name.to_owned(),
            parent: condition.parent.clone(),
            value: value.clone(),
        }),
        None => Ok(()),
    }
}

/// Parents first, else as given.
fn in_order(mut left: Vec<Parameter>) -> Result<Vec<Parameter>, SpaceError> {
    let mut ordered: Vec<Parameter> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ready = left.iter().position(|parameter| {
            parameter
                .when
                .iter()
                .all(|condition| ordered.iter().any(|other| other.name == condition.parent))
        });
        let Some(ready) = ready else {
            return Err(SpaceError::Circle {
                names: left.into_iter().map(|parameter| parameter.name).collect(),
            });
        };
        ordered.push(left.remove(ready));
    }
    Ok(ordered)
}

/// Builds a [`SearchSpace`] in code.
///
/// ```
/// # fn main() -> Result<(), explr_study::SpaceError> {
/// let space = explr_study::SearchSpace::builder()
///     .log_float("lr", 1e-5..=1e-1)
///     .int("layers", 1..=4)
///     .categorical("optimizer", ["sgd", "adam"])
///     .float("momentum", 0.0..=0.99)
///     .when("optimizer", ["sgd"])
///     .build()?;
/// assert_eq!(space.parameters().len(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct SpaceBuilder {
    parameters: Vec<Parameter>,
    error: Option<SpaceError>,
}

impl SpaceBuilder {
    /// A real number.
    pub fn float(self, name: &str, range: RangeInclusive<f64>) -> Self {
        let made = FloatRange::new(*range.start(), *range.end(), false, None);
        self.add(name, made.map(Distribution::Float))
    }

    /// A real number above 0, uniform in its logarithm.
    pub fn log_float(self, name: &str, range: RangeInclusive<f64>) -> Self {
        let made = FloatRange::new(*range.start(), *range.end(), true, None);
        self.add(name, made.map(Distribution::Float))
    }

    /// A whole number.
    pub fn int(self, name: &str, range: RangeInclusive<i64>) -> Self {
        let made = IntRange::new(*range.start(), *range.end(), false, 1);
        self.add(name, made.map(Distribution::Int))
    }

    /// A whole number above 0, uniform in its logarithm.
    pub fn log_int(self, name: &str, range: RangeInclusive<i64>) -> Self {
        let made = IntRange::new(*range.start(), *range.end(), true, 1);
        self.add(name, made.map(Distribution::Int))
    }

    /// One of several choices.
    pub fn categorical<V: Into<Value>>(
        self,
        name: &str,
        choices: impl IntoIterator<Item = V>,
    ) -> Self {
        let made = Categories::new(choices.into_iter().map(Into::into).collect());
        self.add(name, made.map(Distribution::Categorical))
    }

    /// Any distribution.
    pub fn distribution(self, name: &str, distribution: Distribution) -> Self {
        self.add(name, Ok(distribution))
    }

    /// Always the same value.
    pub fn fixed(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.push(Parameter {
            name: name.to_owned(),
            domain: Domain::Fixed(value.into()),
            when: Vec::new(),
        });
        self
    }

    /// The parameter before is active only when `parent` has one of `values`.
    pub fn when<V: Into<Value>>(
        mut self,
        parent: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        if let Some(parameter) = self.parameters.last_mut() {
            parameter.when.push(Condition {
                parent: parent.to_owned(),
                any_of: values.into_iter().map(Into::into).collect(),
            });
        }
        self
    }

    /// The space, or the first thing that is wrong with it.
    pub fn build(self) -> Result<SearchSpace, SpaceError> {
        match self.error {
            Some(error) => Err(error),
            None => SearchSpace::new(self.parameters),
        }
    }

    fn add(mut self, name: &str, made: Result<Distribution, DistributionError>) -> Self {
        match made {
            Ok(distribution) => self.parameters.push(Parameter {
                name: name.to_owned(),
                domain: Domain::Search(distribution),
                when: Vec::new(),
            }),
            Err(error) => {
                self.error.get_or_insert(SpaceError::Distribution {
                    name: name.to_owned(),
                    error,
                });
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{SearchSpace, SpaceError};
    use std::convert::Infallible;

    #[test]
    fn children_come_after_their_parents_and_only_when_active() {
        let space = SearchSpace::builder()
            .float("momentum", 0.0..=1.0)
            .when("optimizer", ["sgd"])
            .categorical("optimizer", ["sgd", "adam"])
            .fixed("nesterov", true)
            .when("optimizer", ["sgd"])
            .build()
            .unwrap();
        let names = |optimizer: f64| -> Vec<_> {
            let choose = |name: &str, _: &_| {
                Ok::<_, Infallible>(if name == "optimizer" { optimizer } else { 0.5 })
            };
            let assigned = space.assign(choose).unwrap();
            assigned
                .iter()
                .map(|(parameter, _)| parameter.name.clone())
                .collect()
        };
        assert_eq!(names(0.0), ["optimizer", "momentum", "nesterov"]);
        assert_eq!(names(1.0), ["optimizer"]);
    }

    #[test]
    fn conditions_that_make_no_sense_are_refused() {
        let unknown = SearchSpace::builder()
            .int("a", 1..=2)
            .when("b", [1])
            .build();
        assert!(matches!(unknown, Err(SpaceError::UnknownParent { .. })));
        let never = SearchSpace::builder()
            .int("b", 1..=2)
            .int("a", 1..=2)
            .when("b", [7])
            .build();
        assert!(matches!(never, Err(SpaceError::NeverTrue { .. })));
        let circle = SearchSpace::builder()
            .int("a", 1..=2)
            .when("b", [1])
            .int("b", 1..=2)
            .when("a", [1])
            .build();
        assert!(matches!(circle, Err(SpaceError::Circle { .. })));
    }
}
