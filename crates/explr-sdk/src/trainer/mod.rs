//! A trainer: the loop around your model, exact when it goes on.
//!
//! A [`Learner`] has a step of the training and one of the validation. The
//! [`Trainer`] has everything else: the loop, gradients over several batches,
//! clipping, schedules, validation, checkpoints, logging, early stopping.
//!
//! ```no_run
//! use explr_sdk::data::{Batch, DataLoader, InMemory};
//! use explr_sdk::tch::{Reduction, Tensor, nn};
//! use explr_sdk::trainer::{Learner, Trainer, TrainerConfig};
//! use explr_sdk::{Optimizer, Result, TrainingContext, TrainingResult};
//!
//! struct Regression(nn::Linear);
//!
//! impl Regression {
//!     fn loss(&self, batch: &Batch) -> Result<Tensor> {
//!         let [input, target] = batch.all()?;
//!         Ok(input.apply(&self.0).f_mse_loss(target, Reduction::Mean)?)
//!     }
//! }
//!
//! impl Learner for Regression {
//!     fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
//!         let loss = self.loss(batch)?;
//!         trainer.backward(&loss)?;
//!         trainer.step("net")?;
//!         Ok(loss)
//!     }
//!
//!     fn validation_step(&mut self, batch: &Batch, _: &mut Trainer<'_>) -> Result<Tensor> {
//!         self.loss(batch)
//!     }
//! }
//!
//! # fn data() -> Result<InMemory> { unimplemented!() }
//! fn train_model(ctx: &mut TrainingContext) -> Result<TrainingResult> {
//!     let vs = nn::VarStore::new(ctx.device());
//!     let net = nn::linear(vs.root(), 4, 1, Default::default());
//!     let optimizer = Optimizer::new(nn::Adam::default(), &vs, ctx.f64("lr")?)?;
//!     let mut train = DataLoader::builder(data()?).batch_size(32).shuffle(ctx.seed()).build()?;
//!     let mut validation = DataLoader::builder(data()?).batch_size(256).build()?;
//!
//!     let config = TrainerConfig { epochs: Some(10), ..TrainerConfig::default() };
//!     let mut trainer = Trainer::builder(config)
//!         .model("net", vs)
//!         .optimizer("net", optimizer)
//!         .build(ctx)?;
//!     trainer.fit(&mut Regression(net), &mut train, Some(&mut validation))?.result()
//! }
//! ```
//!
//! # The order of events
//!
//! ```text
//! start         load the newest checkpoint · callbacks: pre_fit
//!               a few batches of validation, unless it goes on (sanity_batches)
//! each epoch    pre_epoch
//!   each batch    training_step
//!                   backward
//!                   step          mean over the batches · norm · clip · optimiser ·
//!                                 schedule · post_optimizer_step · gradients to zero
//!                 post_train_step
//!                 after the last batch of a step: global_step + 1
//!                   validation, if it is due after this step
//!                   checkpoint, if it is due after this step
//!   validation    validation_step for each batch · plateau schedules ·
//!                 post_validation_epoch
//!   post_epoch    current_epoch + 1 · checkpoint, if it is due
//! finish        a last checkpoint · post_fit
//! ```
//!
//! # Going on
//!
//! A checkpoint holds the models, the optimisers, the schedules, the place of
//! the loader, libtorch's random generators, the counters and the state of
//! the callbacks. It is taken between two steps, also in the middle of an
//! epoch. On the CPU, a run that goes on from it ends with the same bits as
//! one that was never interrupted, if what the learner draws at random comes
//! from libtorch.
//!
//! | file | |
//! |---|---|
//! | `learner` | what you write |
//! | `builder`, `config` | what a trainer is made of |
//! | `step` | from a loss to changed weights |
//! | `fit` | the loop, and the parts of it for a loop of your own |
//! | `validate` | the validation |
//! | `state` | what a checkpoint holds |
//! | `callback`, `callbacks` | what is told about it all |

mod batches;
mod builder;
mod callback;
pub mod callbacks;
mod config;
mod error;
mod fit;
mod learner;
mod outcome;
mod state;
mod step;
mod validate;

pub use batches::EpochBatches;
pub use builder::TrainerBuilder;
pub use callback::Callback;
pub use config::{CheckpointConfig, EarlyStoppingConfig, TrainerConfig};
pub use error::TrainerError;
pub use learner::Learner;
pub use outcome::{Ending, Fitted};

use crate::data::LoaderState;
use crate::epochs::Epochs;
use crate::metrics::MetricCollection;
use crate::scheduler::Schedule;
use crate::{Checkpoints, Optimizer, Result, TrainingContext};
use state::Counters;
use std::fmt;
use tch::nn::VarStore;

