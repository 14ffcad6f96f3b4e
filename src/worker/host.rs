//! What a train function talks to, through the plugin's C [`table`].

mod table;

use crate::store::StoreError;
use crate::store::journal::Writer;
use crate::store::journal::replay::{self, Replay};
use explr_protocol::control::{FromWorker, Progress};
use explr_protocol::{Answer, Ask, Event, FailureClass, LogLevel, Outcome, TrainError};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

/// Log lines that wait to be shown; the journal has them all.
const LOG_BACKLOG: usize = 1000;

/// Takes messages for the orchestrator.
pub(crate) type Outlet = Box<dyn Fn(FromWorker) + Send + Sync>;

/// Receives what a train function logs and keeps what it is to be told.
pub(crate) struct Host {
    outlet: Outlet,
    path: PathBuf,
    journal: Mutex<Journal>,
    news: Mutex<News>,
    stop: AtomicBool,
    /// The function has seen the request to stop.
    stop_seen: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
    /// Whoever asks holds the lock, so one question is open at a time.
    answers: Mutex<mpsc::Receiver<Answer>>,
    answered: mpsc::Sender<Answer>,
}

struct Journal {
    writer: Writer,
    replay: Replay,
    /// Newest value of each metric that changed since the last look.
    latest: BTreeMap<String, f64>,
    highest_step: i64,
    logged: u64,
    logged_at_last_look: u64,
    failure: Option<String>,
    /// The params of earlier attempts, once one is logged in this.
    params: Option<HashMap<String, Value>>,
}

impl Journal {
    /// Whether an attempt before has written this param or report.
    fn held_before(&mut self, event: &Event, path: &Path) -> Result<bool, StoreError> {
        Ok(match event {
            Event::Param { key, value } => {
                let params = match self.params.take() {
                    Some(params) => params,
                    None => replay::params(path)?,
                };
                self.params.insert(params).get(key) == Some(value)
            }
            Event::Report { step, value } => self.replay.report_lives_again(*step, *value),
            _ => false,
        })
    }
}

#[derive(Default)]
struct News {
    told: Progress,
    changed: bool,
    logs: Vec<(LogLevel, String)>,
    failure_told: bool,
}

impl Host {
    /// Opens the run's journal.
    pub(crate) fn open(journal: &Path, outlet: Outlet) -> Result<Self, StoreError> {
        let (answered, answers) = mpsc::channel();
        Ok(Self {
            outlet,
            path: journal.to_owned(),
            journal: Mutex::new(Journal {
                writer: Writer::open(journal)?,
                replay: Replay::default(),
                latest: BTreeMap::new(),
                highest_step: 0,
                logged: 0,
                logged_at_last_look: 0,
                failure: None,
                params: None,
            }),
            news: Mutex::new(News::default()),
            stop: AtomicBool::new(false),
            stop_seen: AtomicBool::new(false),
            outcome: Mutex::new(None),
            answers: Mutex::new(answers),
            answered,
        })
    }

    /// Sends a message to the orchestrator.
    pub(crate) fn send(&self, message: FromWorker) {
        (self.outlet)(message);
    }

    /// Asks the train function to stop at the next good moment.
    pub(crate) fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the train function was asked to stop; it knows now.
    pub(crate) fn stop_requested(&self) -> bool {
        let stop = self.stop.load(Ordering::Relaxed);
        if stop {
            self.stop_seen.store(true, Ordering::Relaxed);
        }
        stop
    }

    /// Passes over what the journal holds already, all of it from attempts
    /// before, when it is logged again.
    pub(crate) fn pass_over_what_is_known(&self) -> Result<(), StoreError> {
        lock(&self.journal).replay = Replay::load(&self.path, 0)?;
        Ok(())
    }

    /// Shows how far the train function is.
    pub(crate) fn show(&self, progress: Progress) {
        let mut news = lock(&self.news);
        news.told = progress;
        news.changed = true;
    }

    /// Takes the outcome; the first one counts.
    pub(crate) fn finish(&self, outcome: Outcome) {
        lock(&self.outcome).get_or_insert(outcome);
    }

