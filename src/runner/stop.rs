use super::RunError;
use crate::Exit;
use std::fmt;
use tokio::sync::watch;

/// Who wants a run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: Slurm, systemd, Docker.
    Terminate,
    /// The program that uses the library.
    Program,
    /// The study that the run belongs to comes to its end.
    Study,
}

impl StopReason {
    /// The exit code of a command that was stopped for this reason.
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt | Self::Program | Self::Study => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
            Self::Program => "request",
            Self::Study => "the study ends",
        })
    }
}

/// How urgent a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StopLevel {
    #[default]
    None,
    /// Ask the worker, and give it its grace period.
    Gentle(StopReason),
    /// End the worker now.
    Now(StopReason),
}

/// Stops a run from another thread. Clones stop the same run.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<StopLevel>);

impl Stop {
    /// A handle that has not been used yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(StopLevel::None))
    }

    /// The first call asks the worker to stop within its grace period, the
    /// second ends it at once.
    pub fn raise(&self, reason: StopReason) {
        self.0.send_modify(|level| {
            *level = match *level {
                StopLevel::None => StopLevel::Gentle(reason),
                StopLevel::Gentle(first) | StopLevel::Now(first) => StopLevel::Now(first),
            };
        });
    }

    /// Whether anyone asked the run to stop.
    pub fn is_raised(&self) -> bool {
        self.level() != StopLevel::None
    }

    /// Waits until anyone asks the run to stop.
    pub(crate) async fn raised(&self) {
        // This handle sends, so the channel stays open.
        let _ = self
            .subscribe()
            .wait_for(|level| *level != StopLevel::None)
            .await;
    }

    /// An error if anyone asked to stop before it began.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        match self.level() {
            StopLevel::None => Ok(()),
            StopLevel::Gentle(reason) | StopLevel::Now(reason) => Err(RunError::Stopped(reason)),
        }
    }

    /// A receiver that first tells what was raised before.
    pub(crate) fn subscribe(&self) -> watch::Receiver<StopLevel> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        receiver
    }

    pub(crate) fn level(&self) -> StopLevel {
        *self.0.borrow()
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
