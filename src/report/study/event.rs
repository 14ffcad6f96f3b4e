use crate::report::RunEvent;
use crate::store::RunId;
use crate::tracking;
use crate::tuning::StudyOutcome;
use explr_protocol::{Device, Direction, Failure};
use explr_study::TrialState;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Something that happened in a study, from the orchestrator's view.
#[derive(Debug, Clone)]
pub enum StudyEvent {
    /// The plugin is being built: one of the building events of a run.
    Build(RunEvent),
    /// The study is open and about to go on.
    Planned(Box<StudyPlan>),
    /// Something worth knowing.
    Note(String),
    /// A trial has its parameters and is about to run.
    TrialStarted(Box<TrialStart>),
    /// Something happened in a running trial.
    Trial {
        /// The trial's number.
        number: u64,
        /// What happened.
        event: RunEvent,
    },
    /// A running trial reported an intermediate value.
    Reported {
        /// The trial's number.
        number: u64,
        /// The step.
        step: i64,
        /// The value.
        value: f64,
    },
    /// A trial is over.
    TrialEnded(Box<TrialEnd>),
    /// No more trials are started, and the running ones were asked to stop.
    Stopping {
        /// Why, as in "Ctrl-C".
        reason: String,
    },
    /// Where tracking stands. Sent when it changes, and while the end of the
    /// study waits for it.
    Tracking(tracking::Status),
    /// The study is over, but for tracking.
    Ended(Box<StudyOutcome>),
    /// Everything is over.
    Closed(Box<StudyOutcome>),
}

/// What a study is, when it begins or goes on.
#[derive(Debug, Clone)]
pub struct StudyPlan {
    /// The study's name.
    pub study: String,
    /// The experiment's name.
    pub experiment: String,
    /// The configuration file, as it was named.
    pub config: Option<PathBuf>,
    /// The train function's name.
    pub function: String,
    /// The study's journal.
    pub journal: PathBuf,
    /// Which way each objective improves.
    pub directions: Vec<Direction>,
    /// Name of the sampler.
    pub sampler: String,
    /// Name of the pruner.
    pub pruner: String,
    /// Number of parameters that are searched for.
    pub parameters: usize,
    /// Trials in all, where that is known.
    pub trials: Option<u64>,
    /// Trials that are finished already.
    pub finished: u64,
    /// The best of them: number and values.
    pub best: Option<(u64, Vec<f64>)>,
    /// Trials at a time.
    pub jobs: usize,
    /// Where tensors live.
    pub device: Device,
    /// Threads of each trial.
    pub threads: u32,
    /// Seed of the study.
    pub seed: u64,
    /// The time it has.
    pub timeout: Option<Duration>,
    /// Whether runs are shipped to MLflow.
    pub tracked: bool,
}

/// A trial about to run.
#[derive(Debug, Clone)]
pub struct TrialStart {
    /// The trial's number.
    pub number: u64,
    /// Its run.
    pub run_id: RunId,
    /// Its parameters.
    pub params: BTreeMap<String, Value>,
    /// It was interrupted before, and goes on.
    pub again: bool,
}

/// A trial that is over.
#[derive(Debug, Clone)]
pub struct TrialEnd {
    /// The trial's number.
    pub number: u64,
    /// Its run.
    pub run_id: RunId,
    /// Complete, pruned, failed; waiting when it was interrupted.
    pub state: TrialState,
    /// Its parameters, those that it defined itself included.
    pub params: BTreeMap<String, Value>,
    /// Its values, or the last intermediate one of a pruned trial.
    pub values: Vec<f64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Wall time.
    pub duration: Duration,
    /// It is the best so far.
    pub is_best: bool,
}
