use crate::{Asked, Distribution, Study, StudyError};
use serde_json::Value;

/// What an objective function may fail with: anything.
pub type ObjectiveError = Box<dyn std::error::Error + Send + Sync>;

/// A trial under way in [`Study::optimize`].
#[derive(Debug)]
pub struct Live<'s> {
    pub(crate) study: &'s mut Study,
    pub(crate) asked: Asked,
    pub(crate) pruned: bool,
}

impl Live<'_> {
    /// The trial's number.
    pub fn number(&self) -> u64 {
        self.asked.number
    }

    /// A parameter that is a number.
    pub fn f64(&self, name: &str) -> Result<f64, StudyError> {
        self.get(name, "a number", Value::as_f64)
    }

    /// A parameter that is a whole number.
    pub fn i64(&self, name: &str) -> Result<i64, StudyError> {
        self.get(name, "a whole number", Value::as_i64)
    }

    /// A parameter that is a text.
    pub fn str(&self, name: &str) -> Result<&str, StudyError> {
        self.get(name, "a text", Value::as_str)
    }

    /// Any parameter.
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.asked.params.get(name)
    }

    /// A parameter that is defined here and now.
    pub fn suggest(
        &mut self,
        name: &str,
        distribution: &Distribution,
    ) -> Result<Value, StudyError> {
        self.study.suggest(self.asked.number, name, distribution)
    }

    /// Reports an intermediate value. True when the trial should end: whatever
    /// the objective returns then, the trial is pruned.
    pub fn report(&mut self, step: i64, value: f64) -> Result<bool, StudyError> {
        self.pruned = self.study.report(self.asked.number, step, value)?;
        Ok(self.pruned)
    }

    fn get<'a, T>(
        &'a self,
        name: &str,
        wanted: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, StudyError> {
        self.asked
            .params
            .get(name)
            .and_then(read)
            .ok_or_else(|| StudyError::NoParam {
                number: self.asked.number,
                name: name.to_owned(),
                wanted,
            })
    }
}
