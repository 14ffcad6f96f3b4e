//! Hyperparameters from elsewhere: a file, or a trial of a study.

use super::run::assignment;
use super::runs::StoreArgs;
use anyhow::{Context, bail};
use explr::Experiment;
use explr::store::{RunId, Store};
use explr::tuning::export;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The settings that a file stands for: a map of hyperparameters, or what
/// `explr study best` prints, with the map under `params`.
pub(super) fn from_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} can't be read"))?;
    anyhow::ensure!(
        text.len() as u64 <= MAX_BYTES,
        "{shown} is larger than 1 MiB"
    );
    let read: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{shown} is neither YAML nor JSON"))?;
    let params = match read {
        Value::Object(mut map) => match map.remove("params") {
            Some(Value::Object(params)) => params,
            Some(_) => bail!("{shown}: `params` is not a map of hyperparameters"),
            None => map,
        },
        _ => bail!("{shown} is not a map of hyperparameters"),
    };
    Ok(settings(params))
}

/// What `STUDY#NUMBER` stands for: a configuration file and settings, which are
/// all hyperparameters of the trial's run, and its seed. The study is in the
/// store of `config`; without one it is in the store of this folder, and the
/// file is the one that the trial was run with.
pub(super) fn from_trial(
    config: Option<&Path>,
    overrides: &[String],
    trial: &str,
) -> anyhow::Result<(PathBuf, Vec<String>)> {
    let (study, number) = trial_name(trial)
        .with_context(|| format!("`{trial}` names no trial: write STUDY#NUMBER"))?;
    let store = match config {
        Some(config) => {
            let experiment = Experiment::from_file(config);
            let experiment = overrides.iter().cloned().fold(experiment, Experiment::set);
            let (_, plan) = experiment.plan()?;
            Store::existing(&plan.store)
        }
        None => StoreArgs::of_here().open(),
    }
    .map_err(explr::Error::from)?;
    let (name, journal) = super::study::find(&store, Some(study))?;
    let history = super::study::load(&journal, &name)?;
    let Some(trial) = history.trial(number) else {
        bail!(
            "study {study} has no trial {number}; it has {}",
            history.trials().len()
        );
    };
    let run = export::run_of(trial)
        .and_then(|id| id.parse::<RunId>().ok())
        .and_then(|id| store.run(id.as_str()).ok());
    let manifest = run.map(|run| run.manifest()).transpose();
    let manifest = manifest.map_err(explr::Error::from)?;
    let recorded = manifest
        .as_ref()
        .and_then(|manifest| manifest.config_file.as_deref());
    let Some(file) = config.or(recorded) else {
        bail!(
            "trial {number} of study {study} was not run with a configuration file: write `explr \
             run CONFIG --from-trial {study}#{number}`"
        );
    };
    // The run knows more, but a trial of another program has none.
    let mut settings = match manifest.as_ref() {
        Some(manifest) => {
            let mut settings = settings(manifest.hyperparameters.clone());
            settings.push(format!("seed={}", manifest.seed));
            settings
        }
        None => settings(trial.external_params()),
    };
    if config.is_none() {
        settings.push(assignment("store", &store.root().display().to_string()));
    }
    Ok((file.to_owned(), settings))
}

/// The study and number in `STUDY#NUMBER`.
pub(super) fn trial_name(text: &str) -> Option<(&str, u64)> {
    let (study, number) = text.rsplit_once('#')?;
    Some((study, number.parse().ok()?))
}

fn settings(params: impl IntoIterator<Item = (String, Value)>) -> Vec<String> {
    params
        .into_iter()
        .map(|(name, value)| format!("hyperparameters.{name}={value}"))
        .collect()
}
