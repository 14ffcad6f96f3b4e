//! What a checkpoint holds besides models, optimisers and generators.

use super::{Trainer, TrainerError};
use crate::Result;
use crate::data::{DataLoader, LoaderState};
use crate::scheduler::{Schedule, ScheduleState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is counted and remembered of a training.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) current_epoch: u64,
    pub(super) global_step: u64,
    pub(super) local_batches: u64,
    /// The step of the newest validation.
    pub(super) validated: Option<u64>,
    /// The values of that, by name.
    #[serde(with = "values")]
    pub(super) values: Vec<(String, f64)>,
    /// The best monitored value; never NaN.
    #[serde(with = "explr_protocol::number::option")]
    pub(super) best: Option<f64>,
    /// Why a callback stopped the training.
    pub(super) stopped: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    counters: Counters,
    loader: Option<LoaderState>,
    /// By the order of the optimisers.
    schedules: Vec<Option<ScheduleState>>,
    /// By the order of the callbacks.
    callbacks: Vec<Value>,
}

impl Trainer<'_> {
    /// Saves a checkpoint if one is due after this step.
    pub(super) fn save_if_due(&mut self) -> Result<()> {
        let every = self.config.checkpoint.as_ref().and_then(|c| c.every_steps);
        match every {
            Some(every) if self.counters.global_step > 0 && self.has_done(every) => self.save(),
            _ => Ok(()),
        }
    }

    /// Saves a checkpoint, unless there is one of this step.
    pub(super) fn save(&mut self) -> Result<()> {
        let counters = &self.counters;
        let place = (counters.current_epoch, counters.global_step);
        if self.saved == Some(place) {
            return Ok(());
        }
        let state = State {
            counters: counters.clone(),
            loader: self.position,
            schedules: self
                .optimizers
                .iter()
                .map(|(_, driven)| driven.schedule.as_ref().map(Schedule::state))
                .collect(),
            callbacks: self
                .callbacks
                .iter()
                .map(|callback| callback.state())
                .collect::<Result<_>>()?,
        };
        let monitor = &self.config.monitor;
        let newest = counters.values.iter().find(|(name, _)| name == monitor);
        let newest = newest.map(|(_, value)| *value);
        let validated = counters.validated == Some(counters.global_step);
        let models = single(self.models.iter().map(|(name, vs)| (name.as_str(), vs)));
        let optimizers = single(
            self.optimizers
                .iter()
                .map(|(name, driven)| (name.as_str(), &driven.optimizer)),
        );
        self.checkpoints.save_named(
            place.0,
            place.1,
            newest.filter(|_| validated),
            &models,
            &optimizers,
            &state,
        )?;
        self.saved = Some(place);
        Ok(())
    }

    /// Goes on from the newest checkpoint, if there is one.
    pub(super) fn resume(&mut self, train: &mut DataLoader) -> Result<()> {
        let mut models = single(self.models.iter_mut().map(|(name, vs)| (name.as_str(), vs)));
        let mut optimizers = single(
            self.optimizers
                .iter_mut()
                .map(|(name, driven)| (name.as_str(), &mut driven.optimizer)),
        );
        let resumed = self
            .checkpoints
            .resume_named(&mut models, &mut optimizers)?;
        let Some(resumed) = resumed else {
            return Ok(());
        };
        let state: State = resumed.state()?;
        self.restore_schedules(&state)?;
        let (saved, present) = (state.callbacks.len(), self.callbacks.len());
        if saved != present {
            let problem = format!("it has {saved} callbacks, this one {present}");
            return Err(TrainerError::State(problem).into());
        }
        for (callback, state) in self.callbacks.iter_mut().zip(&state.callbacks) {
            callback.restore(state)?;
        }
        if let Some(position) = &state.loader {
            train.restore(position)?;
        }
        self.position = state.loader;
        self.counters = state.counters;
        self.saved = Some((resumed.epoch, resumed.step));
        Ok(())
    }

    fn restore_schedules(&mut self, state: &State) -> Result<()> {
        if state.schedules.len() != self.optimizers.len() {
            let problem = "the number of optimisers differs".to_owned();
            return Err(TrainerError::State(problem).into());
        }
        for ((name, driven), saved) in self.optimizers.iter_mut().zip(&state.schedules) {
            match (&mut driven.schedule, saved) {
                (Some(schedule), Some(saved)) => {
                    schedule.restore(saved)?;
                    driven.optimizer.set_groups(schedule.groups())?;
                }
                (None, None) => {}
                (here, _) => {
                    let (saved, here) = match here {
                        Some(_) => ("no", "has"),
                        None => ("a", "has none"),
                    };
                    let problem = format!("it has {saved} schedule for `{name}`, this one {here}");
                    return Err(TrainerError::State(problem).into());
                }
            }
        }
        Ok(())
    }
}

/// One alone needs no name, so that its file is like any other's.
fn single<'a, T>(all: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, T)> {
    let mut all: Vec<_> = all.collect();
    if let [(name, _)] = all.as_mut_slice() {
        *name = "";
    }
    all
}

/// A number that may be infinite.
#[derive(Serialize, Deserialize)]
struct Number(#[serde(with = "explr_protocol::number")] f64);

mod values {
    use super::Number;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        values: &[(String, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|(name, value)| (name, Number(*value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, f64)>, D::Error> {
        let values = Vec::<(String, Number)>::deserialize(deserializer)?;
        let values = values.into_iter();
        Ok(values.map(|(name, Number(value))| (name, value)).collect())
    }
}