/// Trains a [`Learner`]; see [the module](self).
pub struct Trainer<'c> {
    context: &'c TrainingContext,
    config: TrainerConfig,
    models: Vec<(String, VarStore)>,
    optimizers: Vec<(String, Driven)>,
    metrics: MetricCollection,
    callbacks: Vec<Box<dyn Callback>>,
    checkpoints: Checkpoints,
    counters: Counters,
    /// Where the loader is, once it was asked.
    position: Option<LoaderState>,
    /// The epochs to be done, once it is known where it begins.
    epochs: Option<Epochs<'c>>,
    planned_steps: Option<u64>,
    /// Batches since the last step.
    window: u64,
    accumulating: bool,
    training: bool,
    /// Whether all batches of the epoch were used.
    epoch_done: bool,
    /// Why it ends, once it does.
    ending: Option<Ending>,
    /// Epoch and step of the newest checkpoint.
    saved: Option<(u64, u64)>,
}

/// An optimiser and what drives its rates.
struct Driven {
    optimizer: Optimizer,
    schedule: Option<Schedule>,
}

impl<'c> Trainer<'c> {
    /// What a trainer is made of.
    pub fn builder(config: TrainerConfig) -> TrainerBuilder {
        TrainerBuilder::new(config)
    }

    /// The run that it is part of.
    pub fn context(&self) -> &'c TrainingContext {
        self.context
    }

    /// Its settings.
    pub fn config(&self) -> &TrainerConfig {
        &self.config
    }

    /// Steps done, each of [`TrainerConfig::accumulate`] batches.
    pub fn global_step(&self) -> u64 {
        self.counters.global_step
    }

    /// Batches done, in all epochs.
    pub fn local_batches(&self) -> u64 {
        self.counters.local_batches
    }

    /// The epoch, counted from 0.
    pub fn current_epoch(&self) -> u64 {
        self.counters.current_epoch
    }

    /// Whether a batch of the training is under way, not of the validation.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Whether further batches come before the next step.
    pub fn is_accumulating_gradients(&self) -> bool {
        self.accumulating
    }

    /// The number of steps done with this batch, when it ends a step and that
    /// is a multiple of `every`: for callbacks that do something now and then.
    pub fn due(&self, every: u64) -> Option<u64> {
        let step = self.counters.global_step + 1;
        (!self.accumulating && step.is_multiple_of(every)).then_some(step)
    }

    /// How many steps there will be, if that is known.
    pub fn planned_steps(&self) -> Option<u64> {
        self.planned_steps
    }

    /// Why the training ended, once it did.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The best monitored value so far.
    pub fn best(&self) -> Option<f64> {
        self.counters.best
    }

    /// Ends the training after this step, or after this validation. It does
    /// not go on either when the run is started again.
    pub fn stop(&mut self, reason: impl fmt::Display) {
        self.counters.stopped = Some(reason.to_string());
    }

    /// A model, to freeze it, for example.
    pub fn model(&mut self, name: &str) -> Result<&mut VarStore, TrainerError> {
        find(&mut self.models, "model", name)
    }

    /// An optimiser.
    pub fn optimizer(&mut self, name: &str) -> Result<&mut Optimizer, TrainerError> {
        let driven = find(&mut self.optimizers, "optimiser", name)?;
        Ok(&mut driven.optimizer)
    }

    /// Names of the optimisers.
    pub fn optimizers(&self) -> impl Iterator<Item = &str> {
        self.optimizers.iter().map(|(name, _)| name.as_str())
    }

    /// A metric's name for one of the optimisers: `lr`, or `lr_generator`
    /// where there are several.
    pub fn metric_name(&self, metric: &str, optimizer: &str) -> String {
        if self.optimizers.len() == 1 {
            metric.to_owned()
        } else {
            format!("{metric}_{optimizer}")
        }
    }

    /// The metrics of the validation.
    pub fn metrics(&mut self) -> &mut MetricCollection {
        &mut self.metrics
    }

    /// Calls a hook of each callback in turn.
    fn call(
        &mut self,
        mut hook: impl FnMut(&mut dyn Callback, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut callbacks = std::mem::take(&mut self.callbacks);
        let called = callbacks
            .iter_mut()
            .try_for_each(|callback| hook(callback.as_mut(), self));
        self.callbacks = callbacks;
        called
    }
}

impl fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("config", &self.config)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

fn find<'a, T>(
    all: &'a mut [(String, T)],
    kind: &'static str,
    name: &str,
) -> Result<&'a mut T, TrainerError> {
    match all.iter().position(|(known, _)| known == name) {
        Some(index) => Ok(&mut all[index].1),
        None => Err(TrainerError::Unknown {
            kind,
            name: name.to_owned(),
            known: all.iter().map(|(known, _)| known.clone()).collect(),
        }),
    }
}
