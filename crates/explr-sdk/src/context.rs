use crate::Tracker;
use crate::host::Host;
use crate::params::{self, ParamError};
use crate::resume::ResumeNote;
use explr_protocol::control::Progress;
use explr_protocol::{Device, Event, LogLevel, RunContext, TrialRef};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Everything that a train function needs: its hyperparameters, where to
/// train, where to put files, and the [`Tracker`].
///
/// The getters for hyperparameters take a name, or a dotted path into nested
/// maps and lists: `lr`, `optimizer.betas.0`.
#[derive(Debug)]
pub struct TrainingContext {
    pub(crate) run: RunContext,
    pub(crate) host: Host,
    pub(crate) resume: Arc<ResumeNote>,
    tracker: Tracker,
    progress: Mutex<Progress>,
    pub(crate) began: Instant,
}

impl TrainingContext {
    pub(crate) fn new(run: RunContext, host: Host) -> Self {
        let resume = Arc::new(ResumeNote::new(run.attempt));
        Self {
            tracker: Tracker::new(host.clone(), &run, Arc::clone(&resume)),
            run,
            host,
            resume,
            progress: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// All hyperparameters, nested as in the configuration.
    pub fn hyperparameters(&self) -> &Map<String, Value> {
        &self.run.hyperparameters
    }

    /// All hyperparameters as a struct of your own.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Params {
    ///     lr: f64,
    ///     #[serde(default)]
    ///     hidden: Vec<i64>,
    /// }
    /// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
    /// let params: Params = ctx.params()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, ParamError> {
        params::deserialize(&self.run.hyperparameters)
    }

    /// A number.
    pub fn f64(&self, path: &str) -> Result<f64, ParamError> {
        self.get(path, "a number", params::number)
    }

    /// A number, or the default when there is none of this name.
    pub fn f64_or(&self, path: &str, default: f64) -> Result<f64, ParamError> {
        self.get_or(path, default, "a number", params::number)
    }

    /// A whole number.
    pub fn i64(&self, path: &str) -> Result<i64, ParamError> {
        self.get(path, "a whole number", params::integer)
    }

    /// A whole number, or the default when there is none of this name.
    pub fn i64_or(&self, path: &str, default: i64) -> Result<i64, ParamError> {
        self.get_or(path, default, "a whole number", params::integer)
    }

    /// A whole number from 0.
    pub fn u64(&self, path: &str) -> Result<u64, ParamError> {
        self.get(path, "a whole number from 0", params::unsigned)
    }

    /// A whole number from 0, or the default when there is none of this name.
    pub fn u64_or(&self, path: &str, default: u64) -> Result<u64, ParamError> {
        self.get_or(path, default, "a whole number from 0", params::unsigned)
    }

    /// A size.
    pub fn usize(&self, path: &str) -> Result<usize, ParamError> {
        self.get(path, "a whole number from 0", size)
    }

    /// A size, or the default when there is none of this name.
    pub fn usize_or(&self, path: &str, default: usize) -> Result<usize, ParamError> {
        self.get_or(path, default, "a whole number from 0", size)
    }

    /// `true` or `false`.
    pub fn bool(&self, path: &str) -> Result<bool, ParamError> {
        self.get(path, "true or false", Value::as_bool)
    }

    /// `true` or `false`, or the default when there is none of this name.
    pub fn bool_or(&self, path: &str, default: bool) -> Result<bool, ParamError> {
        self.get_or(path, default, "true or false", Value::as_bool)
    }

    /// A text.
    pub fn str(&self, path: &str) -> Result<&str, ParamError> {
        self.get(path, "a text", Value::as_str)
    }

    /// A text, or the default when there is none of this name.
    pub fn str_or<'a>(&'a self, path: &str, default: &'a str) -> Result<&'a str, ParamError> {
        self.get_or(path, default, "a text", Value::as_str)
    }

    /// Logs metrics, params, tags, artifacts and data sets.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The trial of a study that this run is, if it is one.
    pub fn trial(&self) -> Option<&TrialRef> {
        self.run.trial.as_ref()
    }

    /// The experiment's name.
    pub fn experiment_name(&self) -> &str {
        &self.run.experiment
    }

    /// The run's id in the store.
    pub fn run_id(&self) -> &str {
        &self.run.run_id
    }

    /// Where to train, in words: `cpu` or `cuda:N`.
    pub fn device_spec(&self) -> Device {
        self.run.device
    }

    /// Where to train. The index counts the GPUs that the worker sees.
    #[cfg(feature = "torch")]
    pub fn device(&self) -> tch::Device {
        crate::torch::device(self.run.device)
    }

    /// The run's checkpoints: where to go on from, and where to save.
    #[cfg(feature = "torch")]
    pub fn checkpoints(&self) -> crate::Checkpoints {
        crate::Checkpoints::new(self)
    }

    /// Folder for checkpoints; it exists.
    pub fn checkpoint_dir(&self) -> &Path {
        &self.run.checkpoint_dir
    }

    /// Folder of the artifacts; it exists. What is written here by hand must
    /// still be logged with [`Tracker::log_artifact`].
    pub fn artifact_dir(&self) -> &Path {
        &self.run.artifact_dir
    }

    /// The run's seed. libtorch's generators are seeded with it already.
    pub fn seed(&self) -> u64 {
        self.run.seed
    }

    /// 1 at first; higher after a retry or when an interrupted run continues.
    pub fn attempt(&self) -> u32 {
        self.run.attempt
    }

    /// Number of threads that the run may use; libtorch keeps to it already.
    pub fn threads(&self) -> u32 {
        self.run.threads
    }

    /// Whether the run was asked to end. A function that sees it should save
    /// and return; it is ended by force after the grace period.
    pub fn stop_requested(&self) -> bool {
        self.host.stop_requested()
    }

    /// Tells the display that epoch `epoch` (from 0) of `epochs` has begun.
    pub fn progress(&self, epoch: u64, epochs: u64) {
        self.show(|progress| {
            progress.epoch = Some(epoch);
            progress.epochs = Some(epochs);
        });
    }

    /// Tells the display that `step` steps of `steps` in the whole run are
    /// done.
    pub fn progress_steps(&self, step: u64, steps: u64) {
        self.show(|progress| {
            progress.step = Some(step);
            progress.steps = Some(steps);
        });
    }

    /// Writes a line to the run's log, for whoever watches.
    pub fn info(&self, message: impl fmt::Display) {
        self.log(LogLevel::Info, message);
    }

    /// Writes a warning to the run's log.
    pub fn warn(&self, message: impl fmt::Display) {
        self.log(LogLevel::Warning, message);
    }

    /// Writes a line to the run's log that is of interest to its author only.
    pub fn debug(&self, message: impl fmt::Display) {
        self.log(LogLevel::Debug, message);
    }

    /// Writes a line to the run's log. A log line that can't be written is
    /// lost: the next metric will tell why.
    pub fn log(&self, level: LogLevel, message: impl fmt::Display) {
        let _ = self.host.log_event(&Event::Log {
            level,
            message: message.to_string(),
        });
    }

    fn show(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        // Nothing depends on the display.
        let _ = self.host.progress(&progress);
    }

    fn get<'a, T>(
        &'a self,
        path: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, ParamError> {
        params::get(&self.run.hyperparameters, path, expected, read)
    }

    fn get_or<'a, T>(
        &'a self,
        path: &str,
        default: T,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, ParamError> {
        params::get_or(&self.run.hyperparameters, path, default, expected, read)
    }
}

fn size(value: &Value) -> Option<usize> {
    params::unsigned(value).and_then(|number| number.try_into().ok())
}
