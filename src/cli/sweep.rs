use super::{interrupt, tune};
use anyhow::Context;
use explr::runner::RunError;
use explr::tuning::Chosen;
use explr::{Exit, Experiment, Sweep};
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Several configurations are run as they are. A single one runs every combination \
    of its `sweep.matrix`. Run again, the command does what is missing.\n\n\
    Exit codes: as for `explr tune`."
)]
pub(crate) struct Args {
    /// The experiments' YAML files.
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<PathBuf>,
    /// A setting that overrides the files', as in `epochs=5`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Runs at a time; `auto` for as many as the machine has room for.
    #[arg(long, short, value_name = "N|auto", default_value = "1")]
    jobs: String,
    /// The sweep's name. Default: that of the first experiment, with `-sweep`.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Show what would run, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON event a line.
    #[arg(long)]
    json: bool,
    /// Print failures and warnings only.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let entries = args.entries()?;
    if args.dry_run {
        for (chosen, _) in &entries {
            println!("{}", explr::tuning::label(chosen));
        }
        return Ok(Exit::Ok);
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => {
            args.experiment(&args.configs[0])
                .loaded()?
                .config
                .study_name()
                .to_owned()
                + "-sweep"
        }
    };
    let sweep = entries
        .into_iter()
        .fold(Sweep::new(name), |sweep, (chosen, experiment)| {
            sweep.add(chosen, experiment)
        });
    interrupt::listen(sweep.stop_handle()).context("signals can't be handled")?;
    let outcome = sweep.run_with(&mut *tune::reporter(args.json, args.quiet))?;
    Ok(outcome.exit())
}

impl Args {
    fn experiment(&self, config: &Path) -> Experiment {
        let jobs = format!("tune.jobs={}", self.jobs);
        self.set
            .iter()
            .cloned()
            .chain([jobs])
            .fold(Experiment::from_file(config), Experiment::set)
    }

    /// What is to be run: each configuration, or each combination of the only
    /// one.
    fn entries(&self) -> anyhow::Result<Vec<(Chosen, Experiment)>> {
        if let [config] = &self.configs[..] {
            let runs = self.experiment(config).sweep_runs()?;
            if runs.is_empty() {
                return Err(explr::Error::from(RunError::NothingToSweep).into());
            }
            return Ok(runs);
        }
        let named = |config: &PathBuf| {
            let name = Value::from(config.display().to_string());
            (
                [("config".to_owned(), name)].into(),
                self.experiment(config),
            )
        };
        Ok(self.configs.iter().map(named).collect())
    }
}
