use crate::cli::params::trial_name;
use crate::cli::study;
use anyhow::{Context, bail};
use explr::store::{RunDir, Store};
use explr::tuning::export;
use explr_study::{History, Trial};

/// The run that is meant by its id, by `STUDY#NUMBER`, or by `best of STUDY`.
pub(super) fn run(store: &Store, name: &str) -> anyhow::Result<RunDir> {
    if let Some(study) = name.strip_prefix("best of ") {
        let history = history(store, study)?;
        if history.directions().len() > 1 {
            bail!(
                "study {study} has several objectives, and no trial is best in all of them: \
                 `explr study best {study}` lists the candidates, to be given as {study}#NUMBER"
            );
        }
        let best = history.best();
        let best = best.with_context(|| format!("no trial of study {study} is complete"))?;
        return of_trial(store, study, best);
    }
    let Some((study, number)) = trial_name(name) else {
        return Ok(store.run(name)?);
    };
    let history = history(store, study)?;
    let trial = history.trial(number).with_context(|| {
        let count = history.trials().len();
        format!("study {study} has no trial {number}; it has {count}")
    })?;
    of_trial(store, study, trial)
}

fn history(store: &Store, study: &str) -> anyhow::Result<History> {
    let (name, journal) = study::find(store, Some(study))?;
    study::load(&journal, &name)
}

fn of_trial(store: &Store, study: &str, trial: &Trial) -> anyhow::Result<RunDir> {
    let number = trial.number;
    let run = export::run_of(trial).and_then(|id| store.run(id).ok());
    run.with_context(|| format!("the run of trial {number} of study {study} is not in the store"))
}
