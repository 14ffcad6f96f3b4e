use super::monitored;
use crate::Result;
use crate::trainer::{Callback, Trainer};

/// [Reports](crate::TrainingContext::report) a value of the validations to the
/// study, which may end the trial: at the epoch, or at the step where
/// validations are counted in steps.
#[derive(Debug)]
pub struct Report {
    monitor: String,
}

impl Report {
    /// Reports the value of this name.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self {
            monitor: monitor.into(),
        }
    }
}

impl Callback for Report {
    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        values: &[(String, f64)],
    ) -> Result<()> {
        let value = monitored(values, &self.monitor)?;
        let step = match trainer.config().validate_every_steps {
            Some(_) => trainer.global_step(),
            None => trainer.current_epoch(),
        };
        trainer.context().report(step, value)?;
        Ok(())
    }
}
