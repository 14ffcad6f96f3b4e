use crate::runner::RunOutcome;
use crate::store::RunId;
use crate::tracking;
use explr_protocol::control::Progress;
use explr_protocol::{Device, Failure, LogLevel};
use std::path::PathBuf;
use std::time::Duration;

/// Something that happened in a run, from the orchestrator's view.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// A plugin crate is being built with cargo.
    Building {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// A line of cargo's progress.
    BuildLine(String),
    /// The plugin crate is built.
    Built {
        /// How long it took.
        took: Duration,
    },
    /// The run is in the store and about to start.
    Planned(Box<RunPlan>),
    /// The worker has loaded its code and calls the train function.
    Started {
        /// Process id of the worker; none when it runs in this process.
        pid: Option<u32>,
        /// Which attempt this is, from 1.
        attempt: u32,
        /// From the decision to start the worker to this moment.
        after: Duration,
    },
    /// How far the train function is.
    Progress(Progress),
    /// A line of the train function's log.
    Log {
        /// How important it is.
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// A line that the worker printed.
    Output(String),
    /// So many lines that the worker printed went to its log file alone.
    OutputHidden(u64),
    /// The worker was asked to stop.
    Stopping {
        /// Why, as in "Ctrl-C".
        reason: String,
        /// How long it has before it is killed.
        grace: Duration,
    },
    /// The journal can't be written.
    JournalFailed {
        /// The system's error.
        message: String,
    },
    /// The attempt failed and the run starts again.
    Retrying {
        /// Why it failed.
        failure: Failure,
        /// The attempt to come, from 2.
        attempt: u32,
        /// How many attempts there may be.
        of: u32,
    },
    /// Where tracking stands. Sent when it changes, and while the end of the
    /// run waits for it.
    Tracking(tracking::Status),
    /// The run is over, but for tracking.
    Ended(Box<RunOutcome>),
    /// Everything is over.
    Closed(Box<RunOutcome>),
}

/// What runs where.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The run's id.
    pub run_id: RunId,
    /// The experiment's name.
    pub experiment: String,
    /// The train function's name.
    pub function: String,
    /// The plugin's path; none for a function of the program itself.
    pub plugin: Option<PathBuf>,
    /// Where tensors live.
    pub device: Device,
    /// Number of threads.
    pub threads: u32,
    /// Seed of every random generator.
    pub seed: u64,
    /// The run's folder.
    pub folder: PathBuf,
    /// Which attempt of the run begins, from 1; more than 1 continues an
    /// earlier one.
    pub attempt: u32,
    /// Whether runs are shipped to MLflow.
    pub tracked: bool,
}
