//! The worker: the process that runs one train function once.
//!
//! It is this same executable, started by the [`runner`](crate::runner) in a
//! process group of its own. Its [`Assignment`] comes over the control socket,
//! its metrics go to the run journal before a log call returns (promise P1),
//! and its outcome goes to both. Three means end it with its orchestrator
//! (P5): end of file on the control socket, a watch on the parent's pid, and
//! the kernel's parent-death signal, which the runner asks for.
//!
//! [`host`] is what a train function talks to; [`plugin`] loads one from a
//! shared library; [`control`] and [`watchdog`] face the orchestrator.
//! [`command`] runs another program as the train function.
//! [`template`] is the process that forks the workers of a study;
//! [`try_tensors`] is a process that only finds out whether libtorch works.

mod command;
mod control;
pub(crate) mod host;
mod plugin;
mod pulse;
pub(crate) mod system_metrics;
mod template;
mod tensor;
mod watchdog;

pub(crate) use plugin::libtorch_version;
pub use tensor::{Trial, Tried, try_tensors};
pub(crate) use watchdog::PARENT_DEATH_SIGNAL;

use control::Control;
use explr_protocol::control::{Assignment, Code, FD_VARIABLE, FromWorker};
use explr_protocol::{FailureClass, Outcome, TrainError, TrainFunction};
use host::Host;
use plugin::{Plugin, PluginError};
use std::io;
use std::sync::Arc;

/// Runs an assignment if this process was started as a worker, and then ends
/// the process; returns at once in every other process.
///
/// A program that passes its own functions to an
/// [`Experiment`](crate::Experiment) calls this first in `main`: its workers
/// are the program itself, started again.
pub fn serve(functions: &[&dyn TrainFunction]) {
    crate::runner::note_that_workers_are_served();
    let code = if std::env::var_os(FD_VARIABLE).is_some() {
        run(Control::from_environment(), &AtHand::Functions(functions))
    } else if std::env::var_os(template::FD_VARIABLE).is_some() {
        template::run()
    } else {
        return;
    };
    // Destructors of libtorch and CUDA that run at exit may crash or hang
    // long after the result is safe, so they don't run.
    control::exit_now(code)
}

/// The hidden `explr worker` command: a worker for plugins. Returns only when
/// this process was not started by a runner.
pub fn main() -> crate::Exit {
    serve(&[]);
    crate::Exit::Usage
}

/// What a worker has before it is told what to run.
pub(crate) enum AtHand<'a> {
    /// The functions of its program.
    Functions(&'a [&'a dyn TrainFunction]),
    /// A plugin that its template opened.
    Plugin(&'a Plugin),
}

/// Runs the assignment that comes over `control`, and returns the code to
/// exit with.
fn run(control: io::Result<Control>, at_hand: &AtHand) -> i32 {
    let control = match control {
        Ok(control) => Arc::new(control),
        Err(error) => {
            eprintln!("explr worker: no control socket: {error}");
            return 1;
        }
    };
    let Some(assignment) = control.receive_assignment() else {
        return 1;
    };
    let outcome = work(&assignment, at_hand, &control);
    control.send(&FromWorker::Finished { outcome });
    0
}

fn work(assignment: &Assignment, at_hand: &AtHand, control: &Arc<Control>) -> Outcome {
    let outlet = {
        let control = Arc::clone(control);
        Box::new(move |message| control.send(&message))
    };
    let host = match Host::open(&assignment.journal, outlet) {
        Ok(host) => Arc::new(host),
        Err(error) => {
            return failure(FailureClass::Journal, error.to_string());
        }
    };
    watchdog::start(Arc::clone(control), Arc::clone(&host));
    execute(assignment, at_hand, &host)
}

/// Calls the assignment's train function in this process and waits for its
/// outcome, which is in the journal when this returns.
pub(crate) fn execute(assignment: &Assignment, at_hand: &AtHand, host: &Arc<Host>) -> Outcome {
    let pulse = pulse::start(Arc::clone(host));
    let context = match serde_json::to_vec(&assignment.context) {
        Ok(context) => context,
        Err(error) => return failure(FailureClass::Plugin, error.to_string()),
    };
    let sampler = assignment.system_metrics_interval.map(|interval| {
        let host = Arc::clone(host);
        system_metrics::start(&assignment.journal, interval, move |sample, step| {
            // A journal that can't be written stops the train function at its
            // own next metric; there is nothing to add here.
            let _ = host.log_sample(&sample, step);
        })
    });
    let called = match &assignment.code {
        Code::Command(command) => {
            command::run(command, assignment, host);
            Ok(())
        }
        _ => call(assignment, at_hand, host, &context),
    };
    if let Some(sampler) = sampler {
        sampler.stop();
    }
    let outcome = match called {
        Ok(()) => host.conclude(),
        Err(error) => failure(FailureClass::Plugin, error.to_string()),
    };
    pulse.stop();
    outcome
}

fn call(
    assignment: &Assignment,
    at_hand: &AtHand,
    host: &Host,
    context: &[u8],
) -> Result<(), PluginError> {
    let name = &assignment.context.function;
    let call_in = |plugin: &Plugin| {
        let function = plugin.function(name)?;
        host.send(FromWorker::Started);
        function.call(host, context);
        Ok(())
    };
    match (&assignment.code, at_hand) {
        (Code::Plugin { .. }, AtHand::Plugin(plugin)) => call_in(plugin),
        (Code::Plugin { path, libtorch }, AtHand::Functions(_)) => call_in(&plugin::open(
            path,
            libtorch.as_deref(),
            assignment.context.device,
        )?),
        (Code::Program, AtHand::Functions(functions)) => {
            let not_served = || PluginError::NotServed { name: name.clone() };
            let mut functions = functions.iter();
            let function = functions
                .find(|function| function.name() == name)
                .ok_or_else(not_served)?;
            host.send(FromWorker::Started);
            function.call(&host.table(), context);
            Ok(())
        }
        (Code::Program, AtHand::Plugin(_)) | (Code::Python(_) | Code::Command(_), _) => {
            Err(PluginError::NotServed { name: name.clone() })
        }
    }
}

fn failure(class: FailureClass, message: String) -> Outcome {
    Outcome::Err(TrainError {
        class,
        message,
        location: None,
    })
}
