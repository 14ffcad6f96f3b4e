//! A run of the store in MLflow's words.

use super::api::{NewRun, RUN_UUID, RunStatus};
use super::batch::{Pair, cut_tag};
use super::settings::without_credentials;
use crate::store::{Manifest, StudyRef, StudyRole};
use explr_protocol::{Failure, RunState};

/// Tag that says why a run failed or was interrupted.
pub(super) const FAILURE: &str = "explr.failure";

/// Tag with the state of a trial: MLflow has no word for one that was pruned.
pub(super) const TRIAL_STATE: &str = "explr.trial.state";

/// Tag that nests a run under another one.
pub(super) const PARENT: &str = "mlflow.parentRunId";

const NAME: &str = "mlflow.runName";

/// Tags that a trial has of its study and number, whatever the config says,
/// which speaks of the study as a whole.
pub(super) const OF_A_TRIAL: [&str; 2] = [PARENT, NAME];

/// The run to create at the server. `parent` is the study's run there.
pub(super) fn new_run(manifest: &Manifest, experiment_id: &str, parent: Option<&str>) -> NewRun {
    let mut tags = vec![pair(RUN_UUID, manifest.run_id.as_str())];
    tags.extend(source(manifest));
    let is_trial = manifest.parent().is_some();
    if let Some(text) = manifest.description.as_ref().filter(|_| !is_trial) {
        tags.push(pair("mlflow.note.content", text));
    }
    if let Some(version) = manifest.versions.get("explr") {
        tags.push(pair("explr.version", version));
    }
    tags.push(pair("explr.device", &manifest.device.to_string()));
    tags.push(pair("explr.host", &manifest.host.name));
    tags.push(pair("explr.seed", &manifest.seed.to_string()));
    if let Some(place) = &manifest.study {
        tags.extend(study_tags(place));
    }
    let configured = manifest.tags.get(PARENT).filter(|_| !is_trial);
    if let Some(parent) = parent.or(configured.map(String::as_str)) {
        tags.push(pair(PARENT, parent));
    }
    NewRun {
        experiment_id: experiment_id.to_owned(),
        run_name: run_name(manifest),
        start_time: manifest.created_ms,
        user_id: manifest.host.user.clone(),
        tags,
    }
}

/// Tags that say whose code it was, of a run and of its models.
pub(super) fn source(manifest: &Manifest) -> Vec<Pair> {
    let mut tags = vec![
        pair("mlflow.user", &manifest.host.user),
        pair("mlflow.source.name", &source_name(manifest)),
        pair("mlflow.source.type", "LOCAL"),
    ];
    if let Some(git) = &manifest.git {
        tags.push(pair("mlflow.source.git.commit", &git.commit));
        let dirty = if git.dirty { "true" } else { "false" };
        tags.push(pair("mlflow.source.git.dirty", dirty));
        if let Some(branch) = &git.branch {
            tags.push(pair("mlflow.source.git.branch", branch));
        }
        if let Some(remote) = &git.remote {
            let remote = without_credentials(remote);
            tags.push(pair("mlflow.source.git.repoURL", &remote));
        }
    }
    tags
}

fn study_tags(place: &StudyRef) -> [Pair; 2] {
    let what = match place.role {
        StudyRole::Study => pair("explr.kind", "study"),
        StudyRole::Trial { number, .. } => pair("explr.trial.number", &number.to_string()),
    };
    [pair("explr.study", &place.study), what]
}

/// The study's name or the trial's number, else what `explr runs` calls it
/// too; the config may give another name to all but trials.
fn run_name(manifest: &Manifest) -> String {
    let place = manifest.study.as_ref();
    if let Some(StudyRole::Trial { number, .. }) = place.map(|place| &place.role) {
        return format!("trial {number}");
    }
    let name = manifest.tags.get(NAME).or(place.map(|place| &place.study));
    name.map_or(manifest.run_id.short(), String::as_str)
        .to_owned()
}

fn source_name(manifest: &Manifest) -> String {
    if manifest.code == Manifest::COMMAND {
        return manifest.function.clone();
    }
    format!("{}:{}", manifest.code, manifest.function)
}

fn pair(key: &str, value: &str) -> Pair {
    Pair {
        key: key.to_owned(),
        value: cut_tag(value).unwrap_or_else(|| value.to_owned()),
    }
}

/// MLflow's word for a state; none before anything runs.
pub(super) fn status(state: RunState) -> Option<RunStatus> {
    match state {
        RunState::Created => None,
        RunState::Running => Some(RunStatus::Running),
        RunState::Completed | RunState::Pruned => Some(RunStatus::Finished),
        RunState::Failed => Some(RunStatus::Failed),
        RunState::Interrupted => Some(RunStatus::Killed),
    }
}

/// The value of the [`FAILURE`] tag.
pub(super) fn failure_text(failure: &Failure) -> String {
    let place = failure
        .location
        .as_ref()
        .map_or(String::new(), |location| format!(" ({location})"));
    let text = format!("{}: {}{place}", failure.class, failure.message);
    cut_tag(&text).unwrap_or(text)
}
