use crate::Result;
use crate::trainer::{Callback, Trainer};
use tch::Tensor;

/// Logs `grad_norm`, the L2 norm of an optimiser's gradients before clipping.
#[derive(Debug)]
pub struct GradientNorm {
    every: u64,
}

impl GradientNorm {
    /// At every `every`th step.
    pub fn new(every: u64) -> Self {
        Self { every }
    }
}

impl Callback for GradientNorm {
    fn post_optimizer_step(
        &mut self,
        trainer: &mut Trainer<'_>,
        optimizer: &str,
        norm: &Tensor,
    ) -> Result<()> {
        if let Some(step) = trainer.due(self.every) {
            let name = trainer.metric_name("grad_norm", optimizer);
            let tracker = trainer.context().tracker();
            tracker.log_metric(&name, f64::try_from(norm)?, step)?;
        }
        Ok(())
    }
}
