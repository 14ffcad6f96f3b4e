use crate::Result;
use crate::trainer::{Callback, Trainer};
use tch::Tensor;

/// Shows the steps done, where their number is planned. The epochs are shown
/// anyway.
#[derive(Debug)]
pub struct Progress {
    every: u64,
}

impl Progress {
    /// At every `every`th step.
    pub fn new(every: u64) -> Self {
        Self { every }
    }
}

impl Callback for Progress {
    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, _loss: &Tensor) -> Result<()> {
        if let (Some(step), Some(all)) = (trainer.due(self.every), trainer.planned_steps()) {
            trainer.context().progress_steps(step, all);
        }
        Ok(())
    }
}
