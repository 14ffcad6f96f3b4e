//! A train function that is another program, a child of the worker.
//!
//! The child appends [`Line`](explr_protocol::Line)s to the attempt's
//! [`inbox`]; the worker takes them into the journal as they come, and with
//! them what it finds in the child's output or in a file of metrics. It asks
//! the study about reports, and ends the child when the study or the
//! orchestrator says so. The child's exit is the function's outcome.

mod child;
mod environment;
mod files;
mod intake;
mod output;
mod result;
mod rows;
mod scalars;
mod source;
mod wake;
mod wandb;

use super::host::Host;
use crate::config::command::template;
use crate::store::StoreError;
use crate::store::inbox::{self, Inbox};
use child::Child;
use explr_protocol::control::{Assignment, FromWorker};
use explr_protocol::{Command, FailureClass, MetricSource, Outcome, TrainError};
use intake::Intake;
use source::Source;
use std::time::{Duration, Instant};
use wake::Wake;

/// Time between two looks at what nothing tells of: a request to stop, a file
/// of metrics.
const LOOK: Duration = Duration::from_millis(100);

/// After a request to stop, the time until what the command started is asked
/// too: a shell hears nothing while it waits for what it started.
const SPREAD: Duration = Duration::from_secs(2);

/// Runs the command to its end. The host has the outcome when this returns.
pub(super) fn run(command: &Command, assignment: &Assignment, host: &Host) {
    host.finish(train(command, assignment, host).unwrap_or_else(Outcome::Err));
}

fn train(command: &Command, assignment: &Assignment, host: &Host) -> Result<Outcome, TrainError> {
    let context = &assignment.context;
    if context.attempt > 1 {
        host.pass_over_what_is_known().map_err(journal)?;
    }
    let path = inbox::path(&assignment.journal, context.attempt);
    let inbox = Inbox::create(&path).map_err(journal)?;
    let fill = |text: &str| {
        template::expand(text, |name| template::of_run(context, name)).map_err(|error| {
            refused(format!(
                "`{text}` can't be filled in: {error}\n\
                 help: give it a value under `hyperparameters`"
            ))
        })
    };
    let words = command.arguments.iter().map(|word| fill(word));
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    let (mut source, printed) = Source::open(command, fill)?;
    let mut environment = environment::of(assignment, &path)?;
    if command.metrics == Some(MetricSource::Wandb) {
        environment.push(wandb::provide(&assignment.journal)?);
    }
    let mut child = Child::start(&words, &command.folder, &environment, printed)?;
    host.send(FromWorker::Started);
    let wake = Wake::new(&path, child.pid());
    let mut intake = Intake::new(command, assignment, host, inbox);
    let status = loop {
        let status = child.try_wait()?;
        let is_done = intake.take(&mut source, status.is_some())?;
        if let Some(status) = status {
            break status;
        }
        lead(
            &mut child,
            &intake,
            host,
            Duration::from_millis(command.grace_ms),
        );
        if is_done {
            wake.wait(source.output(), LOOK);
        }
    };
    intake.conclude(status, &child)
}

/// Ends the command when the study or the orchestrator wants it.
fn lead(child: &mut Child, intake: &Intake, host: &Host, grace: Duration) {
    let asked = child.asked().map(|at: Instant| at.elapsed());
    match (intake.is_pruned(), asked) {
        // Nothing of a pruned trial is worth saving, and all of it is to end.
        (true, None) => child.ask_all(),
        (true, Some(since)) if since >= grace => child.kill(),
        (false, None) if host.stop_requested() => child.ask(),
        (false, Some(since)) if since >= SPREAD => child.ask_all(),
        _ => {}
    }
}

/// Nothing of the command ran.
fn refused(message: String) -> TrainError {
    failed(FailureClass::Plugin, message)
}

fn failed(class: FailureClass, message: impl Into<String>) -> TrainError {
    TrainError {
        class,
        message: message.into(),
        location: None,
    }
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn journal(error: StoreError) -> TrainError {
    failed(FailureClass::Journal, error.to_string())
}
