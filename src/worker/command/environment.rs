//! What a command finds in its environment.

use super::journal;
use crate::config::command::{template, variables};
use crate::store::files::{Durability, write_json};
use crate::store::inbox;
use explr_protocol::control::{Assignment, FD_VARIABLE};
use explr_protocol::{TrainError, template::FD_VARIABLE as TEMPLATE_FD};
use std::ffi::OsString;
use std::path::Path;

/// The worker's variables that are not the command's: what is between the
/// orchestrator and the worker alone, and what belongs to the run of an explr
/// around this one.
pub(super) fn foreign() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        [FD_VARIABLE, TEMPLATE_FD, TRIAL].contains(&&*name) || name.starts_with(variables::PREFIX)
    })
}

const TRIAL: &str = "EXPLR_TRIAL_NUMBER";

/// The variables of a run, besides those that the worker has itself. Writes
/// the file of its hyperparameters.
pub(super) fn of(
    assignment: &Assignment,
    events: &Path,
) -> Result<Vec<(String, String)>, TrainError> {
    let context = &assignment.context;
    let params = inbox::params_path(&assignment.journal);
    write_json(&params, &context.hyperparameters, Durability::Cache).map_err(journal)?;
    let path = |path: &Path| path.display().to_string();
    let mut variables = variables::of(&context.hyperparameters);
    let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
    set("EXPLR_EVENTS", path(events));
    set("EXPLR_PARAMS_FILE", path(&params));
    set("EXPLR_CHECKPOINT_DIR", path(&context.checkpoint_dir));
    set("EXPLR_ARTIFACT_DIR", path(&context.artifact_dir));
    set("EXPLR_SEED", template::seed(context).to_string());
    set("EXPLR_DEVICE", context.device.to_string());
    set("EXPLR_ATTEMPT", context.attempt.to_string());
    set("EXPLR_RESUME", u8::from(context.attempt > 1).to_string());
    if let Some(trial) = &context.trial {
        set(TRIAL, trial.number.to_string());
    }
    // Python keeps back what it prints to a pipe, for minutes.
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        set("PYTHONUNBUFFERED", "1".to_owned());
    }
    Ok(variables)
}
