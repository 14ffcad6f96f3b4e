use crate::storage::{self, StorageError};
use crate::trial::{Trial, TrialState};
use explr_protocol::Direction;
use serde_json::{Map, Value};
use std::path::Path;

/// Everything that a study remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    pub(crate) name: String,
    pub(crate) directions: Vec<Direction>,
    pub(crate) trials: Vec<Trial>,
    pub(crate) user_attrs: Map<String, Value>,
    pub(crate) system_attrs: Map<String, Value>,
}

impl History {
    pub(crate) fn new(name: String, directions: Vec<Direction>) -> Self {
        Self {
            name,
            directions,
            trials: Vec::new(),
            user_attrs: Map::new(),
            system_attrs: Map::new(),
        }
    }

    /// All studies of a journal file, ours or Optuna's, as they are now. The
    /// file is only read.
    pub fn load(path: &Path) -> Result<Vec<Self>, StorageError> {
        storage::load(path)
    }

    /// The study's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which way each objective improves; never empty.
    pub fn directions(&self) -> &[Direction] {
        &self.directions
    }

    /// The direction of the first objective.
    pub fn direction(&self) -> Direction {
        self.directions.first().copied().unwrap_or_default()
    }

    /// All trials; a trial's place is its number. A finished trial never
    /// changes.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The trial of this number.
    pub fn trial(&self, number: u64) -> Option<&Trial> {
        self.trials.get(usize::try_from(number).ok()?)
    }

    /// Notes of whoever runs the study.
    pub fn user_attrs(&self) -> &Map<String, Value> {
        &self.user_attrs
    }

    /// Notes of the search itself.
    pub fn system_attrs(&self) -> &Map<String, Value> {
        &self.system_attrs
    }

    /// Number of trials in a state.
    pub fn count(&self, state: TrialState) -> usize {
        self.trials
            .iter()
            .filter(|trial| trial.state == state)
            .count()
    }

    /// Number of trials that are over, however they ended.
    pub fn finished(&self) -> usize {
        self.trials
            .iter()
            .filter(|trial| trial.state.is_finished())
            .count()
    }

    /// A value of the first objective turned so that less is better.
    pub fn loss(&self, value: f64) -> f64 {
        match self.direction() {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }

    /// The complete trial with the best first objective; the earliest of
    /// equal ones.
    pub fn best(&self) -> Option<&Trial> {
        self.trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .filter(|trial| trial.values.first().is_some_and(|value| !value.is_nan()))
            .min_by(|a, b| self.loss(a.values[0]).total_cmp(&self.loss(b.values[0])))
    }

    /// The complete trials that no other one beats in every objective, by
    /// number. With one objective: the best.
    pub fn pareto_front(&self) -> Vec<&Trial> {
        let losses = |trial: &Trial| -> Vec<f64> {
            trial
                .values
                .iter()
                .zip(&self.directions)
                .map(|(value, direction)| match direction {
                    Direction::Minimize => *value,
                    Direction::Maximize => -*value,
                })
                .collect()
        };
        let complete: Vec<(&Trial, Vec<f64>)> = self
            .trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .map(|trial| (trial, losses(trial)))
            .filter(|(_, losses)| !losses.iter().any(|loss| loss.is_nan()))
            .collect();
        let dominates = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
        };
        complete
            .iter()
            .filter(|(_, losses)| !complete.iter().any(|(_, other)| dominates(other, losses)))
            .map(|(trial, _)| *trial)
            .collect()
    }
}
