use super::{DeviceChoice, Metrics, Seconds, SpaceConfig, Sweep, Tune};
use explr_protocol::FailureClass;
use explr_protocol::control::Call;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An experiment, as its YAML file describes it.
///
/// The doc comments here are the reference documentation: they go into the
/// JSON Schema that editors show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the experiment, in the store and in MLflow. Neither `/` nor `:`.
    #[schemars(length(min = 1, max = 500), regex(pattern = "^[^/:]+$"))]
    pub experiment: String,
    /// What the experiment is about. Markdown; shown by MLflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags of every run of the experiment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The train function.
    #[serde(default)]
    pub train: Train,
    /// Hyperparameters: any JSON values, nested ones included.
    #[serde(default)]
    pub hyperparameters: Map<String, Value>,
    /// Hyperparameters that `explr tune` searches for, and their ranges.
    #[serde(default, skip_serializing_if = "SpaceConfig::is_empty")]
    pub search_space: SpaceConfig,
    /// How `explr tune` searches.
    #[serde(default)]
    pub tune: Tune,
    /// The runs of `explr sweep`.
    #[serde(default, skip_serializing_if = "Sweep::is_empty")]
    pub sweep: Sweep,
    /// Seed of every random generator.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Where to train: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[serde(default)]
    pub device: DeviceChoice,
    /// What a run may use of the machine.
    #[serde(default)]
    pub resources: Resources,
    /// Minutes that a run may take: the train function can ask how much of it
    /// is left. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 5_256_000))]
    pub time_budget_minutes: Option<f64>,
    /// How the worker process is run.
    #[serde(default)]
    pub worker: WorkerConfig,
    /// Folder for checkpoints, a sub-folder for each run. Default: the run's own folder in
    /// the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_dir: Option<PathBuf>,
    /// MLflow: `off`, or its settings.
    #[serde(default, deserialize_with = "mlflow_or_switch")]
    #[schemars(schema_with = "mlflow_schema")]
    pub mlflow: Mlflow,
    /// Folder of the store, relative to this file.
    #[serde(default = "default_store")]
    pub store: PathBuf,
}

/// `off` and `on`, and the booleans, are short for the settings.
fn mlflow_or_switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mlflow, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Switch(bool),
        Word(String),
        Settings(Mlflow),
    }
    let enabled = match Written::deserialize(deserializer)? {
        Written::Settings(settings) => return Ok(settings),
        Written::Switch(enabled) => enabled,
        Written::Word(word) if word == "on" => true,
        Written::Word(word) if word == "off" => false,
        Written::Word(word) => {
            return Err(serde::de::Error::custom(format!(
                "`mlflow` must be `off`, `on` or a map of settings, not `{word}`"
            )));
        }
    };
    Ok(Mlflow {
        enabled,
        ..Mlflow::default()
    })
}

fn mlflow_schema(generator: &mut SchemaGenerator) -> Schema {
    let settings = generator.subschema_for::<Mlflow>();
    json_schema!({
        "description": "MLflow: `off`, or its settings.",
        "anyOf": [settings, { "enum": ["off", "on", false, true] }],
    })
}

fn default_seed() -> u64 {
    42
}

fn default_store() -> PathBuf {
    PathBuf::from(".explr")
}

/// Where the train function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// A plugin (`.so`) or the folder of a plugin crate, relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PathBuf>,
    /// Name of the train function in the plugin; or a function of Python, as
    /// `module:function` or `path/to/file.py:function`.
    #[serde(default = "default_function")]
    pub function: String,
    /// Instead of a train function an objective of Optuna, as
    /// `module:objective` or `path/to/file.py:objective`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The Python interpreter. Default: that of the active virtual
    /// environment, of a `.venv` in this file's folder or above it, of the uv
    /// project there, or `python3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// A program and its arguments, instead of a plugin. `{name}` stands for a
    /// hyperparameter, and for `seed`, `run_id`, `checkpoint_dir`,
    /// `artifact_dir` and `trial_number`; `{{` and `}}` are the braces
    /// themselves. Its working folder is that of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where the metrics of a command are that knows nothing of explr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            plugin: None,
            function: default_function(),
            objective: None,
            python: None,
            command: None,
            metrics: None,
        }
    }
}

fn default_function() -> String {
    "train_model".to_owned()
}

