//! An attempt without a worker: the train function runs on a thread of this
//! process. Nothing isolates it and no limit ends it; what it logs is as
//! durable as in a worker.

use super::attempt::Ended;
use super::classify::{Evidence, Exited};
use super::stop::StopLevel;
use super::{RunError, Sink};
use crate::report::RunEvent;
use crate::worker::AtHand;
use crate::worker::host::Host;
use explr_protocol::control::{Assignment, FromWorker};
use explr_protocol::{Answer, Ask, TrainFunction};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Runs `function` on `assignment`; `answer` speaks for the study.
pub(super) async fn supervise(
    function: Arc<dyn TrainFunction>,
    assignment: Assignment,
    mut stop: watch::Receiver<StopLevel>,
    answer: &mut dyn FnMut(Ask) -> Answer,
    sink: &mut Sink<'_>,
) -> Result<Ended, RunError> {
    let began = Instant::now();
    let attempt = assignment.context.attempt;
    let (sender, mut messages) = mpsc::unbounded_channel();
    let outlet = Box::new(move |message| {
        let _ = sender.send(message);
    });
    let host = Host::open(&assignment.journal, outlet)
        .map(Arc::new)
        .map_err(|error| RunError::Plugin(error.to_string()))?;
    let working = Arc::clone(&host);
    let thread = std::thread::spawn(move || {
        let outcome =
            crate::worker::execute(&assignment, &AtHand::Functions(&[&*function]), &working);
        working.send(FromWorker::Finished { outcome });
    });
    let mut evidence = Evidence::of(Exited::Code(0));
    let mut stopped = None;
    while evidence.outcome.is_none() {
        tokio::select! {
            message = messages.recv() => match message {
                None => break,
                Some(FromWorker::Started) => sink(RunEvent::Started {
                    pid: None,
                    attempt,
                    after: began.elapsed(),
                }),
                Some(FromWorker::Heartbeat) => {}
                Some(FromWorker::Ask(question)) => host.answer(answer(question)),
                Some(FromWorker::Progress(progress)) => sink(RunEvent::Progress(progress)),
                Some(FromWorker::Log { level, message }) => sink(RunEvent::Log { level, message }),
                Some(FromWorker::JournalFailed { message }) => {
                    sink(RunEvent::JournalFailed { message: message.clone() });
                    evidence.journal_failure = Some(message);
                }
                Some(FromWorker::Finished { outcome }) => evidence.outcome = Some(outcome),
            },
            Ok(()) = stop.changed() => {
                if let StopLevel::Gentle(reason) | StopLevel::Now(reason) = *stop.borrow_and_update() {
                    stopped = Some(reason);
                    host.request_stop();
                }
            }
        }
    }
    let _ = thread.join();
    Ok(Ended { evidence, stopped })
}
