use crate::trial::{Assigned, TrialState};
use explr_protocol::Direction;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One line of a journal: a change, and the worker that made it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// A name that no other process and thread has.
    pub(crate) worker: String,
    /// The change.
    pub(crate) op: Op,
}

/// A change, with Optuna's numbers of operations. Studies and trials are named
/// by their ids, which count over the whole file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// 0.
    CreateStudy {
        name: String,
        directions: Vec<Direction>,
    },
    /// 1.
    DeleteStudy { study: u64 },
    /// 2.
    StudyUserAttrs {
        study: u64,
        attrs: Map<String, Value>,
    },
    /// 3.
    StudySystemAttrs {
        study: u64,
        attrs: Map<String, Value>,
    },
    /// 4.
    CreateTrial { study: u64, trial: Box<NewTrial> },
    /// 5.
    Param {
        trial: u64,
        name: String,
        assigned: Assigned,
    },
    /// 6. `at` is when it began or ended; a waiting trial has neither.
    State {
        trial: u64,
        state: TrialState,
        values: Option<Vec<f64>>,
        at: Option<Timestamp>,
    },
    /// 7.
    Intermediate { trial: u64, step: i64, value: f64 },
    /// 8.
    TrialUserAttrs {
        trial: u64,
        attrs: Map<String, Value>,
    },
    /// 9.
    TrialSystemAttrs {
        trial: u64,
        attrs: Map<String, Value>,
    },
    /// 10: of another implementation; Optuna skips it.
    DiscardTrials,
}

/// A trial as it is when it is created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewTrial {
    pub(crate) state: TrialState,
    pub(crate) params: BTreeMap<String, Assigned>,
    pub(crate) values: Vec<f64>,
    pub(crate) intermediate: BTreeMap<i64, f64>,
    pub(crate) user_attrs: Map<String, Value>,
    pub(crate) system_attrs: Map<String, Value>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
}

impl NewTrial {
    /// A trial of which nothing is known yet.
    pub(crate) fn new(state: TrialState) -> Self {
        Self {
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
}
