//! From the configuration of a study to its parts.

use super::objective::Objective;
use super::sweep::{self, Chosen, Listed};
use crate::Error;
use crate::config::{Config, GridPoints, OrAuto, PrunerConfig, SamplerConfig, Tune, flat};
use crate::runner::Jobs;
use explr_study::pruner::{
    HyperbandOptions, PatientOptions, PercentileOptions, PrunerError, SuccessiveHalvingOptions,
    ThresholdOptions, WilcoxonOptions,
};
use explr_study::{Pruner, Sampler, SearchSpace, Study, StudyError, pruner, sampler};
use serde_json::Value;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

/// Note of a study: how many of the configuration's trials are enqueued.
const ENQUEUED: &str = "explr:enqueued";

/// The study, new or gone on with.
pub(super) fn study(config: &Config, journal: &Path, force: bool) -> Result<Study, Error> {
    let directions: Vec<_> = objectives(&config.tune)
        .iter()
        .map(|objective| objective.direction)
        .collect();
    let mut builder = Study::builder(config.study_name())
        .directions(directions)
        .space(config.search_space().clone())
        .sampler(sampler_of(
            &config.tune.sampler,
            config.search_space(),
            config.seed,
        ))
        .pruner(pruner_of(&config.tune.pruner).map_err(StudyError::from)?)
        .seed(config.seed)
        .journal(journal);
    if force {
        builder = builder.force();
    }
    Ok(builder.build()?)
}

/// The study that remembers a sweep.
pub(super) fn sweep(
    name: &str,
    config: &Config,
    journal: &Path,
    all: &[Chosen],
) -> Result<Study, Error> {
    let space = sweep::space(all).map_err(StudyError::from)?;
    let study = Study::builder(name)
        .directions([config.tune.direction.unwrap_or_default()])
        .space(space)
        .sampler(Listed::new(all.to_vec()))
        .seed(config.seed)
        .journal(journal)
        .build()?;
    Ok(study)
}

/// What is looked at of each trial's result.
pub(super) fn objectives(tune: &Tune) -> Vec<Objective> {
    if tune.objectives.is_empty() {
        return vec![Objective {
            metric: tune.metric.clone(),
            direction: tune.direction.unwrap_or_default(),
            explicit: tune.direction.is_some(),
        }];
    }
    let objectives = tune.objectives.iter();
    objectives
        .map(|objective| Objective {
            metric: Some(objective.metric.clone()),
            direction: objective.direction,
            explicit: true,
        })
        .collect()
}

/// Enqueues the trials of the configuration that are not enqueued yet.
pub(super) fn enqueue(study: &mut Study, tune: &Tune) -> Result<(), Error> {
    let done = study
        .history()
        .user_attrs()
        .get(ENQUEUED)
        .and_then(Value::as_u64)
        .unwrap_or(0);
    for (index, params) in (1..).zip(&tune.enqueue) {
        if index > done {
            study.enqueue(flat(params).into_iter().collect())?;
            study.set_attr(ENQUEUED, index.into())?;
        }
    }
    Ok(())
}

pub(super) fn jobs(tune: &Tune) -> Jobs {
    match tune.jobs {
        OrAuto::Auto => Jobs::Auto,
        OrAuto::Number(number) => Jobs::Count(number.get()),
    }
}

/// Trials of a study for which nobody says how many.
const TRIALS: u32 = 100;

/// Trials in all; none where the sampler knows.
pub(super) fn trials(tune: &Tune) -> Option<u64> {
    let total = match (tune.n_trials, &tune.sampler) {
        (None, SamplerConfig::Grid { .. }) => None,
        (total, _) => Some(total.unwrap_or(TRIALS)),
    };
    total.map(u64::from)
}

/// Failed trials at which the study gives up.
pub(super) fn max_fail(tune: &Tune) -> Option<u64> {
    if tune.fail_fast {
        return Some(1);
    }
    tune.max_fail.map(u64::from)
}

