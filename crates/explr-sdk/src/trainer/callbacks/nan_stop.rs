use crate::Result;
use crate::trainer::{Callback, Trainer, TrainerError};
use tch::Tensor;

/// Ends a training with an error when a loss was NaN or infinite. It looks at
/// every so many steps, and before a validation's values are used.
#[derive(Debug)]
pub struct NanStop {
    every: u64,
    /// Sum of the losses, on the device: not finite if one of them is not.
    sum: Option<Tensor>,
}

impl NanStop {
    /// Looks at every `every`th step.
    pub fn new(every: u64) -> Self {
        Self { every, sum: None }
    }

    fn check(&mut self, step: u64) -> Result<()> {
        if let Some(sum) = self.sum.take()
            && !f64::try_from(sum)?.is_finite()
        {
            return Err(TrainerError::NotFinite {
                steps: self.every,
                step,
            }
            .into());
        }
        Ok(())
    }
}

impl Callback for NanStop {
    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, loss: &Tensor) -> Result<()> {
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum.f_add(loss)?,
            None => loss.shallow_clone(),
        });
        match trainer.due(self.every) {
            Some(step) => self.check(step),
            None => Ok(()),
        }
    }

    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        _values: &[(String, f64)],
    ) -> Result<()> {
        self.check(trainer.global_step())
    }
}