    /// Asks the study, and waits for its answer.
    pub(crate) fn ask(&self, question: Ask) -> Answer {
        let answers = lock(&self.answers);
        self.send(FromWorker::Ask(question));
        // The sender lives in `self`, so this ends with an answer, or with the
        // process, when the orchestrator is gone.
        answers.recv().unwrap_or_else(|error| Answer::Refused {
            message: error.to_string(),
        })
    }

    /// Takes the answer to the open question.
    pub(crate) fn answer(&self, answer: Answer) {
        let _ = self.answered.send(answer);
    }

    /// Appends metrics of one step, given as names and values.
    pub(crate) fn log_metrics<'a>(
        &self,
        metrics: impl Iterator<Item = (&'a str, f64)>,
        step: i64,
    ) -> Result<(), StoreError> {
        let mut journal = lock(&self.journal);
        let Journal {
            writer,
            replay,
            latest,
            highest_step,
            logged,
            ..
        } = &mut *journal;
        *highest_step = step.max(*highest_step);
        let fresh = metrics.filter(|&(key, value)| {
            *logged += 1;
            match latest.get_mut(key) {
                Some(last) => *last = value,
                None => {
                    latest.insert(key.to_owned(), value);
                }
            }
            !replay.lives_again(key, step, value)
        });
        let written = writer.append_metrics(fresh, step).map(|_| ());
        remember_failure(&mut journal, written)
    }

    /// Appends a sample of system metrics, which is no sign of progress.
    pub(crate) fn log_sample(&self, sample: &[(String, f64)], step: i64) -> Result<(), StoreError> {
        let mut journal = lock(&self.journal);
        let values = sample.iter().map(|(key, value)| (key.as_str(), *value));
        let written = journal.writer.append_metrics(values, step).map(|_| ());
        remember_failure(&mut journal, written)
    }

    /// Appends an event. A param or a report that the journal holds already,
    /// from an attempt before, is not written again.
    pub(crate) fn log_event(&self, event: &Event) -> Result<(), StoreError> {
        let mut journal = lock(&self.journal);
        if let Event::Log { level, message } = event {
            let mut news = lock(&self.news);
            if news.logs.len() < LOG_BACKLOG {
                news.logs.push((*level, message.clone()));
            }
        }
        if let Event::Resumed {
            seq_of_checkpoint, ..
        } = event
        {
            journal.replay = Replay::load(&self.path, *seq_of_checkpoint)?;
        }
        if journal.held_before(event, &self.path)? {
            return Ok(());
        }
        let written = journal.writer.append(event).map(|_| ());
        remember_failure(&mut journal, written)
    }

    /// What has changed since the last call, for the orchestrator.
    pub(crate) fn take_news(&self) -> Vec<FromWorker> {
        let mut messages = Vec::new();
        // The order of locks is journal, then news, as in `log_event`.
        let mut journal = lock(&self.journal);
        let mut news = lock(&self.news);
        for (level, message) in std::mem::take(&mut news.logs) {
            messages.push(FromWorker::Log { level, message });
        }
        if news.changed || journal.logged != journal.logged_at_last_look {
            let mut progress = news.told.clone();
            progress
                .step
                .get_or_insert(u64::try_from(journal.highest_step).unwrap_or(0));
            progress.metrics = std::mem::take(&mut journal.latest);
            progress.metrics_logged = journal.logged;
            journal.logged_at_last_look = journal.logged;
            news.changed = false;
            messages.push(FromWorker::Progress(progress));
        }
        if let Some(message) = journal.failure.clone().filter(|_| !news.failure_told) {
            news.failure_told = true;
            messages.push(FromWorker::JournalFailed { message });
        }
        messages
    }

