use crate::Error;
use crate::config::{self, Loaded};
use crate::report::study::StudyReporter;
use crate::report::{Reporter, Silent};
use crate::runner::{self, Plan, Request, Resume, RunOutcome, Stop};
use crate::tuning::{self, Chosen, StudyOutcome, Trials, TuneRequest};
use explr_protocol::TrainFunction;
use std::path::Path;
use std::sync::Arc;

/// An experiment that a program runs.
///
/// It comes from a configuration file, or from code, and runs a plugin, as
/// the `explr run` command does, or a function of the program itself:
///
/// ```
/// use explr::Experiment;
/// use explr_sdk::{Function, TrainingResult};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let descend = Function::new("descend", |context| {
///         let lr = context.f64("lr")?;
///         let mut x = 1.0;
///         for step in 0..20 {
///             x -= lr * 2.0 * x;
///             context.tracker().log_metric("loss", x * x, step)?;
///         }
///         Ok(TrainingResult::new(x * x))
///     });
///     // A worker of this experiment is this program, started again: it gets
///     // no further than this line.
///     explr::worker::serve(&[&descend]);
///
///     let folder = tempfile::tempdir()?;
///     let outcome = Experiment::new("parabola")
///         .set("hyperparameters.lr=0.1")
///         .set("mlflow=off")
///         .store(folder.path())
///         .function(descend)
///         .run()?;
///     let result = outcome.result.ok_or("no result")?;
///     assert!(result.primary_metric < 1e-3);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Experiment {
    source: Source,
    overrides: Vec<String>,
    function: Option<FunctionSlot>,
    in_process: bool,
    resume: Resume,
    trials: Trials,
    force: bool,
    stop: Stop,
}

#[derive(Debug, Clone)]
enum Source {
    File(std::path::PathBuf),
    Name(String),
    Loaded(Box<Loaded>),
}

#[derive(Clone)]
struct FunctionSlot(Arc<dyn TrainFunction>);

impl std::fmt::Debug for FunctionSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Experiment {
    /// An experiment without a file, with every setting at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(Source::Name(name.into()))
    }

    /// An experiment from a configuration file. The file is read when the
    /// experiment runs.
    pub fn from_file(path: impl AsRef<Path>) -> Self {
        Self::of(Source::File(path.as_ref().to_owned()))
    }

    /// An experiment from a configuration that is loaded already.
    pub fn from_loaded(loaded: Loaded) -> Self {
        Self::of(Source::Loaded(Box::new(loaded)))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            overrides: Vec::new(),
            function: None,
            in_process: false,
            resume: Resume::Auto,
            trials: Trials::Configured,
            force: false,
            stop: Stop::new(),
        }
    }

    /// Overrides a setting, as `key=value` on the command line does. Has no
    /// effect on an experiment [from a loaded configuration](Self::from_loaded).
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.overrides.push(assignment.into());
        self
    }

    /// Puts the store into this folder.
    pub fn store(self, folder: impl AsRef<Path>) -> Self {
        let folder = serde_json::Value::from(folder.as_ref().display().to_string());
        self.set(format!("store={folder}"))
    }

    /// Runs a function of this program instead of a plugin.
    pub fn function(mut self, function: impl TrainFunction + 'static) -> Self {
        self.function = Some(FunctionSlot(Arc::new(function)));
        self
    }

    /// Runs the function on a thread of this process: no isolation, no
    /// limits, no second start of the program.
    pub fn in_process(mut self) -> Self {
        self.in_process = true;
        self
    }

    /// What to do about earlier runs. By default the newest one is continued
    /// if it is the same and was interrupted.
    pub fn resume(mut self, resume: Resume) -> Self {
        self.resume = resume;
        self
    }

    /// How many trials a study is to have.
    pub fn trials(mut self, trials: Trials) -> Self {
        self.trials = trials;
        self
    }

    /// Goes on with a study although the configuration no longer fits it.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// The handle that stops this experiment's run or study from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Decides what would run, without running it.
    pub fn plan(&self) -> Result<(Loaded, Plan), Error> {
        let request = self.request()?;
        request.loaded.without_ranges()?;
        let plan = Plan::make(&request)?;
        Ok((request.loaded, plan))
    }

    /// Decides what the trials of a study would run, without running any.
    pub fn plan_trials(&self) -> Result<(Loaded, Plan), Error> {
        let request = self.request()?;
        let plan = Plan::make(&request)?;
        Ok((request.loaded, plan))
    }

    /// Runs it, and shows nothing.
    pub fn run(&self) -> Result<RunOutcome, Error> {
        self.run_with(&mut Silent)
    }

    /// Runs it, and tells `reporter` what happens.
    pub fn run_with(&self, reporter: &mut dyn Reporter) -> Result<RunOutcome, Error> {
        let request = self.request()?;
        request.loaded.without_ranges()?;
        runner::run(&request, &self.stop, reporter)
    }

    /// Searches for the hyperparameters that the configuration names under
    /// `search_space`, and shows nothing.
    pub fn tune(&self) -> Result<StudyOutcome, Error> {
        self.tune_with(&mut Silent)
    }

    /// The same, telling `reporter` what happens.
    pub fn tune_with(&self, reporter: &mut dyn StudyReporter) -> Result<StudyOutcome, Error> {
        let request = TuneRequest {
            loaded: self.loaded()?,
            function: self.function.as_ref().map(|slot| Arc::clone(&slot.0)),
            trials: self.trials,
            force: self.force,
            command: command(),
        };
        tuning::tune(&request, &self.stop, reporter)
    }

    /// The experiments of the configuration's sweep, each with the settings
    /// that distinguish it.
    pub fn sweep_runs(&self) -> Result<Vec<(Chosen, Self)>, Error> {
        let environment = variables().collect();
        let runs = self.loaded()?.sweep(&environment)?;
        Ok(runs
            .into_iter()
            .map(|run| {
                let experiment = Self::from_loaded(run.loaded);
                (run.values.into_iter().collect(), experiment)
            })
            .collect())
    }

    fn request(&self) -> Result<Request, Error> {
        Ok(Request {
            loaded: self.loaded()?,
            function: self.function.as_ref().map(|slot| Arc::clone(&slot.0)),
            in_process: self.in_process,
            resume: self.resume.clone(),
            command: command(),
        })
    }

    /// The configuration, read and checked.
    pub fn loaded(&self) -> Result<Loaded, Error> {
        Ok(match &self.source {
            Source::Loaded(loaded) => (**loaded).clone(),
            Source::File(path) => config::load(path, &self.overrides, variables())?,
            Source::Name(name) => {
                let text = format!("experiment: {}", serde_json::Value::from(name.as_str()));
                let here = Path::new("");
                config::from_str("the program", &text, here, &self.overrides, variables())?
            }
        })
    }
}

/// The command line of this process.
pub(crate) fn command() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// The environment, less what is no text and so no setting.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
