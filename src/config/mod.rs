//! What the user asked for, typed and checked.
//!
//! In: a YAML file, `EXPLR_*` variables and `key=value` arguments, each later
//! one taking precedence. Out: [`Loaded`], whose [`Config`] has passed every
//! check, or a [`ConfigError`] with everything that is wrong.
//!
//! The text becomes a tree whose nodes know where they were written (`yaml`),
//! the overrides are put into it (`overrides`), and it is compared with the
//! JSON Schema of the types in `model` (`check`) and with the rules that a
//! schema can't express (`rules`). Only then serde makes a [`Config`] of it.
//!
//! This keeps promise P10: bad input of any kind gives errors with file, line,
//! column, the text and a suggestion, all of them at once, and hostile input
//! costs no more than that.

mod address;
mod check;
mod device;
pub mod interpolate;
mod load;
mod model;
mod names;
mod node;
mod overrides;
mod path;
mod problem;
mod read;
pub mod redact;
mod remedy;
mod render;
mod rules;
mod scalar;
mod schema;
mod seconds;
mod source;
mod suggest;
mod vocabulary;
mod yaml;
mod yaml_error;

pub use device::DeviceChoice;
pub use load::{Loaded, from_config, from_str, load};
pub use model::{Config, Mlflow, Resources, Train, WorkerConfig};
pub use overrides::RESERVED;
pub use problem::ConfigError;
pub use render::Style;
pub use schema::{schema, schema_text};
pub use seconds::Seconds;

use load::{locate, tidy};