impl Train {
    /// The function of Python that is to be called, and how; none for a
    /// plugin.
    pub fn python_function(&self) -> Option<(&str, Call)> {
        match &self.objective {
            Some(objective) => Some((objective, Call::Objective)),
            None if self.plugin.is_none() && self.function.contains(':') => {
                Some((&self.function, Call::Function))
            }
            None => None,
        }
    }
}

/// What a run may use of the machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPU cores, which is also the number of threads. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// GPUs, or a part of one that trials share. Default: what `device` needs.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "whole_if_it_is"
    )]
    #[schemars(range(min = 0))]
    pub gpus: Option<f64>,
    /// Limit of the memory that the runs on a GPU share, in GB (10^9 bytes);
    /// 0 for none. Default: what `explr memory` has stored, else 24; always
    /// less than the card has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpu_memory_gb: Option<f64>,
}

impl Resources {
    /// How many trials share a GPU.
    pub fn trials_per_gpu(&self) -> u64 {
        match self.gpus {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // At least 1.
            Some(part) if part > 0.0 && part < 1.0 => (1.0 / part + 1e-9).floor() as u64,
            _ => 1,
        }
    }
}

/// `1` is easier to read than `1.0`.
#[allow(clippy::ref_option)] // As serde wants it.
fn whole_if_it_is<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is small.
        Some(number) if number.fract() == 0.0 && (0.0..1e9).contains(number) => {
            serializer.serialize_u32(*number as u32)
        }
        other => other.serialize(serializer),
    }
}

/// How the worker process is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Longest time for one attempt. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// The worker counts as hung when it was silent for this long.
    pub heartbeat_timeout: Seconds,
    /// The worker counts as hung when it logged nothing and reported no
    /// progress for this long. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout: Option<Seconds>,
    /// Time between the request to stop and SIGKILL.
    pub grace: Seconds,
    /// How often a failed attempt is repeated, from its newest checkpoint.
    pub retries: u32,
    /// The failures that are repeated.
    pub retry_on: Vec<FailureClass>,
    /// How a worker begins.
    pub start: Start,
    /// What becomes of a run that needs more memory than the GPU has.
    pub cuda_oom: CudaOom,
    /// Further environment variables of the worker.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            timeout: None,
            heartbeat_timeout: Seconds(Duration::from_mins(1)),
            progress_timeout: None,
            grace: Seconds(Duration::from_secs(10)),
            retries: 0,
            retry_on: vec![FailureClass::Signal, FailureClass::Abort],
            start: Start::default(),
            cuda_oom: CudaOom::default(),
            env: BTreeMap::new(),
        }
    }
}

/// How a worker begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// As a fork where that is safe, else as a fresh process.
    #[default]
    Auto,
    /// As a fork of a process that has loaded the train function.
    Fork,
    /// As a process of its own.
    Fresh,
}

/// What becomes of a run that needs more memory than the GPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CudaOom {
    /// It has failed.
    #[default]
    Fail,
    /// It is pruned: its parameters are no good on this machine.
    Prune,
    /// It is repeated, as often as `retries` says.
    Retry,
}

/// Settings of MLflow.
#[allow(clippy::struct_excessive_bools)] // Switches that have nothing to do with each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mlflow {
    /// Ship runs to MLflow at all. `mlflow: off` sets it to false.
    pub enabled: bool,
    /// Address of a server. Default: `MLFLOW_TRACKING_URI`, else a server of
    /// the store's own. `file:` addresses mean the journal alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_uri: Option<String>,
    /// Start a server when no address is given and none runs.
    pub auto_start: bool,
    /// Port of the server that is started. Default: 5000, or the next free
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Folder of the artifacts of the server that is started, relative to
    /// this file. Default: in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_root: Option<PathBuf>,
    /// Fail when the server can't be reached.
    pub required: bool,
    /// Log system metrics: CPU, memory, disk, network, GPU.
    pub system_metrics: bool,
    /// Time between two samples of the system metrics.
    pub system_metrics_interval: Seconds,
    /// How long the end of a run waits for the rest to be shipped.
    pub sync_timeout: Seconds,
}

impl Default for Mlflow {
    fn default() -> Self {
        Self {
            enabled: true,
            tracking_uri: None,
            auto_start: true,
            port: None,
            artifact_root: None,
            required: false,
            system_metrics: true,
            system_metrics_interval: Seconds(Duration::from_secs(10)),
            sync_timeout: Seconds(Duration::from_mins(1)),
        }
    }
}
