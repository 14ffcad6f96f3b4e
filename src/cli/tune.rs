use super::interrupt;
use super::run::assignment;
use super::train_args::TrainArgs;
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use explr::report::study::{StudyJson, StudyLive, StudyPlain, StudyReporter};
use explr::tuning::Trials;
use explr::{Exit, Experiment};
use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;

const SAMPLERS: [&str; 6] = ["tpe", "random", "grid", "qmc", "cmaes", "gp"];
const PRUNERS: [&str; 8] = [
    "none",
    "median",
    "percentile",
    "asha",
    "hyperband",
    "threshold",
    "patient",
    "wilcoxon",
];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A parameter can be searched from the command line: `lr=loguniform[1e-5:1e-1]`, \
    `x=uniform[0:1]`, `n=int[1:8]`, `n=logint[1:1024]`, `opt=choice[sgd,adam]`.\n\n\
    Exit codes: 0 done, 3 invalid configuration or another study of this name, 4 nothing to do, \
    5 some trials failed, 7 no such GPU or resources, 8 the study is at work elsewhere, 9 store, \
    10 tracking required and not reachable, 100 no trial completed, 101 too many trials failed, \
    124 the time is up, 130 and 143 interrupted."
)]
pub(crate) struct Args {
    /// The experiment's YAML file.
    config: PathBuf,
    /// Settings that override the file's, as in `epochs=5` or `tune.direction=maximize`; ranges
    /// to search, as in `lr=loguniform[1e-5:1e-1]`.
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Trials in all, those of earlier commands included. Default: the configuration's, or 100; a
    /// grid has an end of its own.
    #[arg(long, short, value_name = "N", conflicts_with = "more", value_parser = clap::value_parser!(u64).range(1..))]
    n_trials: Option<u64>,
    /// So many trials more than the study has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    more: Option<u64>,
    /// Trials at a time; `auto` for as many as the machine has room for.
    #[arg(long, short, value_name = "N|auto")]
    jobs: Option<String>,
    /// The study's name. Default: the experiment's.
    #[arg(long, value_name = "NAME")]
    study: Option<String>,
    /// How parameters are chosen.
    #[arg(long, value_parser = PossibleValuesParser::new(SAMPLERS))]
    sampler: Option<String>,
    /// How hopeless trials are ended early.
    #[arg(long, value_parser = PossibleValuesParser::new(PRUNERS))]
    pruner: Option<String>,
    /// The time that the study has, as in `90m`.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// End the study when an objective value is as good as this.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    stop_at: Option<f64>,
    /// End the study when so many trials have failed.
    #[arg(long, value_name = "N", conflicts_with = "fail_fast")]
    max_fail: Option<u64>,
    /// End the study when a trial fails.
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    train: TrainArgs,
    /// Go on although the configuration no longer fits the study.
    #[arg(long)]
    force: bool,
    /// Show the search space and what would run, and stop.
    #[arg(long)]
    dry_run: bool,
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
    let mut experiment = args
        .overrides()?
        .into_iter()
        .fold(Experiment::from_file(&args.config), Experiment::set)
        .trials(match (args.n_trials, args.more) {
            (Some(total), _) => Trials::Total(total),
            (_, Some(more)) => Trials::More(more),
            _ => Trials::Configured,
        });
    if args.force {
        experiment = experiment.force();
    }
    if args.dry_run {
        let (loaded, plan) = experiment.plan_trials()?;
        return super::run::show_plan(&loaded, &plan, args.json).map(|()| Exit::Ok);
    }
    interrupt::listen(experiment.stop_handle()).context("signals can't be handled")?;
    let outcome = experiment.tune_with(&mut *reporter(args.json, args.quiet))?;
    Ok(outcome.exit())
}

impl Args {
    fn overrides(&self) -> anyhow::Result<Vec<String>> {
        let mut overrides = Vec::new();
        overrides.extend(self.train.settings()?);
        let texts = [
            ("tune.jobs", &self.jobs),
            ("tune.study", &self.study),
            ("tune.sampler", &self.sampler),
            ("tune.pruner", &self.pruner),
            ("tune.timeout", &self.timeout),
        ];
        for (key, value) in texts {
            overrides.extend(value.as_ref().map(|value| match key {
                // `auto` or a number.
                "tune.jobs" => format!("{key}={value}"),
                _ => assignment(key, value),
            }));
        }
        overrides.extend(self.stop_at.map(|value| format!("tune.stop_at={value}")));
        overrides.extend(self.max_fail.map(|most| format!("tune.max_fail={most}")));
        if self.fail_fast {
            overrides.push("tune.fail_fast=true".to_owned());
        }
        if self.require_tracking {
            overrides.push("mlflow.required=true".to_owned());
        }
        overrides.extend(self.overrides.iter().cloned());
        Ok(overrides)
    }
}

/// Who shows the study.
pub(super) fn reporter(json: bool, quiet: bool) -> Box<dyn StudyReporter> {
    if json {
        Box::new(StudyJson::new(stdout()))
    } else if quiet {
        Box::new(StudyPlain::new(stderr()).quiet())
    } else if stderr().is_terminal() {
        Box::new(StudyLive::new())
    } else {
        Box::new(StudyPlain::new(stderr()))
    }
}