fn sampler_of(config: &SamplerConfig, space: &SearchSpace, seed: u64) -> Box<dyn Sampler> {
    match config {
        SamplerConfig::Tpe {
            n_startup_trials,
            multivariate: true,
        } => Box::new(sampler::Tpe::new(seed, *n_startup_trials as usize)),
        SamplerConfig::Tpe {
            n_startup_trials,
            multivariate: false,
        } => Box::new(sampler::Univariate::new(*n_startup_trials as usize)),
        SamplerConfig::Random {} => Box::new(sampler::Random),
        SamplerConfig::Grid { points } => Box::new(sampler::Grid::new(match points {
            None => BTreeMap::new(),
            Some(GridPoints::All(count)) => space
                .parameters()
                .iter()
                .filter(|parameter| {
                    parameter
                        .distribution()
                        .is_some_and(|it| it.count().is_none())
                })
                .map(|parameter| (parameter.name.clone(), count.get()))
                .collect(),
            Some(GridPoints::Each(each)) => each
                .iter()
                .map(|(name, count)| (name.clone(), count.get()))
                .collect(),
        })),
        SamplerConfig::Qmc {} => Box::new(sampler::Qmc::new(seed)),
        SamplerConfig::Cmaes {} => Box::new(sampler::CmaEs::new(seed)),
        SamplerConfig::Gp {} => Box::new(sampler::Gp::new(seed)),
    }
}

fn pruner_of(config: &PrunerConfig) -> Result<Box<dyn Pruner>, PrunerError> {
    let percentile =
        |startup: u32, warmup: u32, interval: NonZeroU32, least: NonZeroU32| PercentileOptions {
            n_startup_trials: startup.into(),
            n_warmup_steps: warmup.into(),
            interval_steps: interval.get().into(),
            n_min_trials: least.get().into(),
        };
    Ok(match config {
        PrunerConfig::None => Box::new(pruner::Never),
        PrunerConfig::Median {
            n_startup_trials,
            n_warmup_steps,
            interval_steps,
            n_min_trials,
        } => Box::new(pruner::Median::new(percentile(
            *n_startup_trials,
            *n_warmup_steps,
            *interval_steps,
            *n_min_trials,
        ))?),
        PrunerConfig::Percentile {
            percentile: percent,
            n_startup_trials,
            n_warmup_steps,
            interval_steps,
            n_min_trials,
        } => Box::new(pruner::Percentile::new(
            *percent,
            percentile(
                *n_startup_trials,
                *n_warmup_steps,
                *interval_steps,
                *n_min_trials,
            ),
        )?),
        PrunerConfig::Asha {
            min_resource,
            reduction_factor,
            min_early_stopping_rate,
        } => Box::new(pruner::SuccessiveHalving::new(SuccessiveHalvingOptions {
            min_resource: number(*min_resource),
            reduction_factor: u64::from(*reduction_factor),
            min_early_stopping_rate: *min_early_stopping_rate,
        })?),
        PrunerConfig::Hyperband {
            min_resource,
            max_resource,
            reduction_factor,
        } => Box::new(pruner::Hyperband::new(HyperbandOptions {
            min_resource: min_resource.get().into(),
            max_resource: number(*max_resource),
            reduction_factor: u64::from(*reduction_factor),
        })?),
        PrunerConfig::Threshold {
            lower,
            upper,
            n_warmup_steps,
            interval_steps,
        } => Box::new(pruner::Threshold::new(ThresholdOptions {
            lower: *lower,
            upper: *upper,
            n_warmup_steps: u64::from(*n_warmup_steps),
            interval_steps: interval_steps.get().into(),
        })?),
        PrunerConfig::Patient {
            wrapped,
            patience,
            min_delta,
        } => {
            let wrapped = wrapped.as_deref().map(pruner_of).transpose()?;
            let options = PatientOptions {
                patience: u64::from(*patience),
                min_delta: *min_delta,
            };
            Box::new(pruner::Patient::new(wrapped, options)?)
        }
        PrunerConfig::Wilcoxon {
            p_threshold,
            n_startup_steps,
        } => Box::new(pruner::Wilcoxon::new(WilcoxonOptions {
            p_threshold: *p_threshold,
            n_startup_steps: u64::from(*n_startup_steps),
        })?),
    })
}

fn number(given: OrAuto) -> Option<u64> {
    match given {
        OrAuto::Auto => None,
        OrAuto::Number(number) => Some(number.get().into()),
    }
}
