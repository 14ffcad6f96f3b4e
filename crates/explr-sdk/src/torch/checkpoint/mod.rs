//! Full checkpoints and exact resume.
//!
//! A checkpoint is a folder with everything that training goes on from:
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | all variables |
//! | `optimizer.safetensors` | the tensors of the optimiser's state |
//! | `generators.safetensors` | random generators of the CPU and the run's GPU |
//! | `checkpoint.json` | counters, the optimiser's description, the user's state |
//! | `SHA256SUMS` | hashes of the others, as `sha256sum -c` checks them |
//!
//! None of them holds code. The folder is written under another name, synced
//! and renamed, so it is whole or not there. On loading, a folder whose
//! hashes are not right is passed over with a warning, for the one before.

mod folder;
mod keep;

use crate::host::Host;
use crate::resume::ResumeNote;
use crate::torch::model::ModelError;
use crate::torch::optimizer::Optimizer;
use crate::{LogError, TrainingContext};
use explr_protocol::{Direction, Event, LogLevel};
use folder::{Content, Folder};
use keep::Kept;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::TchError;
use tch::nn::VarStore;

/// Why a checkpoint could not be saved or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
    #[error("the checkpoint `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// libtorch refused.
    #[error("the checkpoint `{}`: {source}", path.display())]
    Torch {
        /// The folder.
        path: PathBuf,
        /// What it says.
        source: TchError,
    },
    /// The model can't be saved or loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The optimiser is another one.
    #[error("the optimiser's state in `{}` does not fit: {problem}", path.display())]
    Optimizer {
        /// The folder.
        path: PathBuf,
        /// The difference.
        problem: String,
    },
    /// The user's own state has no form in JSON, or another one.
    #[error("the state of your own in a checkpoint: {0}")]
    State(#[from] serde_json::Error),
    /// The checkpoint is not whole.
    #[error("the checkpoint `{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It could not be recorded.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The checkpoints of a run; [`TrainingContext::checkpoints`] makes it.
///
/// ```no_run
/// use explr_sdk::tch::nn;
/// use explr_sdk::{Direction, Optimizer, Result, TrainingContext, TrainingResult};
///
/// fn train_model(ctx: &mut TrainingContext) -> Result<TrainingResult> {
///     let mut vs = nn::VarStore::new(ctx.device());
///     let net = nn::linear(vs.root(), 4, 1, Default::default());
///     let mut optimizer = Optimizer::new(nn::Adam::default(), &vs, ctx.f64("lr")?)?;
///
///     let mut checkpoints = ctx.checkpoints().keep_last(2).keep_best(Direction::Minimize);
///     let start = checkpoints.resume(&mut vs, &mut optimizer)?.map_or(0, |c| c.epoch);
///     for epoch in start..10 {
///         let val_loss = 0.5; // train, validate, log
///         checkpoints.save(epoch + 1, 0, Some(val_loss), &vs, &optimizer, &())?;
///     }
///     Ok(TrainingResult::new(0.5))
/// }
/// ```
///
/// With the same seed, on the CPU, a run that went on from a checkpoint gives
/// the same bits as one that was never interrupted, as long as what it draws
/// at random comes from libtorch or is part of the state that it saves.
#[derive(Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    run_id: String,
    device: tch::Device,
    host: Host,
    resume: Arc<ResumeNote>,
    kept: Kept,
}

/// A checkpoint that training goes on from.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// Epochs completed when it was taken: the next epoch, counted from 0.
    pub epoch: u64,
    /// Optimiser steps completed when it was taken.
    pub step: u64,
    /// The metric that was saved with it.
    pub metric: Option<f64>,
    /// Its folder.
    pub path: PathBuf,
    state: Value,
}

impl Resumed {
    /// The state of your own that was saved with it.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        Ok(T::deserialize(&self.state)?)
    }
}

impl Checkpoints {
    pub(crate) fn new(ctx: &TrainingContext) -> Self {
        Self {
            dir: ctx.run.checkpoint_dir.clone(),
            run_id: ctx.run.run_id.clone(),
            device: ctx.device(),
            host: ctx.host.clone(),
            resume: Arc::clone(&ctx.resume),
            kept: Kept::default(),
        }
    }

    /// Keeps the newest `count` checkpoints, at least one. The default is 2:
    /// should the newest be damaged, there is one before it.
    pub fn keep_last(mut self, count: usize) -> Self {
        self.kept.last = count.max(1);
        self
    }

    /// Also keeps the one with the best metric.
    pub fn keep_best(self, direction: Direction) -> Self {
        self.keep_top(1, direction)
    }

    /// Also keeps the `count` with the best metrics.
    pub fn keep_top(mut self, count: usize, direction: Direction) -> Self {
        self.kept.best = Some(direction);
        self.kept.top = count;
        self
    }

