//! Experiment orchestrator for people who train deep-learning models.
//!
//! The crate is the library behind the `explr` command and a product of its
//! own: [`Experiment`] does what `explr run` does. Data flows one way through
//! its modules:
//!
//! [`config`] → [`runner`] → [`worker`] → journal in the [`store`] →
//! [`report`] and [`tracking`].

pub mod config;
mod error;
mod exit;
mod experiment;
pub mod gpu;
pub mod import;
pub mod report;
pub mod runner;
pub mod store;
mod sweep;
pub mod tracking;
pub mod tuning;
pub mod verify;
pub mod worker;

pub use error::Error;
pub use exit::Exit;
pub use experiment::Experiment;
pub use sweep::Sweep;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
