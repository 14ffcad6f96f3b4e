use crate::random::generator;
use crate::storage::StudyState;
use crate::trial::{Assigned, Trial};
use crate::{Distribution, Proposal, Sampler, StudyError};
use serde_json::Value;
use std::sync::Arc;

/// Note of an enqueued trial, under Optuna's name: what its parameters are to
/// be.
pub(crate) const FIXED_PARAMS: &str = "fixed_params";

/// Chooses the parameters of one trial.
pub(crate) struct Chooser<'a> {
    pub(crate) study: &'a StudyState,
    pub(crate) sampler: &'a mut dyn Sampler,
    /// What the sampler proposed for the trial as a whole.
    pub(crate) proposal: Option<&'a Proposal>,
    pub(crate) seed: u64,
}

impl Chooser<'_> {
    /// The internal value of a parameter of `trial`: known already, enqueued,
    /// proposed, or chosen now. It is then known.
    pub(crate) fn choose(
        &mut self,
        trial: &mut Trial,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, StudyError> {
        let first = self.study.distribution(name);
        let own = trial.params.get(name).map(|known| &*known.distribution);
        if let Some(old) = own.or(first)
            && !old.is_compatible(distribution)
        {
            return Err(StudyError::Incompatible {
                name: name.to_owned(),
                old: Box::new(old.clone()),
                new: Box::new(distribution.clone()),
            });
        }
        if let Some(known) = trial.params.get(name) {
            return Ok(known.internal);
        }
        let fixed = trial
            .system_attrs
            .get(FIXED_PARAMS)
            .and_then(|params| params.get(name));
        let proposed = self
            .proposal
            .and_then(|proposal| proposal.get(name))
            .copied()
            .filter(|value| distribution.contains(*value));
        let internal = match (fixed, proposed) {
            (Some(value), _) => internal(name, distribution, value)?,
            (None, Some(proposed)) => proposed,
            (None, None) => {
                let mut rng = generator(self.seed, trial.number, name);
                let history = self.study.history();
                self.sampler
                    .propose_one(history, trial, name, distribution, &mut rng)
            }
        };
        let assigned = Assigned {
            internal,
            distribution: Arc::new(distribution.clone()),
        };
        trial.params.insert(name.to_owned(), assigned);
        Ok(internal)
    }
}

/// The internal form of a value that someone wants a parameter to have.
pub(crate) fn internal(
    name: &str,
    distribution: &Distribution,
    value: &Value,
) -> Result<f64, StudyError> {
    distribution
        .internal(value)
        .ok_or_else(|| StudyError::NotAllowed {
            name: name.to_owned(),
            value: value.clone(),
        })
}
