//! Write train functions that explr runs.
//!
//! A train function takes a [`TrainingContext`] and returns a
//! [`TrainingResult`]. One macro makes a crate of type `cdylib` a plugin:
//!
//! ```
//! use explr_sdk::{Result, TrainingContext, TrainingResult};
//!
//! fn train_model(ctx: &mut TrainingContext) -> Result<TrainingResult> {
//!     let lr = ctx.f64("lr")?;
//!     let epochs = ctx.u64_or("epochs", 10)?;
//!     let mut weight = 0.0;
//!     for epoch in ctx.epochs(0..epochs) {
//!         weight -= lr * 2.0 * (weight - 3.0);
//!         ctx.tracker().log_metric("val_loss", (weight - 3.0_f64).powi(2), epoch)?;
//!     }
//!     Ok(TrainingResult::new((weight - 3.0).powi(2)).epochs(epochs))
//! }
//!
//! explr_sdk::export!(train_model);
//! # fn main() {}
//! ```
//!
//! What flows in is the run's [context](TrainingContext); what flows out goes
//! through the [`Tracker`] into the run's journal, and is safe when the call
//! returns. Nothing here opens a network connection or waits for one.
//!
//! With the feature `torch` (the default) the crate also has `torch`-typed
//! devices, models, optimisers and exact checkpoints; without it there is no
//! libtorch at all. `explr_sdk::tch` is the version of tch to use with it.

mod artifact;
mod context;
#[cfg(feature = "torch")]
pub mod data;
mod entry;
mod epochs;
mod error;
mod export;
mod function;
mod host;
pub mod memory;
mod names;
mod panics;
mod params;
mod report;
mod result;
mod resume;
pub mod scheduler;
mod suggest;
#[cfg(feature = "torch")]
mod torch;
mod tracker;
#[cfg(feature = "torch")]
pub mod trainer;

pub use context::TrainingContext;
pub use epochs::Epochs;
pub use error::{Error, Result};
pub use explr_protocol::{Dataset, Device as DeviceSpec, Direction, LogLevel, TrialRef};
pub use function::Function;
pub use params::ParamError;
pub use report::{Pruned, ReportError};
pub use result::TrainingResult;
pub use suggest::{SuggestCategorical, SuggestError, SuggestFloat, SuggestInt};
pub use tracker::{LogError, Tracker};

#[cfg(feature = "torch")]
pub use tch;
#[cfg(feature = "torch")]
pub use torch::{
    checkpoint::{CheckpointError, Checkpoints, Resumed},
    metrics, model, numerics,
    optimizer::{Adagrad, Algorithm, Lbfgs, Optimizer, groups},
    quantize,
};

/// What [`export!`] expands to needs these; nobody else does.
#[doc(hidden)]
pub mod __private {
    pub use crate::entry::{SDK_VERSION, TORCH_VERSION, call};
    pub use explr_protocol::abi;
}
