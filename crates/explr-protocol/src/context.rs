use crate::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Everything that a train function is told about its run.
///
/// The orchestrator makes it, the worker hands it to the plugin as JSON, and
/// the SDK turns it into a `TrainingContext`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunContext {
    /// The run's id in the store.
    pub run_id: String,
    /// The experiment's name.
    pub experiment: String,
    /// The name of the train function to call.
    pub function: String,
    /// Hyperparameters as given, nested ones included.
    pub hyperparameters: Map<String, Value>,
    /// Seed of every random generator.
    pub seed: u64,
    /// Where tensors should live.
    pub device: Device,
    /// Number of threads that the run may use.
    pub threads: u32,
    /// Folder for checkpoints; exists when the function is called.
    pub checkpoint_dir: PathBuf,
    /// Folder for artifacts; exists when the function is called.
    pub artifact_dir: PathBuf,
    /// 1 for the first attempt; higher after a retry or a resume.
    pub attempt: u32,
    /// Time that training may take from the start of this attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_budget: Option<f64>,
    /// The trial of a study that this run is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialRef>,
}

/// Names a trial of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialRef {
    /// The study's name.
    pub study: String,
    /// The trial's id in the study's storage.
    pub id: u64,
    /// The trial's number within its study, from 0.
    pub number: u64,
}
