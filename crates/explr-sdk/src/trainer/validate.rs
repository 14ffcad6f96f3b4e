use super::{Learner, Trainer, TrainerError};
use crate::data::DataLoader;
use crate::{Direction, Result};
use tch::{Kind, Tensor};

impl Trainer<'_> {
    /// Validates: computes the mean loss and the metrics over all batches,
    /// tells them to schedules and callbacks, and gives them.
    pub fn validate<L: Learner + ?Sized>(
        &mut self,
        learner: &mut L,
        loader: &mut DataLoader,
    ) -> Result<Vec<(String, f64)>> {
        let values = self.measure(learner, loader, None)?;
        let monitor = &self.config.monitor;
        let Some((_, value)) = values.iter().find(|(name, _)| name == monitor) else {
            return Err(TrainerError::Monitor {
                monitor: monitor.clone(),
                known: values.into_iter().map(|(name, _)| name).collect(),
            }
            .into());
        };
        self.counters.validated = Some(self.counters.global_step);
        if self.is_better(*value) {
            self.counters.best = Some(*value);
        }
        for (_, driven) in &mut self.optimizers {
            if let Some(schedule) = &mut driven.schedule {
                driven.optimizer.set_groups(schedule.observe(*value))?;
            }
        }
        self.saved = None;
        self.counters.values.clone_from(&values);
        self.call(|callback, trainer| callback.post_validation_epoch(trainer, &values))?;
        Ok(values)
    }

    /// Runs a few batches of the validation, and forgets what they gave.
    pub(super) fn sanity_check<L: Learner + ?Sized>(
        &mut self,
        learner: &mut L,
        loader: &mut DataLoader,
    ) -> Result<()> {
        match self.config.sanity_batches {
            0 => Ok(()),
            batches => self.measure(learner, loader, Some(batches)).map(drop),
        }
    }

    fn measure<L: Learner + ?Sized>(
        &mut self,
        learner: &mut L,
        loader: &mut DataLoader,
        limit: Option<u64>,
    ) -> Result<Vec<(String, f64)>> {
        self.training = false;
        self.metrics.reset();
        let mut sum: Option<Tensor> = None;
        let mut samples = 0;
        {
            let _guard = tch::no_grad_guard();
            let limit = limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            });
            for batch in loader.epoch(0)?.take(limit) {
                let batch = batch?;
                let loss = learner.validation_step(&batch, self)?;
                let count = batch.samples() as u64;
                let part = loss.f_to_kind(Kind::Double)?.f_mul_scalar(count as f64)?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&part)?,
                    None => part,
                });
                samples += count;
            }
        }
        let Some(sum) = sum else {
            return Err(TrainerError::Empty("validation").into());
        };
        let mut values = vec![("val_loss".to_owned(), f64::try_from(sum)? / samples as f64)];
        for (name, value) in self.metrics.values()? {
            values.push((format!("val_{name}"), value));
        }
        Ok(values)
    }

    fn is_better(&self, value: f64) -> bool {
        match (self.counters.best, self.config.direction) {
            _ if value.is_nan() => false,
            (None, _) => true,
            (Some(best), Direction::Minimize) => value < best,
            (Some(best), Direction::Maximize) => value > best,
        }
    }
}