    /// The outcome after the train function has returned. A result is in the
    /// journal, on disk, when this returns.
    pub(crate) fn conclude(&self) -> Outcome {
        let outcome = lock(&self.outcome).take().unwrap_or_else(|| {
            Outcome::Err(TrainError {
                class: FailureClass::Exit,
                message: "the train function returned without an outcome".to_owned(),
                location: None,
            })
        });
        let mut result = match outcome {
            Outcome::Ok(result) => result,
            Outcome::Err(_) | Outcome::Pruned { .. } => return outcome,
        };
        result.stopped_early |= self.stop_seen.load(Ordering::Relaxed);
        match lock(&self.journal)
            .writer
            .append(&Event::Result(result.clone()))
        {
            Ok(_) => Outcome::Ok(result),
            Err(error) => Outcome::Err(TrainError {
                class: FailureClass::Journal,
                message: error.to_string(),
                location: None,
            }),
        }
    }
}

fn remember_failure(
    journal: &mut Journal,
    written: Result<(), StoreError>,
) -> Result<(), StoreError> {
    if let Err(error) = &written {
        journal.failure = Some(error.to_string());
    }
    written
}

/// A panic while a lock was held leaves whole values behind, so the lock
/// stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Host;
    use crate::store::journal::Reader;
    use explr_protocol::control::FromWorker;
    use explr_protocol::{Answer, Ask, Event};
    use serde_json::{Value, json};
    use std::sync::{Arc, mpsc};

    #[test]
    fn an_attempt_does_not_repeat_the_params_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let param = |key: &str, value: Value| Event::Param {
            key: key.to_owned(),
            value,
        };
        for (lr, more) in [(json!(0.1), "first"), (json!(0.1), "second")] {
            let host = Host::open(&path, Box::new(|_| {})).unwrap();
            host.log_event(&param("lr", lr)).unwrap();
            host.log_event(&param(more, json!(null))).unwrap();
        }
        let keys: Vec<_> = Reader::open(&path, 0)
            .unwrap()
            .map(|entry| match entry.unwrap().record.event {
                Event::Param { key, .. } => key,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(keys, ["lr", "first", "second"]);
    }

    #[test]
    fn a_report_that_is_lived_again_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let report = |step: i64, value: f64| Event::Report { step, value };
        let host = Host::open(&path, Box::new(|_| {})).unwrap();
        for step in 0..3 {
            host.log_event(&report(step, 0.5)).unwrap();
        }
        drop(host);
        let host = Host::open(&path, Box::new(|_| {})).unwrap();
        let resumed = Event::Resumed {
            seq_of_checkpoint: 1,
            checkpoint: None,
        };
        host.log_event(&resumed).unwrap();
        for event in [report(1, 0.5), report(2, 0.25), report(3, 0.5)] {
            host.log_event(&event).unwrap();
        }
        let reports: Vec<_> = Reader::open(&path, 0)
            .unwrap()
            .filter_map(|entry| match entry.unwrap().record.event {
                Event::Report { step, value } => Some(format!("{step} {value}")),
                _ => None,
            })
            .collect();
        assert_eq!(reports, ["0 0.5", "1 0.5", "2 0.5", "2 0.25", "3 0.5"]);
    }

    #[test]
    fn threads_that_ask_at_once_each_get_their_own_answer() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, messages) = mpsc::channel();
        let outlet = Box::new(move |message| sender.send(message).unwrap());
        let host = Arc::new(Host::open(&folder.path().join("events.jsonl"), outlet).unwrap());
        let asking: Vec<_> = (0..8)
            .map(|step| {
                let host = Arc::clone(&host);
                std::thread::spawn(move || {
                    let value = f64::from(step);
                    let step = i64::from(step);
                    assert_eq!(
                        host.ask(Ask::Report { step, value }),
                        Answer::Value(step.into())
                    );
                })
            })
            .collect();
        for _ in 0..8 {
            let Ok(FromWorker::Ask(Ask::Report { step, .. })) = messages.recv() else {
                panic!("no question");
            };
            // The next question waits for this answer.
            assert!(messages.try_recv().is_err());
            host.answer(Answer::Value(step.into()));
        }
        for thread in asking {
            thread.join().unwrap();
        }
    }
}
