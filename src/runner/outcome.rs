use super::stop::StopReason;
use crate::Exit;
use crate::store::RunId;
use crate::tracking;
use explr_protocol::{Failure, FailureClass, RunState, TrainingResult};
use std::path::PathBuf;
use std::time::Duration;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// The run's id.
    pub run_id: RunId,
    /// The run's folder.
    pub folder: PathBuf,
    /// The experiment's name.
    pub experiment: String,
    /// Completed, failed or interrupted.
    pub state: RunState,
    /// The last attempt's number, from 1.
    pub attempt: u32,
    /// What the train function returned.
    pub result: Option<TrainingResult>,
    /// Why there is no result.
    pub failure: Option<Failure>,
    /// Who stopped it, if it was stopped.
    pub stopped: Option<StopReason>,
    /// Wall time of the run in this process, without the building of a plugin.
    pub duration: Duration,
    /// What of it is in MLflow; none when it isn't tracked, or not yet.
    pub tracking: Option<tracking::Report>,
    /// Whether the configuration requires tracking.
    pub(crate) tracking_required: bool,
}

impl RunOutcome {
    /// The exit code of a command that ends with this outcome.
    pub fn exit(&self) -> Exit {
        match self.state {
            RunState::Interrupted => self.stopped.map_or(Exit::Interrupted, StopReason::exit),
            RunState::Completed => match &self.tracking {
                Some(report) if self.tracking_required && report.left > 0 => Exit::Tracking,
                _ => Exit::Ok,
            },
            _ => match self.failure.as_ref().map(|failure| failure.class) {
                Some(FailureClass::Plugin) => Exit::Plugin,
                Some(FailureClass::Journal) => Exit::Store,
                Some(FailureClass::GpuLost) => Exit::Resources,
                _ => Exit::RunFailed,
            },
        }
    }
}
