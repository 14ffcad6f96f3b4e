use crate::distribution::Distribution;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a trial is in its life, with Optuna's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TrialState {
    /// Someone works on it.
    Running = 0,
    /// It has values.
    Complete = 1,
    /// A pruner ended it.
    Pruned = 2,
    /// It failed.
    Failed = 3,
    /// To be run: enqueued, or interrupted and to be run again.
    Waiting = 4,
}

impl TrialState {
    /// Whether nothing more will happen to the trial.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }

    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

impl std::fmt::Display for TrialState {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A parameter's value in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// The value in its [internal form](Distribution).
    pub internal: f64,
    /// What it was chosen from.
    pub distribution: Arc<Distribution>,
}

impl Assigned {
    /// The value as the train function gets it.
    pub fn external(&self) -> Value {
        self.distribution.external(self.internal)
    }
}

/// One trial of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number in the study, from 0.
    pub number: u64,
    /// Its id in the storage; other studies of the same file count along.
    pub id: u64,
    /// Where it is in its life.
    pub state: TrialState,
    /// Its parameters by name: those that were active.
    pub params: BTreeMap<String, Assigned>,
    /// A value for each objective, once it is complete; for a pruned one the
    /// last intermediate value, if there was one.
    pub values: Vec<f64>,
    /// Reported values by step. May hold NaN.
    pub intermediate: BTreeMap<i64, f64>,
    /// Notes of whoever runs it.
    pub user_attrs: Map<String, Value>,
    /// Notes of the search itself, as in Optuna: `fixed_params`,
    /// `constraints`.
    pub system_attrs: Map<String, Value>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl Trial {
    /// A trial of which nothing is known yet; it has a place in no storage.
    pub(crate) fn new(number: u64, state: TrialState) -> Self {
        Self {
            number,
            id: number,
            state,
            params: BTreeMap::new(),
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user_attrs: Map::new(),
            system_attrs: Map::new(),
            started: None,
            finished: None,
        }
    }

    /// The external value of a parameter.
    pub fn param(&self, name: &str) -> Option<Value> {
        self.params.get(name).map(Assigned::external)
    }

    /// The external values of all its parameters, by name.
    pub fn external_params(&self) -> BTreeMap<String, Value> {
        self.params
            .iter()
            .map(|(name, assigned)| (name.clone(), assigned.external()))
            .collect()
    }

    /// The last step it reported, and the value there.
    pub fn last_report(&self) -> Option<(i64, f64)> {
        self.intermediate
            .last_key_value()
            .map(|(step, value)| (*step, *value))
    }
}
