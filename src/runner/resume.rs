//! Which earlier run a new one continues.

use super::RunError;
use crate::Error;
use crate::store::{Manifest, RunDir, Store};
use explr_protocol::RunState;

/// What to do about earlier runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resume {
    /// Continue the newest run with the same code name, hyperparameters, seed,
    /// if it was interrupted.
    #[default]
    Auto,
    /// Start a new run.
    Never,
    /// Continue this run, interrupted or failed.
    Run(String),
}

/// The run to continue, if there is one.
pub(super) fn find(
    store: &Store,
    resume: &Resume,
    manifest: &Manifest,
) -> Result<Option<RunDir>, Error> {
    match resume {
        Resume::Never => Ok(None),
        Resume::Run(id) => {
            let run = store.run(id)?;
            let earlier = run.manifest()?;
            if earlier.fingerprint != manifest.fingerprint {
                return Err(RunError::Differs {
                    run: run.id().to_string(),
                    differs: differences(&earlier, manifest),
                }
                .into());
            }
            if run.summary()?.state == RunState::Completed {
                return Err(RunError::Completed {
                    run: run.id().to_string(),
                }
                .into());
            }
            Ok(Some(run))
        }
        Resume::Auto => {
            for run in store.runs()?.into_iter().rev() {
                // A run that can't be read is for `explr repair`, and no
                // reason not to start another.
                let Ok(earlier) = run.manifest() else {
                    continue;
                };
                // A study looks after its trials itself.
                if earlier.study.is_some()
                    || earlier.experiment != manifest.experiment
                    || earlier.fingerprint != manifest.fingerprint
                {
                    continue;
                }
                let interrupted = run
                    .summary()
                    .is_ok_and(|summary| summary.state == RunState::Interrupted);
                return Ok((interrupted && !run.is_locked()?).then_some(run));
            }
            Ok(None)
        }
    }
}

fn differences(earlier: &Manifest, now: &Manifest) -> String {
    let mut names = Vec::new();
    if earlier.code != now.code {
        names.push("train.plugin".to_owned());
    }
    if earlier.function != now.function {
        let key = if now.code == Manifest::COMMAND {
            "command"
        } else {
            "function"
        };
        names.push(format!("train.{key}"));
    }
    if earlier.seed != now.seed {
        names.push("seed".to_owned());
    }
    let all = earlier
        .hyperparameters
        .keys()
        .chain(now.hyperparameters.keys());
    let mut hyperparameters: Vec<_> = all
        .filter(|key| earlier.hyperparameters.get(*key) != now.hyperparameters.get(*key))
        .map(|key| format!("hyperparameters.{key}"))
        .collect();
    hyperparameters.sort();
    hyperparameters.dedup();
    names.extend(hyperparameters);
    names.join(", ")
}
