use crate::Result;
use crate::trainer::{Callback, Trainer, TrainerError};
use tch::Tensor;

/// Ends a training with an error when a loss was NaN or infinite. It looks at
/// every so many steps, and before a validation's values are used.
#[derive(Debug)]
pub struct NanStop {
    every: u64,
    /// Whether all losses were finite, on the device.
    finite: Option<Tensor>,
}

impl NanStop {
    /// Looks at every `every`th step.
    pub fn new(every: u64) -> Self {
        Self {
            every,
            finite: None,
        }
    }

    fn check(&mut self, step: u64) -> Result<()> {
        if let Some(finite) = self.finite.take()
            && !bool::try_from(finite)?
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
        let finite = loss.f_isfinite()?.f_all()?;
        self.finite = Some(match self.finite.take() {
            Some(before) => before.f_logical_and(&finite)?,
            None => finite,
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
