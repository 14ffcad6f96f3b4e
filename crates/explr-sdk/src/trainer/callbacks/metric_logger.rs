use crate::Result;
use crate::trainer::{Callback, Ending, Trainer};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

/// Logs `train_loss`, its mean over the batches since it was logged before,
/// and the values of each validation, at the number of steps done.
#[derive(Debug)]
pub struct MetricLogger {
    every: u64,
    /// Sum of the losses, on the device.
    sum: Option<Tensor>,
    batches: u64,
}

impl MetricLogger {
    /// At every `every`th step, and at the end.
    pub fn new(every: u64) -> Self {
        Self {
            every,
            sum: None,
            batches: 0,
        }
    }

    fn log(&mut self, trainer: &Trainer<'_>, step: u64) -> Result<()> {
        if let Some(sum) = self.sum.take() {
            let mean = f64::try_from(sum)? / self.batches as f64;
            trainer
                .context()
                .tracker()
                .log_metric("train_loss", mean, step)?;
        }
        self.batches = 0;
        Ok(())
    }
}

impl Callback for MetricLogger {
    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, loss: &Tensor) -> Result<()> {
        let loss = loss.f_to_kind(Kind::Double)?;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum.f_add(&loss)?,
            None => loss,
        });
        self.batches += 1;
        match trainer.due(self.every) {
            Some(step) => self.log(trainer, step),
            None => Ok(()),
        }
    }

    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        values: &[(String, f64)],
    ) -> Result<()> {
        let step = trainer.global_step();
        trainer.context().tracker().log_metrics(values, step)?;
        Ok(())
    }

    fn post_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        // A run that was interrupted logs it when it goes on.
        match trainer.ending() {
            Some(Ending::Planned | Ending::Stopped(_)) => {
                let step = trainer.global_step();
                self.log(trainer, step)
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> Result<Value> {
        let sum = self.sum.as_ref().map(f64::try_from).transpose()?;
        // As bits, which an infinite one has too.
        Ok(json!({ "sum": sum.map(f64::to_bits), "batches": self.batches }))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let sum = state["sum"].as_u64().map(f64::from_bits);
        self.sum = sum
            .map(|sum| Tensor::f_from_slice(&[sum])?.f_squeeze())
            .transpose()?;
        self.batches = state["batches"].as_u64().unwrap_or_default();
        Ok(())
    }
}
