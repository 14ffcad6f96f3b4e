use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a run failed, in the words of the fault table of `docs/faults.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The train function returned an error.
    Error,
    /// The train function panicked.
    Panic,
    /// The worker called `abort`, or a C++ exception ended it.
    Abort,
    /// The worker was ended by another signal (SIGSEGV, SIGBUS, SIGKILL, ...).
    Signal,
    /// The kernel killed the worker for want of memory.
    Oom,
    /// The GPU had no memory left for an allocation.
    CudaOom,
    /// The GPU is gone, or its memory is broken.
    GpuLost,
    /// A wall-time, heartbeat or progress limit was passed.
    Timeout,
    /// The objective is NaN or infinite.
    Nan,
    /// The worker exited without a result.
    Exit,
    /// The plugin, its ABI or libtorch could not be loaded.
    Plugin,
    /// The run journal could not be written.
    Journal,
}

impl FailureClass {
    /// The name that the journal uses, as in `cuda_oom`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Abort => "abort",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::CudaOom => "cuda_oom",
            Self::GpuLost => "gpu_lost",
            Self::Timeout => "timeout",
            Self::Nan => "nan",
            Self::Exit => "exit",
            Self::Plugin => "plugin",
            Self::Journal => "journal",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub class: FailureClass,
    /// What happened, in one or a few lines.
    pub message: String,
    /// `file:line:column` in the user's code, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The last lines of the worker's output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}