    /// Loads the newest whole checkpoint of the run, if there is one: the
    /// model, the optimiser and the random generators are then as they were.
    ///
    /// Call it when the model and the optimiser are built, and before the
    /// first metric. A checkpoint of another model is an error; a damaged one
    /// is passed over with a warning in the run's log.
    pub fn resume(
        &mut self,
        vs: &mut VarStore,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Resumed>, CheckpointError> {
        self.resume_named(&mut [("", vs)], &mut [("", optimizer)])
    }

    /// [`resume`](Self::resume) of several models and optimisers by name.
    pub(crate) fn resume_named(
        &mut self,
        models: &mut [(&str, &mut VarStore)],
        optimizers: &mut [(&str, &mut Optimizer)],
    ) -> Result<Option<Resumed>, CheckpointError> {
        let mut folders = Folder::list(&self.dir)?;
        while let Some(newest) = folders.pop() {
            let content = match newest.read() {
                Ok(content) => content,
                Err(error @ CheckpointError::Damaged { .. }) => {
                    let message = format!("{error}; trying the one before");
                    self.log(LogLevel::Warning, message)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.kept.found = folders;
            self.kept.found.push(newest.clone());
            return self.load(&newest, content, models, optimizers).map(Some);
        }
        self.resume.tell_start(&self.host).map_err(LogError::from)?;
        Ok(None)
    }

    /// Saves a checkpoint: `epoch` epochs and `step` steps are completed, and
    /// `metric` tells how good the model is. `state` is anything of your own
    /// that training goes on from, such as a patience counter; `&()` for none.
    ///
    /// Returns the folder. When it returns, the checkpoint is on the disk.
    pub fn save(
        &mut self,
        epoch: u64,
        step: u64,
        metric: Option<f64>,
        vs: &VarStore,
        optimizer: &Optimizer,
        state: &impl Serialize,
    ) -> Result<PathBuf, CheckpointError> {
        self.save_named(epoch, step, metric, &[("", vs)], &[("", optimizer)], state)
    }

    /// [`save`](Self::save) of several models and optimisers by name.
    pub(crate) fn save_named(
        &mut self,
        epoch: u64,
        step: u64,
        metric: Option<f64>,
        models: &[(&str, &VarStore)],
        optimizers: &[(&str, &Optimizer)],
        state: &impl Serialize,
    ) -> Result<PathBuf, CheckpointError> {
        let journal_len = self.host.journal_len().map_err(LogError::from)?;
        let folder = Folder::new(&self.dir, epoch, step, metric);
        let content = Content::take(
            &self.run_id,
            journal_len,
            models,
            optimizers,
            self.device,
            state,
        )
        .map_err(|source| CheckpointError::Torch {
            path: folder.path.clone(),
            source,
        })?;
        folder.write(content)?;
        let event = Event::Checkpoint {
            path: folder.name().into(),
            epoch,
            step,
        };
        self.host.log_event(&event).map_err(LogError::from)?;
        let path = folder.path.clone();
        for old in self.kept.add(folder) {
            // It is not needed: a failure costs space only.
            if let Err(error) = fs::remove_dir_all(&old.path) {
                let message = format!("can't remove `{}`: {error}", old.path.display());
                self.log(LogLevel::Warning, message)?;
            }
        }
        Ok(path)
    }

    /// The folder of the best checkpoint so far, by its metric.
    pub fn best(&self) -> Option<&Path> {
        self.kept.best().map(|folder| folder.path.as_path())
    }

    /// The model's file in the best checkpoint so far.
    pub fn best_model(&self) -> Option<PathBuf> {
        self.best().map(|path| path.join(folder::MODEL))
    }

    fn load(
        &self,
        folder: &Folder,
        content: Content,
        models: &mut [(&str, &mut VarStore)],
        optimizers: &mut [(&str, &mut Optimizer)],
    ) -> Result<Resumed, CheckpointError> {
        let torch = |source| CheckpointError::Torch {
            path: folder.path.clone(),
            source,
        };
        let Content {
            mut model,
            optimizer: mut tensors,
            generators,
            description,
        } = content;
        let misfit = |problem| CheckpointError::Optimizer {
            path: folder.path.clone(),
            problem,
        };
        let names: Vec<_> = optimizers.iter().map(|(name, _)| *name).collect();
        let states = description.optimizers(&names).map_err(misfit)?;
        for ((_, optimizer), state) in optimizers.iter_mut().zip(&states) {
            if let Some(problem) = optimizer.misfit(state).map_err(torch)? {
                return Err(misfit(problem));
            }
        }
        for (name, vs) in models {
            let own = folder::take_prefixed(name, &mut model);
            super::model::assign(vs, own, &folder.path)?;
        }
        if let Some((name, _)) = model.first() {
            return Err(CheckpointError::Model(ModelError::Misfit {
                path: folder.path.clone(),
                problem: format!("it has a further model, with `{name}`"),
            }));
        }
        for ((name, optimizer), state) in optimizers.iter_mut().zip(states) {
            let own = folder::take_prefixed(name, &mut tensors);
            optimizer.restore(state, &own).map_err(torch)?;
        }
        for (name, state) in &generators {
            folder::set_generator(name, self.device, state).map_err(torch)?;
        }
        // Of another run: nothing in this journal is lived again.
        let seq = if description.run_id == self.run_id {
            description.journal_len
        } else {
            self.host.journal_len().map_err(LogError::from)?
        };
        self.resume
            .tell_checkpoint(&self.host, seq, folder.name().into())
            .map_err(LogError::from)?;
        Ok(Resumed {
            epoch: folder.epoch,
            step: folder.step,
            metric: folder.metric,
            path: folder.path.clone(),
            state: description.state,
        })
    }

    fn log(&self, level: LogLevel, message: String) -> Result<(), CheckpointError> {
        let event = Event::Log { level, message };
        Ok(self.host.log_event(&event).map_err(LogError::from)?)
    }
}
