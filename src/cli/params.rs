//! Hyperparameters from elsewhere: a file, or a trial of a study.

use anyhow::{Context, bail};
use explr::Experiment;
use explr::store::{RunId, Store};
use explr::tuning::export;
use serde_json::Value;
use std::path::Path;

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

/// The settings that `STUDY#NUMBER` stands for, in the store of `config`: all
/// hyperparameters of the trial's run, and its seed.
pub(super) fn from_trial(config: &Path, trial: &str) -> anyhow::Result<Vec<String>> {
    let (study, number) = trial
        .rsplit_once('#')
        .and_then(|(study, number)| Some((study, number.parse::<u64>().ok()?)))
        .with_context(|| format!("`{trial}` names no trial: write STUDY#NUMBER"))?;
    let (_, plan) = Experiment::from_file(config).plan()?;
    let store = Store::existing(&plan.store).map_err(explr::Error::from)?;
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
    // The run knows more, but a trial of another program has none.
    let Some(run) = run else {
        return Ok(settings(trial.external_params()));
    };
    let manifest = run.manifest().map_err(explr::Error::from)?;
    let mut settings = settings(manifest.hyperparameters);
    settings.push(format!("seed={}", manifest.seed));
    Ok(settings)
}

fn settings(params: impl IntoIterator<Item = (String, Value)>) -> Vec<String> {
    params
        .into_iter()
        .map(|(name, value)| format!("hyperparameters.{name}={value}"))
        .collect()
}
