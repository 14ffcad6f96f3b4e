use super::ledger::End;
use crate::Exit;
use crate::store::RunId;
use crate::tracking;
use explr_study::{History, TrialState};
use std::path::PathBuf;
use std::time::Duration;

/// What came of a study.
#[derive(Debug, Clone)]
pub struct StudyOutcome {
    /// Everything that the study remembers.
    pub history: History,
    /// Its journal.
    pub journal: PathBuf,
    /// The run that stands for the study in the store and in MLflow.
    pub run_id: RunId,
    /// Why it ended.
    pub end: End,
    /// Trials that this command brought to an end.
    pub ran: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Trials that were interrupted, and run again when the study goes on.
    pub interrupted: u64,
    /// Failed trials are no more than a budget that was given.
    pub(crate) failures_are_budgeted: bool,
    /// Wall time in this process, without the building of a plugin.
    pub duration: Duration,
    /// What of it is in MLflow; none when it isn't tracked, or not yet.
    pub tracking: Option<tracking::Report>,
    /// Whether the configuration requires tracking.
    pub(crate) tracking_required: bool,
}

impl StudyOutcome {
    /// The exit code of a command that ends with this outcome.
    pub fn exit(&self) -> Exit {
        match self.end {
            End::Stopped(reason) => return reason.exit(),
            End::FailureBudget => return Exit::FailureBudget,
            End::Timeout => return Exit::Timeout,
            End::Enough | End::Exhausted | End::Goal => {}
        }
        if self.ran == 0 {
            return Exit::NothingToDo;
        }
        if self.history.count(TrialState::Complete) == 0 {
            return Exit::RunFailed;
        }
        if self.failed > 0 && !self.failures_are_budgeted {
            return Exit::Partial;
        }
        match &self.tracking {
            Some(report) if self.tracking_required && report.left > 0 => Exit::Tracking,
            _ => Exit::Ok,
        }
    }
}
