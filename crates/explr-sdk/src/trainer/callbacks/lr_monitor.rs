use crate::Result;
use crate::trainer::{Callback, Trainer};
use tch::Tensor;

/// Logs `lr`, the learning rate that each step was done with, of an
/// optimiser's first parameter group; of more than one as `lr_group_0` and so
/// on.
#[derive(Debug)]
pub struct LrMonitor {
    every: u64,
    /// Names and rates of the step to come.
    rates: Vec<(String, f64)>,
}

impl LrMonitor {
    /// At every `every`th step.
    pub fn new(every: u64) -> Self {
        Self {
            every,
            rates: Vec::new(),
        }
    }

    fn read(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.rates.clear();
        let names: Vec<String> = trainer.optimizers().map(str::to_owned).collect();
        for name in names {
            let base = trainer.metric_name("lr", &name);
            let groups = trainer.optimizer(&name)?.groups()?;
            for (index, group) in groups.iter().enumerate() {
                let name = match groups.len() {
                    1 => base.clone(),
                    _ => format!("{base}_group_{index}"),
                };
                self.rates.push((name, group.lr));
            }
        }
        Ok(())
    }
}

impl Callback for LrMonitor {
    fn pre_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.read(trainer)
    }

    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, _loss: &Tensor) -> Result<()> {
        if let Some(step) = trainer.due(self.every) {
            trainer.context().tracker().log_metrics(&self.rates, step)?;
        }
        if !trainer.is_accumulating_gradients() {
            self.read(trainer)?;
        }
        Ok(())
    }

    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        _values: &[(String, f64)],
    ) -> Result<()> {
        // A plateau schedule has just changed them.
        self.read(trainer)
    }
}
