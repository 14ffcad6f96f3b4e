//! Messages between orchestrator and worker.
//!
//! One JSON object a line, over a socket pair whose worker end is the file
//! descriptor named by [`FD_VARIABLE`]. The journal, not this channel,
//! carries what must last: losing it loses nothing but the display. End of
//! file on the worker's side means that the orchestrator is gone.

use crate::{Answer, Ask, Command, LogLevel, Outcome, RunContext, number};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variable that holds the number of the worker's descriptor.
pub const FD_VARIABLE: &str = "EXPLR_CONTROL_FD";

/// Environment variable that marks every process of a run with the run's id.
pub const RUN_VARIABLE: &str = "EXPLR_RUN_ID";

/// Environment variable that tells a worker how many bytes of each GPU's memory
/// it may use. PyTorch is told in its own way; other frameworks read it here.
pub const MEMORY_VARIABLE: &str = "EXPLR_GPU_MEMORY_BYTES";

/// From the orchestrator to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// Begin. Sent once, first.
    Start(Box<Assignment>),
    /// Please stop at the next good moment.
    Stop,
    /// The answer to the open question.
    Answer(Answer),
    /// How busy the machine is: for the journal of a worker that doesn't look
    /// itself. No sign of progress.
    Sample {
        /// System metrics by name.
        #[serde(with = "number::map")]
        metrics: BTreeMap<String, f64>,
        /// Their step.
        step: i64,
    },
}

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The code to run.
    pub code: Code,
    /// What the train function is told.
    pub context: RunContext,
    /// The journal to append to.
    pub journal: PathBuf,
    /// Time between two samples of system metrics, in seconds; none for no
    /// system metrics.
    pub system_metrics_interval: Option<f64>,
}

/// Where a train function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Code {
    /// In a plugin.
    Plugin {
        /// The shared library.
        path: PathBuf,
        /// The folder of libtorch's shared libraries, if one was found.
        libtorch: Option<PathBuf>,
    },
    /// In a module of Python.
    Python(PythonCode),
    /// In the program that is the worker.
    Program,
    /// In another program, which the worker starts.
    Command(Box<Command>),
}

/// A train function of Python, and what it takes to call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonCode {
    /// The interpreter.
    pub interpreter: PathBuf,
    /// Its version, as in `3.12.1`.
    pub version: String,
    /// The folder that holds the package `explr_sdk`.
    pub package: PathBuf,
    /// The first folder that modules are looked for in.
    pub folder: PathBuf,
    /// `module:function` or `path/to/file.py:function`.
    pub target: String,
    /// How it is called.
    pub call: Call,
}

/// How a function of Python is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// With a training context.
    Function,
    /// With a trial, as Optuna calls an objective.
    Objective,
}

/// From a worker to the orchestrator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// The plugin is loaded and the train function is about to be called.
    Started,
    /// Still alive. Sent every second.
    Heartbeat,
    /// A question to the study; the train function waits for the answer.
    Ask(Ask),
    /// The newest values, at most ten times a second.
    Progress(Progress),
    /// A line of the train function's log.
    Log {
        /// How important it is.
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// The journal could not be written; the message says why.
    JournalFailed {
        /// The system's error.
        message: String,
    },
    /// The train function ended. The worker exits after this.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
}

/// How far a train function has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Current epoch, from 0, if the function tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Planned number of epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Steps done of the whole run, if the function tells; else the highest
    /// step of a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Planned number of steps of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Newest value of each metric that changed since the last message.
    #[serde(with = "number::map", default)]
    pub metrics: BTreeMap<String, f64>,
    /// Number of metric values logged so far in this attempt.
    #[serde(default)]
    pub metrics_logged: u64,
}
