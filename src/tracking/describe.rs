//! A run of the store in MLflow's words.

use super::api::{NewRun, RUN_UUID, RunStatus};
use super::batch::{Pair, cut_tag};
use super::settings::without_credentials;
use crate::store::Manifest;
use explr_protocol::{Failure, RunState};

/// Tag that says why a run failed or was interrupted.
pub(super) const FAILURE: &str = "explr.failure";

/// The run to create at the server.
pub(super) fn new_run(manifest: &Manifest, experiment_id: &str) -> NewRun {
    let mut tags = vec![
        pair(RUN_UUID, manifest.run_id.as_str()),
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
    if let Some(text) = &manifest.description {
        tags.push(pair("mlflow.note.content", text));
    }
    if let Some(version) = manifest.versions.get("explr") {
        tags.push(pair("explr.version", version));
    }
    tags.push(pair("explr.device", &manifest.device.to_string()));
    tags.push(pair("explr.host", &manifest.host.name));
    tags.push(pair("explr.seed", &manifest.seed.to_string()));
    if let Some(parent) = manifest.tags.get("mlflow.parentRunId") {
        tags.push(pair("mlflow.parentRunId", parent));
    }
    NewRun {
        experiment_id: experiment_id.to_owned(),
        run_name: run_name(manifest),
        start_time: manifest.created_ms,
        user_id: manifest.host.user.clone(),
        tags,
    }
}

/// What `explr runs` calls it too; the config may give another name.
fn run_name(manifest: &Manifest) -> String {
    manifest
        .tags
        .get("mlflow.runName")
        .cloned()
        .unwrap_or_else(|| manifest.run_id.short().to_owned())
}

fn source_name(manifest: &Manifest) -> String {
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
