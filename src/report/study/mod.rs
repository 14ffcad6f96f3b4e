//! What a person, or a program, sees of a study.

mod event;
mod json;
mod live;
mod plain;
mod summary;

pub use event::{StudyEvent, StudyPlan, TrialEnd, TrialStart};
pub use json::StudyJson;
pub use live::StudyLive;
pub use plain::StudyPlain;

/// Shows what happens in a study.
pub trait StudyReporter: Send {
    /// Called for every event, in order, on the scheduler's thread: what takes
    /// long here delays the start of trials, but never a training.
    fn event(&mut self, event: &StudyEvent);
}

impl StudyReporter for super::Silent {
    fn event(&mut self, _: &StudyEvent) {}
}
