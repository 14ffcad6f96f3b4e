//! From a loss to changed weights.

use super::{Trainer, find};
use crate::Result;
use tch::{TchError, Tensor};

impl Trainer<'_> {
    /// Adds the gradients of a loss of one element to those that are there.
    ///
    /// Every variable that the loss depends on gets one. With several
    /// optimisers, [freeze](Self::model) the models that a loss must leave
    /// alone, or detach their outputs.
    pub fn backward(&mut self, loss: &Tensor) -> Result<(), TchError> {
        loss.f_backward()
    }

    /// Lets an optimiser step, and its schedule, and sets its gradients to
    /// zero. It gives the L2 norm of the gradients before clipping, which has
    /// not been fetched from the device.
    ///
    /// While gradients are [accumulated](Self::is_accumulating_gradients) it
    /// does nothing and gives `None`; then comes the mean over the batches.
    /// Gradients that no step used are forgotten when the step is over.
    pub fn step(&mut self, optimizer: &str) -> Result<Option<Tensor>> {
        let driven = find(&mut self.optimizers, "optimiser", optimizer)?;
        if self.accumulating {
            return Ok(None);
        }
        if self.window > 1 {
            driven.optimizer.scale_gradients(1.0 / self.window as f64)?;
        }
        let limit = self.config.clip_norm.unwrap_or(f64::INFINITY);
        let norm = driven.optimizer.clip_grad_norm(limit)?;
        if let Some(limit) = self.config.clip_value {
            driven.optimizer.clip_grad_value(limit)?;
        }
        driven.optimizer.step()?;
        if let Some(schedule) = &mut driven.schedule {
            driven.optimizer.set_groups(schedule.step())?;
        }
        self.call(|callback, trainer| callback.post_optimizer_step(trainer, optimizer, &norm))?;
        self.optimizer(optimizer)?.zero_grad()?;
        Ok(Some(norm))
    }

    /// Forgets all gradients.
    pub(super) fn zero_gradients(&mut self) -> Result<(), TchError> {
        self.optimizers
            .iter_mut()
            .try_for_each(|(_, driven)| driven.optimizer.zero_grad())
    }
}
