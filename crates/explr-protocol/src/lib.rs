//! What explr's processes say to each other.
//!
//! Data only, no behaviour: the [events](Event) of a run's journal, the
//! [control messages](control) between orchestrator and worker, the
//! [context](RunContext) that a train function is given, its
//! [questions](Ask) to a study, its [outcome](Outcome), the C table through
//! which a plugin is called ([`abi`]), and the [lines](Line) that a command
//! appends. Both sides of every boundary
//! compile against this crate, so a change here is a change of protocol.

pub mod abi;
mod ask;
mod command;
mod context;
pub mod control;
mod device;
mod event;
mod failure;
mod function;
mod line;
pub mod number;
mod outcome;
mod state;
pub mod template;

pub use ask::{Answer, Ask, Distribution};
pub use command::{Command, MetricFormat, MetricSource};
pub use context::{RunContext, TrialRef};
pub use device::{Device, ParseDeviceError};
pub use event::{Dataset, Event, LogLevel, Record};
pub use failure::{Failure, FailureClass};
pub use function::TrainFunction;
pub use line::{Line, LineResult};
pub use outcome::{Direction, Outcome, TrainError, TrainingResult};
pub use state::RunState;
