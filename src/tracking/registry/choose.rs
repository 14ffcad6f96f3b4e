//! Which of a run's models is meant.

use crate::store::{RunDir, StoreError};
use crate::tracking::{MLMODEL, TrackingError};
use std::collections::BTreeSet;

/// The artifacts of a run that are models.
pub(super) fn model_artifacts(run: &RunDir) -> Result<BTreeSet<String>, StoreError> {
    let is_model = |name: &String| {
        let path = run.artifact(name);
        path.is_ok_and(|path| path.join(MLMODEL).is_file())
    };
    let artifacts = run.summary()?.artifacts;
    Ok(artifacts.into_iter().filter(is_model).collect())
}

/// The model that was asked for, or the only one.
pub(super) fn choose(
    run: &RunDir,
    models: BTreeSet<String>,
    asked_for: Option<&str>,
) -> Result<String, TrackingError> {
    let short = run.id().short().to_owned();
    let mut models: Vec<_> = models.into_iter().collect();
    if models.is_empty() {
        let artifacts = run.summary()?.artifacts.into_iter().collect();
        return Err(TrackingError::NoModelLogged {
            run: short,
            artifacts,
        });
    }
    match asked_for.map(|name| name.trim_end_matches('/')) {
        Some(name) if models.iter().any(|model| model == name) => Ok(name.to_owned()),
        Some(name) => Err(TrackingError::NotAModel {
            run: short,
            name: name.to_owned(),
            models,
        }),
        None if models.len() == 1 => Ok(models.swap_remove(0)),
        None => Err(TrackingError::SeveralModels { run: short, models }),
    }
}
