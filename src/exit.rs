use std::process::ExitCode;

/// The exit codes of the `explr` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A bug, or something unexpected.
    Bug = 1,
    /// Wrong usage of the command line.
    Usage = 2,
    /// Invalid configuration.
    Config = 3,
    /// There was nothing to do.
    NothingToDo = 4,
    /// Finished, but some trials failed.
    Partial = 5,
    /// A plugin, its ABI, or libtorch.
    Plugin = 6,
    /// No GPU, or resources that can't be had.
    Resources = 7,
    /// A run, study or store is held by another process.
    Locked = 8,
    /// The store is corrupt or can't be written.
    Store = 9,
    /// Tracking was required and could not be reached.
    Tracking = 10,
    /// The run failed, or no trial completed.
    RunFailed = 100,
    /// The failure budget is used up.
    FailureBudget = 101,
    /// The total time limit was reached.
    Timeout = 124,
    /// Interrupted by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
