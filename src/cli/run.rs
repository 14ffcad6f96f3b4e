use super::runs::emit;
use super::train_args::TrainArgs;
use super::{interrupt, params};
use anyhow::Context;
use explr::config::Loaded;
use explr::report::{Bars, JsonLines, Plain, Reporter};
use explr::runner::{Code, Plan, Resume};
use explr::{Exit, Experiment};
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 completed, 3 invalid configuration, 6 plugin or libtorch, \
    7 no such GPU or resources, 8 locked, 9 store, 10 tracking required and not reachable, \
    100 the run failed, 130 and 143 interrupted."
)]
pub(crate) struct Args {
    /// The experiment's YAML file. With `--from-trial` it may be left out: the trial's is taken.
    #[arg(required_unless_present = "from_trial")]
    config: Option<PathBuf>,
    /// Settings that override the file's, as in `lr=1e-4` or `worker.timeout=2h`.
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    train: TrainArgs,
    /// Hyperparameters from a YAML or JSON file, such as `explr study best` prints.
    #[arg(long, value_name = "FILE", conflicts_with = "from_trial")]
    params: Option<PathBuf>,
    /// Hyperparameters and seed of a trial, as in `digits#17`.
    #[arg(long, value_name = "STUDY#NUMBER")]
    from_trial: Option<String>,
    /// Show the resolved configuration and what would run, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Start a new run even if an interrupted one could be continued.
    #[arg(long, conflicts_with = "resume")]
    new: bool,
    /// Continue this run, interrupted or failed.
    #[arg(long, value_name = "RUN")]
    resume: Option<String>,
    /// Fail when MLflow can't be reached.
    #[arg(long)]
    require_tracking: bool,
    /// Print one JSON event a line.
    #[arg(long)]
    json: bool,
    /// Print failures and warnings only.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (config, overrides) = args.source()?;
    let experiment = overrides
        .into_iter()
        .fold(Experiment::from_file(config), Experiment::set)
        .resume(match &args.resume {
            Some(run) => Resume::Run(run.clone()),
            None if args.new => Resume::Never,
            None => Resume::Auto,
        });
    if args.dry_run {
        let (loaded, plan) = experiment.plan()?;
        show_plan(&loaded, &plan, args.json)?;
        return Ok(Exit::Ok);
    }
    interrupt::listen(experiment.stop_handle()).context("signals can't be handled")?;
    let outcome = experiment.run_with(&mut *args.reporter())?;
    Ok(outcome.exit())
}

impl Args {
    /// The configuration file, and what is put over it.
    fn source(&self) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let mut overrides = Vec::new();
        overrides.extend(self.train.settings()?);
        if let Some(file) = &self.params {
            overrides.extend(params::from_file(file)?);
        }
        let (mut config, mut first) = (self.config.clone(), None);
        if let Some(trial) = &self.from_trial {
            // Without a file the first setting stands in its place.
            let setting = |path: &PathBuf| {
                let text = path.to_str().filter(|text| text.contains('='));
                text.filter(|_| !path.exists()).map(str::to_owned)
            };
            first = config.as_ref().and_then(setting);
            config = config.filter(|_| first.is_none());
            let (file, settings) = params::from_trial(config.as_deref(), &self.overrides, trial)?;
            config = Some(file);
            overrides.extend(settings);
        }
        let config = config.context("a configuration file is needed")?;
        overrides.extend(first);
        if self.require_tracking {
            overrides.push("mlflow.required=true".to_owned());
        }
        overrides.extend(self.overrides.iter().cloned());
        Ok((config, overrides))
    }

    fn reporter(&self) -> Box<dyn Reporter> {
        if self.json {
            Box::new(JsonLines::new(stdout()))
        } else if self.quiet {
            Box::new(Plain::new(stderr()).quiet())
        } else if stderr().is_terminal() {
            Box::new(Bars::new())
        } else {
            Box::new(Plain::new(stderr()))
        }
    }
}

pub(super) fn assignment(key: &str, value: &str) -> String {
    format!("{key}={}", serde_json::Value::from(value))
}

pub(super) fn show_plan(loaded: &Loaded, plan: &Plan, json: bool) -> anyhow::Result<()> {
    let config = loaded.stored();
    let code = match &plan.code {
        Code::Plugin(path) => format!("plugin {}", path.display()),
        Code::Crate(path) => format!("plugin crate {} (built with cargo first)", path.display()),
        Code::Python(function) => format!("Python {}", function.environment().display()),
        Code::Program => "this program".to_owned(),
        Code::Command(command) => format!("command in {}", command.folder.display()),
    };
    if json {
        let plan = serde_json::json!({
            "code": code,
            "function": plan.function,
            "device": plan.granted.device,
            "threads": plan.granted.threads,
            "libtorch": plan.libtorch,
            "store": plan.store,
        });
        let shown = serde_json::json!({"plan": plan, "config": config});
        return Ok(emit(&format!("{shown}\n"))?);
    }
    let libtorch = plan
        .libtorch
        .as_deref()
        .map_or("none found".into(), Path::to_string_lossy);
    emit(&format!(
        "# what would run\n\
         #   code      {code}\n\
         #   function  {}\n\
         #   device    {}\n\
         #   threads   {}\n\
         #   libtorch  {libtorch}\n\
         #   store     {}\n\
         # the resolved configuration\n{}",
        plan.function,
        plan.granted.device,
        plan.granted.threads,
        plan.store.display(),
        serde_saphyr::to_string(&config)?,
    ))?;
    Ok(())
}
