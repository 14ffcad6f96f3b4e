use crate::store::RunDir;
use crate::tracking::{MLMODEL, TrackingError};

/// The artifact of a run that is its model: the one asked for, or the only one.
pub fn model_artifact(run: &RunDir, asked_for: Option<&str>) -> Result<String, TrackingError> {
    let artifacts: Vec<_> = run.summary()?.artifacts.into_iter().collect();
    let is_model = |name: &&String| {
        let path = run.artifact(name);
        path.is_ok_and(|path| path.join(MLMODEL).is_file())
    };
    let mut models: Vec<_> = artifacts.iter().filter(is_model).cloned().collect();
    let short = run.id().short().to_owned();
    let wanted = asked_for.map(|name| name.trim_end_matches('/'));
    match (wanted, models.as_slice()) {
        (Some(name), known) if known.iter().any(|model| model == name) => Ok(name.to_owned()),
        (Some(name), [_, ..]) => Err(TrackingError::NotAModel {
            run: short,
            name: name.to_owned(),
            models,
        }),
        (_, []) => Err(TrackingError::NoModelLogged {
            run: short,
            artifacts,
        }),
        (None, [_]) => Ok(models.swap_remove(0)),
        (None, _) => Err(TrackingError::SeveralModels { run: short, models }),
    }
}
