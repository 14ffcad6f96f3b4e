//! What a person, or a program, sees of a run.
//!
//! The [`runner`](crate::runner) tells what happens as [`RunEvent`]s; a
//! [`Reporter`] shows them. Reporters decide nothing and are the only part of
//! the library that writes to the terminal.

mod bars;
mod event;
mod json;
mod plain;
pub mod study;
mod summary;
pub mod text;

pub use bars::Bars;
pub use event::{RunEvent, RunPlan};
pub use json::JsonLines;
pub use plain::Plain;

/// Shows what happens in a run.
pub trait Reporter: Send {
    /// Called for every event, in order, on the runner's thread: what takes
    /// long here delays the supervision of the worker, but never the
    /// training.
    fn event(&mut self, event: &RunEvent);
}

/// Shows nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &RunEvent) {}
}
