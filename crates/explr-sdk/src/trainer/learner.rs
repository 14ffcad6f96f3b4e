use super::Trainer;
use crate::Result;
use crate::data::Batch;
use tch::Tensor;

/// What a [`Trainer`] trains: your model, with a step of the training and one
/// of the validation.
pub trait Learner {
    /// Computes the loss of a batch, hands it to [`Trainer::backward`], and
    /// calls [`Trainer::step`] for each optimiser. It gives the loss that is
    /// to be logged.
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor>;

    /// Computes the loss of a batch, without gradients, and updates
    /// [`Trainer::metrics`] if there are any. The mean of the losses over all
    /// samples is `val_loss`.
    fn validation_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor>;
}
