use super::callbacks::{EarlyStopping, MetricLogger, NanStop, Progress, Report};
use super::state::Counters;
use super::{Callback, Driven, Trainer, TrainerConfig, TrainerError, find};
use crate::metrics::MetricCollection;
use crate::scheduler::{Schedule, Scheduler};
use crate::{Optimizer, Result, TrainingContext};
use std::fmt;
use tch::nn::VarStore;

/// What a [`Trainer`] is made of.
pub struct TrainerBuilder {
    config: TrainerConfig,
    models: Vec<(String, VarStore)>,
    optimizers: Vec<(String, Driven)>,
    schedulers: Vec<(String, Box<dyn Scheduler>)>,
    metrics: MetricCollection,
    callbacks: Vec<Box<dyn Callback>>,
}

impl TrainerBuilder {
    pub(super) fn new(config: TrainerConfig) -> Self {
        Self {
            config,
            models: Vec::new(),
            optimizers: Vec::new(),
            schedulers: Vec::new(),
            metrics: MetricCollection::new(),
            callbacks: Vec::new(),
        }
    }

    /// Adds the variables of a model: what a checkpoint saves.
    pub fn model(mut self, name: impl Into<String>, vs: VarStore) -> Self {
        self.models.push((name.into(), vs));
        self
    }

    /// Adds an optimiser.
    pub fn optimizer(mut self, name: impl Into<String>, optimizer: Optimizer) -> Self {
        let driven = Driven {
            optimizer,
            schedule: None,
        };
        self.optimizers.push((name.into(), driven));
        self
    }

    /// Lets a schedule drive the rates of an optimiser. It goes on with each
    /// step, and is told the monitored value after each validation.
    pub fn schedule(
        mut self,
        optimizer: impl Into<String>,
        scheduler: impl Scheduler + 'static,
    ) -> Self {
        self.schedulers
            .push((optimizer.into(), Box::new(scheduler)));
        self
    }

    /// What is measured in a validation, besides the loss. A metric named
    /// `accuracy` is logged as `val_accuracy`.
    pub fn metrics(mut self, metrics: MetricCollection) -> Self {
        self.metrics = metrics;
        self
    }

    /// Adds a callback after those before it. [`Progress`], [`MetricLogger`],
    /// [`NanStop`], [`Report`] and, if set, [`EarlyStopping`] are there
    /// already.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// The trainer, unless a setting makes no sense.
    pub fn build(mut self, context: &TrainingContext) -> Result<Trainer<'_>> {
        let config = self.config;
        config.check()?;
        check_names("model", &self.models)?;
        check_names("optimiser", &self.optimizers)?;
        for (name, scheduler) in self.schedulers {
            let driven = find(&mut self.optimizers, "optimiser", &name)?;
            let schedule = Schedule::new(scheduler, driven.optimizer.groups()?)?;
            driven.optimizer.set_groups(schedule.groups())?;
            driven.schedule = Some(schedule);
        }
        let mut callbacks: Vec<Box<dyn Callback>> = vec![
            Box::new(NanStop::new(config.log_every_steps)),
            Box::new(Progress::new(config.log_every_steps)),
            Box::new(MetricLogger::new(config.log_every_steps)),
        ];
        if let Some(stop) = config.early_stopping {
            callbacks.push(Box::new(
                EarlyStopping::new(&config.monitor, config.direction, stop.patience)
                    .min_delta(stop.min_delta),
            ));
        }
        callbacks.append(&mut self.callbacks);
        // Last, as it may end the training with an error.
        callbacks.push(Box::new(Report::new(&config.monitor)));
        let mut checkpoints = context.checkpoints();
        if let Some(settings) = &config.checkpoint {
            checkpoints = checkpoints
                .keep_last(settings.keep_last)
                .keep_top(settings.keep_top, config.direction);
        }
        Ok(Trainer {
            context,
            models: self.models,
            optimizers: self.optimizers,
            metrics: self.metrics,
            callbacks,
            checkpoints,
            counters: Counters::default(),
            position: None,
            epochs: None,
            planned_steps: None,
            window: 0,
            accumulating: false,
            training: false,
            epoch_done: false,
            ending: None,
            saved: None,
            config,
        })
    }
}

impl fmt::Debug for TrainerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("TrainerBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Names make the keys of a checkpoint, and those of metrics.
fn check_names<T>(kind: &'static str, all: &[(String, T)]) -> Result<(), TrainerError> {
    for (index, (name, _)) in all.iter().enumerate() {
        let problem = if name.is_empty() {
            "is empty"
        } else if name.contains('/') {
            "has a `/`"
        } else if all[..index].iter().any(|(other, _)| other == name) {
            "is used twice"
        } else {
            continue;
        };
        return Err(TrainerError::Name {
            kind,
            name: name.clone(),
            problem,
        });
    }
    Ok(())
}
