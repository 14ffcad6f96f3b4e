use super::Trainer;
use crate::Result;
use serde_json::Value;
use tch::Tensor;

/// Something that is told what happens in a training, and may change it.
///
/// Callbacks are called in the order in which they were given, and there may
/// be several of a kind. An error ends the training.
#[expect(unused_variables, reason = "most callbacks want one of the hooks")]
pub trait Callback {
    /// Before the first step, after a checkpoint was loaded.
    fn pre_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// Before an epoch; not again when one goes on in the middle.
    fn pre_epoch(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// After a batch, with its loss (without its graph), which has not been
    /// fetched from the device. [`Trainer::due`] tells whether a step is done.
    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, loss: &Tensor) -> Result<()> {
        Ok(())
    }

    /// After a step of an optimiser, with the norm of its gradients before
    /// clipping, which has not been fetched from the device.
    fn post_optimizer_step(
        &mut self,
        trainer: &mut Trainer<'_>,
        optimizer: &str,
        norm: &Tensor,
    ) -> Result<()> {
        Ok(())
    }

    /// After a validation, with its values by name.
    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        values: &[(String, f64)],
    ) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation.
    fn post_epoch(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// After the last step and the last checkpoint.
    fn post_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// What it goes on from, for a checkpoint.
    fn state(&self) -> Result<Value> {
        Ok(Value::Null)
    }

    /// Goes on from a state.
    fn restore(&mut self, state: &Value) -> Result<()> {
        Ok(())
    }
}
