use super::PythonError;
use super::stop::StopReason;
use crate::Exit;
use crate::config::interpolate::InterpolateError;
use crate::gpu::LimitError;
use explr_protocol::{Device, FailureClass};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a run could not be started, or not be seen through.
///
/// A train function that fails is no such error: that is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration names no train function.
    #[error(
        "the configuration names no train function\n\
         help: add `train: {{plugin: path/to/crate}}` or `train: {{function: my_module:train_model}}`, \
         or use `--train-fn`"
    )]
    NoTrainFunction,
    /// The configuration has no combinations to run.
    #[error(
        "there is nothing to sweep\n\
         help: add `sweep: {{matrix: {{lr: [1e-3, 1e-4]}}}}`, or name several configurations"
    )]
    NothingToSweep,
    /// The plugin is neither a shared library nor a crate's folder.
    #[error(
        "there is no plugin at {}\n\
         help: `train.plugin` is a shared library (`.so`) or a folder with a `Cargo.toml`",
        path.display()
    )]
    NoPlugin {
        /// Where it should be.
        path: PathBuf,
    },
    /// The program does not serve workers.
    #[error(
        "this program doesn't serve workers\n\
         help: call `explr::worker::serve(&[&function])` at the beginning of `main`, or choose \
         `in_process()`"
    )]
    NotServed,
    /// No function of Python can be called.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// cargo is not there.
    #[error("cargo can't be started: {0}\nhelp: install Rust, https://rustup.rs")]
    NoCargo(#[source] io::Error),
    /// The plugin's crate does not build. Holds what cargo said.
    #[error("the plugin crate {} doesn't build:\n\n{said}", folder.display())]
    Build {
        /// The crate's folder.
        folder: PathBuf,
        /// What cargo said.
        said: String,
    },
    /// The plugin's crate has no shared library.
    #[error(
        "the crate {} has no library of type `cdylib`\n\
         help: add `[lib]` with `crate-type = [\"cdylib\"]` to its Cargo.toml",
        folder.display()
    )]
    NoLibrary {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// The device is not there.
    #[error("there is no device `{device}`: {why}\nhelp: use `device: auto` or `device: cpu`")]
    NoDevice {
        /// What was asked for.
        device: Device,
        /// What there is.
        why: String,
    },
    /// More was asked for than the machine has.
    #[error(
        "resources.{name}: {asked} asked for, and this machine has {has}\n\
         help: lower `resources.{name}`"
    )]
    Resources {
        /// The key under `resources`.
        name: &'static str,
        /// How much was asked for.
        asked: f64,
        /// How much there is.
        has: u32,
    },
    /// The limit of GPU memory can't be used.
    #[error(transparent)]
    GpuMemory(#[from] LimitError),
    /// There is no place for so many workers at a time.
    #[error(
        "{asked} jobs are asked for, and the GPUs of this machine have room for {room}\n\
         help: lower `--jobs`, or let several trials share a GPU: `resources.gpus: 0.5`"
    )]
    TooManyJobs {
        /// How many were asked for.
        asked: u32,
        /// How many fit.
        room: u32,
    },
    /// The disk is (nearly) full.
    #[error(
        "only {free_mb} MB are free in {}\nhelp: free some space: a run needs at least {need_mb} MB",
        folder.display()
    )]
    NoSpace {
        /// The store.
        folder: PathBuf,
        /// What is free, in MB.
        free_mb: u64,
        /// What is needed, in MB.
        need_mb: u64,
    },
    /// The run that is to be continued has another configuration.
    #[error(
        "run {run} can't be continued with this configuration: {differs} differ{s}\n\
         help: change it back, or start a new run with `--new`",
        s = if differs.contains(',') { "" } else { "s" }
    )]
    Differs {
        /// The run.
        run: String,
        /// The names of what differs, with commas.
        differs: String,
    },
    /// The run that is to be continued is complete.
    #[error(
        "run {run} is completed: there is nothing to continue\nhelp: start a new run with `--new`"
    )]
    Completed {
        /// The run.
        run: String,
    },
    /// A file or folder of the run can't be written.
    #[error("{} can't be written: {source}", path.display())]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The worker can't be started.
    #[error("the worker {} can't be started: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system does not say how a child process ended.
    #[error("waiting for a process: {0}")]
    Wait(#[source] io::Error),
    /// The event loop can't be made.
    #[error("the event loop can't be started: {0}")]
    EventLoop(#[source] io::Error),
    /// A plugin's file can't be understood.
    #[error("{0}")]
    Plugin(String),
    /// A `${env:NAME}}` lost its variable since the configuration was read.
    #[error(transparent)]
    Interpolate(#[from] InterpolateError),
    /// The train function's code does not come to the end of what it does
    /// while it is loaded.
    #[error(
        "{code} was not loaded within {limit:?}: something in it hangs\n\
         help: look at what it and the libraries that it needs do while they are loaded; what \
         they print is in {}. On a slow disk, raise `worker.heartbeat_timeout`",
        log.display()
    )]
    CodeHangs {
        /// The plugin, or the module of Python.
        code: String,
        /// How long it had.
        limit: Duration,
        /// Where its output is.
        log: PathBuf,
    },
    /// Someone stopped it before it began.
    #[error("stopped before the run began ({0})")]
    Stopped(StopReason),
    /// A trial failed for what every other trial of the study would meet too.
    #[error(
        "trial {number}: {message}\n\
         help: put it right and run the same command again: the study goes on with this trial"
    )]
    TrialBlocked {
        /// The trial.
        number: u64,
        /// What kind of failure it was.
        class: FailureClass,
        /// What happened.
        message: String,
    },
    /// Every GPU of a study was lost.
    #[error(
        "no GPU is left: {gpus} can't be used any more\n\
         help: `nvidia-smi` and the kernel's log (`dmesg | grep Xid`) tell more; run the same \
         command again when there is a GPU: the study goes on"
    )]
    GpusLost {
        /// Their UUIDs, with commas.
        gpus: String,
    },
    /// Tracking was required and there is none.
    #[error("MLflow is required and can't be reached: {why}")]
    TrackingRequired {
        /// What was tried and what came of it.
        why: String,
    },
}

impl RunError {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoTrainFunction
            | Self::NothingToSweep
            | Self::NoPlugin { .. }
            | Self::Differs { .. }
            | Self::Interpolate(_) => Exit::Config,
            Self::Completed { .. } => Exit::NothingToDo,
            Self::NoCargo(_)
            | Self::Build { .. }
            | Self::NoLibrary { .. }
            | Self::Plugin(_)
            | Self::CodeHangs { .. } => Exit::Plugin,
            Self::NoDevice { .. }
            | Self::Resources { .. }
            | Self::TooManyJobs { .. }
            | Self::GpusLost { .. } => Exit::Resources,
            Self::GpuMemory(error) => error.exit(),
            Self::Python(error) => error.exit(),
            Self::NoSpace { .. } | Self::NotWritable { .. } => Exit::Store,
            Self::Stopped(reason) => reason.exit(),
            Self::TrialBlocked { class, .. } => match class {
                FailureClass::Plugin => Exit::Plugin,
                FailureClass::GpuLost => Exit::Resources,
                _ => Exit::Store,
            },
            Self::TrackingRequired { .. } => Exit::Tracking,
            Self::NotServed | Self::Spawn { .. } | Self::Wait(_) | Self::EventLoop(_) => Exit::Bug,
        }
    }
}
