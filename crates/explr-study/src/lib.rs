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
//! A study in a file goes on where it stopped. [`StudyBuilder::build`] refuses
//! to mix trials of different search spaces in it. Whoever runs trials
//! elsewhere, several at a time, asks for each and tells what came of it:
//!
//! ```
//! use explr_study::{Finish, History, SearchSpace, Study};
//!
//! # fn main() -> Result<(), explr_study::StudyError> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let path = folder.path().join("digits.journal");
//! let open = || {
//!     let space = SearchSpace::builder().log_float("lr", 1e-5..=1e-1).build()?;
//!     Study::builder("digits").space(space).journal(&path).build()
//! };
//! let mut study = open()?;
//! while let Some(trial) = study.ask()?.filter(|trial| trial.number < 3) {
//!     let loss = trial.params["lr"].as_f64().map_or(1.0, |lr| (lr - 0.01).abs());
//!     let hopeless = study.report(trial.number, 1, loss)?;
//!     let finish = if hopeless { Finish::Pruned } else { Finish::Complete(vec![loss]) };
//!     study.tell(trial.number, finish)?;
//! }
//! drop(study);
//!
//! // In another process, a day later: trial 3 was asked for and never told.
//! let mut study = open()?;
//! study.release(3)?;
//! assert!(study.ask()?.is_some_and(|trial| trial.number == 3 && trial.resumed));
//! assert_eq!(History::load(&path)?[0].finished(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! `optuna.load_study` and `optuna-dashboard` open the same file, while the
//! study runs too. A process that is the only one to run a study takes its
//! [`StudyLock`] first, and may then [give back](Study::release_orphans) what
//! an earlier one left.
//!
//! Data flows one way: samplers and pruners see the history and nothing else,
//! and change nothing. Given the same history, seed and trial number they
//! decide the same, in every process: a study that is resumed goes on as if it
//! had never stopped.

pub mod analysis;
mod builder;
mod choose;
mod description;
mod distribution;
mod error;
mod history;
mod live;
pub mod pruner;
mod random;
pub mod report;
pub mod sampler;
mod space;
mod storage;
mod study;
mod trial;

pub use builder::StudyBuilder;
pub use distribution::{Categories, Distribution, DistributionError, FloatRange, IntRange};
pub use error::StudyError;
pub use explr_protocol::Direction;
pub use history::History;
pub use live::{Live, ObjectiveError};
pub use pruner::Pruner;
pub use random::{Rng, trial_seed};
pub use sampler::{Proposal, Sampler};
pub use space::{Condition, Domain, Parameter, SearchSpace, SpaceBuilder, SpaceError};
pub use storage::{DroppedLine, Holder, Repair, StorageError, StudyLock, repair};
pub use study::{Asked, Finish, Study, enqueue};
pub use trial::{Assigned, Trial, TrialState};
