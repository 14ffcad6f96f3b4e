use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Written to the store; no worker yet.
    Created,
    /// A worker has it.
    Running,
    /// The train function returned a result.
    Completed,
    /// The train function, or the worker that ran it, failed.
    Failed,
    /// A trial that its study's pruner ended.
    Pruned,
    /// Stopped from outside: a signal to explr, or explr's own death. A rerun
    /// continues it.
    Interrupted,
}

impl RunState {
    /// Whether nothing more will happen to the run by itself.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Pruned | Self::Interrupted
        )
    }

    /// The lower-case name that the journal uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Pruned => "pruned",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.as_str())
    }
}
