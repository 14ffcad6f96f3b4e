//! The loop, and the parts of it for a loop of your own.

use super::{Ending, EpochBatches, Fitted, Learner, Trainer, TrainerError};
use crate::Result;
use crate::data::{Batch, DataLoader};
use tch::Tensor;

impl Trainer<'_> {
    /// Trains until the planned end, or until the run should stop.
    ///
    /// The loop is made of public parts, for one of your own:
    ///
    /// ```no_run
    /// # use explr_sdk::{Result, data::DataLoader};
    /// # use explr_sdk::trainer::{Fitted, Learner, Trainer};
    /// # fn fit(
    /// #     trainer: &mut Trainer<'_>,
    /// #     learner: &mut impl Learner,
    /// #     train: &mut DataLoader,
    /// #     validation: &mut DataLoader,
    /// # ) -> Result<Fitted> {
    /// trainer.start(train)?;
    /// while trainer.next_epoch()? {
    ///     let mut batches = trainer.batches(train)?;
    ///     while let Some(batch) = trainer.next_batch(&mut batches)? {
    ///         let loss = learner.training_step(&batch, trainer)?;
    ///         trainer.finish_batch(&loss)?;
    ///     }
    ///     if trainer.is_epoch_done() {
    ///         trainer.validate(learner, validation)?;
    ///     }
    ///     trainer.finish_epoch()?;
    /// }
    /// trainer.finish()
    /// # }
    /// ```
    pub fn fit<L: Learner + ?Sized>(
        &mut self,
        learner: &mut L,
        train: &mut DataLoader,
        mut validation: Option<&mut DataLoader>,
    ) -> Result<Fitted> {
        self.start(train)?;
        if self.global_step() == 0
            && let Some(loader) = validation.as_deref_mut()
        {
            self.sanity_check(learner, loader)?;
        }
        while self.next_epoch()? {
            let mut batches = self.batches(train)?;
            while let Some(batch) = self.next_batch(&mut batches)? {
                let loss = learner.training_step(&batch, self)?;
                self.finish_batch(&loss)?;
                let every = self.config.validate_every_steps;
                if every.is_some_and(|every| self.has_done(every))
                    && let Some(loader) = validation.as_deref_mut()
                {
                    self.validate(learner, loader)?;
                }
            }
            if self.is_epoch_done()
                && self.is_epoch_to_validate()
                && let Some(loader) = validation.as_deref_mut()
            {
                self.validate(learner, loader)?;
            }
            self.finish_epoch()?;
        }
        let complete = matches!(self.ending, Some(Ending::Planned | Ending::Stopped(_)));
        if complete
            && self.counters.validated != Some(self.counters.global_step)
            && let Some(loader) = validation
        {
            self.validate(learner, loader)?;
        }
        self.finish()
    }

    /// Goes on from the newest checkpoint, if there is one, and calls the
    /// callbacks' `pre_fit`. The loader is set to its place, and to the
    /// batches of a step.
    pub fn start(&mut self, train: &mut DataLoader) -> Result<()> {
        train.set_accumulate(self.config.accumulate);
        self.resume(train)?;
        let planned = self.plan(train.batches())?;
        self.epochs = Some(self.context.epochs(self.counters.current_epoch..planned));
        self.call(|callback, trainer| callback.pre_fit(trainer))
    }

    /// Begins the next epoch, or the rest of one, unless training ends.
    pub fn next_epoch(&mut self) -> Result<bool> {
        if self.ending.is_none() {
            self.ending = self.reached_end();
        }
        if self.ending.is_some() {
            return Ok(false);
        }
        let next = self.epochs.as_mut().and_then(Iterator::next);
        if next.is_none() {
            self.ending = Some(if self.context.stop_requested() {
                Ending::Asked
            } else {
                Ending::OutOfTime
            });
            return Ok(false);
        }
        self.epoch_done = false;
        let current = self.counters.current_epoch;
        let goes_on = self
            .position
            .is_some_and(|position| position.epoch == current && position.batch > 0);
        if !goes_on {
            self.call(|callback, trainer| callback.pre_epoch(trainer))?;
        }
        Ok(true)
    }

    /// The batches of the epoch.
    pub fn batches<'l>(&self, train: &'l mut DataLoader) -> Result<EpochBatches<'l>> {
        let batches = EpochBatches::new(train, self.counters.current_epoch)?;
        Ok(batches)
    }

    /// The next batch of the epoch, unless the epoch or the training is over.
    /// Between two steps it saves a checkpoint, if one is due.
    pub fn next_batch(&mut self, batches: &mut EpochBatches<'_>) -> Result<Option<Batch>> {
        if self.window == 0 {
            self.save_if_due()?;
            self.ending = self.reached_end();
            // The end of the last step may be that of its epoch, too.
            let whole = self.ending == Some(Ending::Planned) && batches.is_exhausted();
            if self.ending.is_some() && !whole {
                return Ok(None);
            }
        }
        let batch = batches.take()?;
        self.position = Some(batches.position);
        self.epoch_done = batch.is_none();
        if batch.is_some() {
            self.window += 1;
            self.accumulating = self.window < self.config.accumulate && !batches.is_exhausted();
            self.training = true;
        } else if self.counters.local_batches == 0 {
            return Err(TrainerError::Empty("training").into());
        }
        Ok(batch)
    }

    /// Counts a batch whose step is done.
    pub fn finish_batch(&mut self, loss: &Tensor) -> Result<()> {
        let loss = loss.f_detach()?;
        self.call(|callback, trainer| callback.post_train_step(trainer, &loss))?;
        self.training = false;
        self.counters.local_batches += 1;
        if !self.accumulating {
            self.zero_gradients()?;
            self.window = 0;
            self.counters.global_step += 1;
        }
        Ok(())
    }

    /// Whether all batches of the epoch were used, so that it is to be
    /// validated.
    pub fn is_epoch_done(&self) -> bool {
        self.epoch_done
    }

    /// Counts an epoch that is done, and saves a checkpoint, if one is due.
    pub fn finish_epoch(&mut self) -> Result<()> {
        if !self.epoch_done {
            return Ok(());
        }
        self.call(|callback, trainer| callback.post_epoch(trainer))?;
        self.counters.current_epoch += 1;
        let due = self.config.checkpoint.as_ref();
        if due.is_some_and(|c| self.counters.current_epoch.is_multiple_of(c.every_epochs)) {
            self.save()?;
        }
        Ok(())
    }

    /// Saves the last checkpoint, calls the callbacks' `post_fit`, and tells
    /// how it went.
    pub fn finish(&mut self) -> Result<Fitted> {
        if self.config.checkpoint.is_some() {
            self.save()?;
        }
        self.call(|callback, trainer| callback.post_fit(trainer))?;
        Ok(Fitted {
            ending: self.ending.clone().unwrap_or(Ending::Planned),
            epochs: self.counters.current_epoch,
            steps: self.counters.global_step,
            monitor: self.config.monitor.clone(),
            direction: self.config.direction,
            best: self.counters.best,
            values: self.counters.values.clone(),
            best_model: self.checkpoints.best_model(),
        })
    }

    /// Why the training is over before its next step, if it is.
    fn reached_end(&self) -> Option<Ending> {
        let counters = &self.counters;
        if let Some(reason) = &counters.stopped {
            return Some(Ending::Stopped(reason.clone()));
        }
        let config = &self.config;
        if config
            .max_steps
            .is_some_and(|max| counters.global_step >= max)
            || config
                .epochs
                .is_some_and(|epochs| counters.current_epoch >= epochs)
        {
            return Some(Ending::Planned);
        }
        if self.context.stop_requested() {
            return Some(Ending::Asked);
        }
        // A run that has no value yet would have no result either.
        let time_left = self.context.time_left();
        if counters.best.is_some() && time_left.is_some_and(|left| left.is_zero()) {
            return Some(Ending::OutOfTime);
        }
        None
    }

    /// Whether the batch before ended a step, and their number is a multiple.
    pub(super) fn has_done(&self, every: u64) -> bool {
        self.window == 0 && self.counters.global_step.is_multiple_of(every)
    }

    /// Whether a validation is due after the epoch; one is after the last.
    fn is_epoch_to_validate(&self) -> bool {
        let epochs = self.counters.current_epoch + 1;
        let config = &self.config;
        config.validate_every_steps.is_none()
            && (epochs.is_multiple_of(config.validate_every_epochs)
                || config.epochs == Some(epochs))
    }

    /// How many epochs there will be at most; it takes note of the steps.
    fn plan(&mut self, batches: Option<u64>) -> Result<u64, TrainerError> {
        if batches == Some(0) {
            return Err(TrainerError::Empty("training"));
        }
        let steps = batches.map(|batches| batches.div_ceil(self.config.accumulate));
        let (epochs, max_steps) = (self.config.epochs, self.config.max_steps);
        let all = epochs
            .zip(steps)
            .map(|(epochs, steps)| epochs.saturating_mul(steps));
        self.planned_steps = all.into_iter().chain(max_steps).min();
        // An epoch has one step at least.
        let by_steps = max_steps.map(|max| max.div_ceil(steps.unwrap_or(1)));
        Ok(epochs.into_iter().chain(by_steps).min().unwrap_or(0))
    }
}
