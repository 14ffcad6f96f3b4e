//! What an optimiser goes on from: taken, compared and put back.

use super::{Optimizer, lock};
use crate::torch::shim::{GroupOptions, ParamState, SLOTS};
use crate::torch::stored;
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

/// Description of an optimiser's state, beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OptimizerState {
    algorithm: String,
    groups: Vec<GroupOptions>,
    /// Steps done, by parameter; -1 where there is no state.
    steps: Vec<i64>,
}

impl Optimizer {
    /// What is needed to go on exactly as this optimiser would: a description
    /// and tensors (on the CPU) by name.
    pub(crate) fn snapshot(&self) -> Result<(OptimizerState, Vec<(String, Tensor)>), TchError> {
        let (groups, parameters) = self.raw.size()?;
        let mut steps = Vec::with_capacity(parameters);
        let mut tensors = Vec::new();
        for index in 0..parameters {
            let state = self.raw.state(index)?;
            steps.push(state.step);
            for (name, slot) in self.algorithm.slot_names().iter().zip(state.slots) {
                if let Some(tensor) = slot {
                    tensors.push((format!("{index}.{name}"), stored(&tensor)?));
                }
            }
        }
        let options = (0..groups).map(|group| self.raw.options(group));
        let state = OptimizerState {
            algorithm: self.algorithm.name().to_owned(),
            groups: options.collect::<Result<_, _>>()?,
            steps,
        };
        Ok((state, tensors))
    }

    /// Takes over a snapshot. The caller has looked for a [`misfit`](Self::misfit).
    pub(crate) fn restore(
        &mut self,
        state: &OptimizerState,
        tensors: &[(String, Tensor)],
    ) -> Result<(), TchError> {
        self.add_new_variables()?;
        let devices: Vec<_> = {
            let variables = lock(&self.variables);
            let mut all: Vec<_> = variables.trainable_variables.iter().collect();
            // libtorch counts the parameters group by group.
            all.sort_by_key(|variable| variable.group);
            all.iter()
                .map(|variable| variable.tensor.device())
                .collect()
        };
        for (index, (step, device)) in state.steps.iter().zip(devices).enumerate() {
            let mut slots = [const { None }; SLOTS];
            for (slot, name) in slots.iter_mut().zip(self.algorithm.slot_names()) {
                let name = format!("{index}.{name}");
                if let Some((_, tensor)) = tensors.iter().find(|(other, _)| *other == name) {
                    *slot = Some(tensor.f_to_device(device)?);
                }
            }
            self.raw
                .set_state(index, &ParamState { step: *step, slots })?;
        }
        for (group, options) in state.groups.iter().enumerate() {
            self.raw.set_options(group, *options)?;
        }
        Ok(())
    }

    /// Why a snapshot is not one of an optimiser like this, if it is not.
    pub(crate) fn misfit(&mut self, state: &OptimizerState) -> Result<Option<String>, TchError> {
        self.add_new_variables()?;
        let (groups, parameters) = self.raw.size()?;
        let name = self.algorithm.name();
        Ok(if state.algorithm != name {
            Some(format!("it is of {}, this one is {name}", state.algorithm))
        } else if (state.groups.len(), state.steps.len()) != (groups, parameters) {
            Some(format!(
                "it has {} parameters in {} groups, this one {parameters} in {groups}",
                state.steps.len(),
                state.groups.len()
            ))
        } else {
            None
        })
    }
}
