//! Hyperparameter search that works alone: no worker, no server, no files
//! unless asked for.
//!
//! A [`Study`] looks for the parameters of a [`SearchSpace`] that make an
//! objective small or large. It asks a [`Sampler`] for the parameters of the
//! next trial, lets a [`Pruner`] end hopeless trials early, and remembers
//! everything in its [`History`], in memory or in a journal file that Optuna
//! reads and writes too.
//!
//! ```
//! use explr_study::{SearchSpace, Study};
//!
//! # fn main() -> Result<(), explr_study::StudyError> {
//! let space = SearchSpace::builder().float("x", -10.0..=10.0).build()?;
//! let mut study = Study::builder("parabola").space(space).seed(7).build()?;
//! study.optimize(30, |trial| {
//!     let x = trial.f64("x")?;
//!     Ok((x - 2.0).powi(2))
//! })?;
//! let best = study.history().best().expect("30 trials");
//! assert!(best.values[0] < 5.0);
//! # Ok(())
//! # }
//! ```
//!
//! Data flows one way: samplers and pruners see the history and nothing else,
//! and change nothing. Given the same history, seed and trial number they
//! decide the same, in every process: a study that is resumed goes on as if it
//! had never stopped.

pub mod analysis;
mod distribution;
mod error;
mod history;
pub mod pruner;
mod random;
pub mod report;
pub mod sampler;
mod space;
mod study;
mod trial;

pub use distribution::{Categories, Distribution, DistributionError, FloatRange, IntRange};
pub use error::StudyError;
pub use explr_protocol::Direction;
pub use history::History;
pub use pruner::Pruner;
pub use random::Rng;
pub use random::trial_seed;
pub use sampler::{Proposal, Sampler};
pub use space::{Condition, Domain, Parameter, SearchSpace, SpaceBuilder, SpaceError};
pub use study::{Asked, Finish, Live, ObjectiveError, Study, StudyBuilder};
pub use trial::{Assigned, Trial, TrialState};
