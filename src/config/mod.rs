//! What the user asked for, typed and checked.
//!
//! In: a YAML file, `EXPLR_*` variables and `key=value` arguments, each later
//! one taking precedence. Out: [`Loaded`], whose [`Config`] has passed every
//! check, or a [`ConfigError`] with everything that is wrong.
//!
//! The text becomes a tree whose nodes know where they were written (`yaml`),
//! the overrides are put into it (`overrides`), and it is compared with the
//! JSON Schema of the types in `model` (`check`) and with the rules that a
//! schema can't express (`rules`, `tune_rules`, `sweep_rules`; `command` for
//! experiments that are one, `space` for the search space). Only then serde makes a [`Config`] of it.
//!
//! This keeps promise P10: bad input of any kind gives errors with file, line,
//! column, the text and a suggestion, all of them at once, and hostile input
//! costs no more than that.

mod address;
mod check;
pub(crate) mod command;
mod device;
pub mod interpolate;
mod load;
mod model;
mod named;
pub(crate) mod names;
pub(crate) mod node;
mod or_auto;
mod overrides;
mod params;
mod path;
pub(crate) mod problem;
mod pruner;
pub(crate) mod python;
pub(crate) mod read;
pub mod redact;
pub(crate) mod remedy;
mod render;
mod rules;
mod sampler;
mod scalar;
mod schema;
mod seconds;
pub(crate) mod source;
mod space;
pub(crate) mod suggest;
mod sweep;
mod sweep_rules;
mod tune;
mod tune_rules;
mod vocabulary;
pub(crate) mod yaml;
mod yaml_error;

pub use command::Metrics;
pub use device::DeviceChoice;
pub use load::{Loaded, SweepRun, from_config, from_str, load};
pub use model::{Config, CudaOom, Mlflow, Resources, Start, Train, WorkerConfig};
pub use or_auto::OrAuto;
pub use overrides::RESERVED;
pub use params::flat;
pub use problem::ConfigError;
pub use pruner::PrunerConfig;
pub use render::Style;
pub use sampler::{GridPoints, SamplerConfig};
pub use schema::{schema, schema_text};
pub use seconds::Seconds;
pub use space::SpaceConfig;
pub use sweep::{Combination, Sweep};
pub use tune::{Objective, Tune};

use load::{locate, tidy};
