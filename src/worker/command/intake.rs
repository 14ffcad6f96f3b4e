use super::child::Child;
use super::result::{self, Found};
use super::source::Source;
use super::{failed, files, journal};
use crate::store::inbox::{Inbox, Item, Place};
use crate::worker::host::Host;
use explr_protocol::control::Assignment;
use explr_protocol::{
    Answer, Ask, Command, Event, FailureClass, LogLevel, MetricSource, Outcome, TrainError,
};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// What comes without pause is interrupted so often, to look at the rest.
const TURN: Duration = Duration::from_millis(100);
/// Warnings about a file of metrics that are told.
const TOLD: u32 = 20;

/// A shell's word for: ended by SIGKILL.
const KILLED: i32 = 128 + 9;

/// Takes what a command says into the journal, and to the study.
pub(super) struct Intake<'a> {
    command: &'a Command,
    host: &'a Host,
    assignment: &'a Assignment,
    inbox: Inbox,
    place: Place,
    found: Found,
    pruned: Option<(i64, f64)>,
    /// How often each metric came whose step nothing tells.
    counts: BTreeMap<String, i64>,
    warnings: u32,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        command: &'a Command,
        assignment: &'a Assignment,
        host: &'a Host,
        inbox: Inbox,
    ) -> Self {
        Self {
            command,
            host,
            assignment,
            inbox,
            place: Place {
                artifacts: assignment.context.artifact_dir.clone(),
                folder: command.folder.clone(),
            },
            found: Found::default(),
            pruned: None,
            counts: BTreeMap::new(),
            warnings: 0,
        }
    }

    /// Whether the study has ended the trial.
    pub(super) fn is_pruned(&self) -> bool {
        self.pruned.is_some()
    }

    /// Takes in what there is; all of it when the command has ended. Returns
    /// whether there was no more.
    pub(super) fn take(
        &mut self,
        source: &mut Source,
        has_ended: bool,
    ) -> Result<bool, TrainError> {
        let turn = Instant::now();
        while let Some(item) = self.inbox.next(has_ended).map_err(journal)? {
            self.item(item)?;
            if !has_ended && turn.elapsed() > TURN {
                break;
            }
        }
        for sample in source.take(has_ended) {
            match sample {
                Ok(sample) => self.sample(sample.values, sample.step)?,
                Err(why) => self.warn(&why)?,
            }
        }
        Ok(turn.elapsed() <= TURN)
    }

    fn item(&mut self, item: Item) -> Result<(), TrainError> {
        match item {
            Item::Metrics(values, step) if self.command.metrics == Some(MetricSource::Wandb) => {
                self.sample(values, Some(step))
            }
            Item::Metrics(values, step) => self.metrics(values, step),
            Item::Report(step, value) => self.report(step, value),
            Item::Event(event) => self.log(&event),
            Item::Progress(progress) => {
                self.host.show(progress);
                Ok(())
            }
            Item::Result(result) => {
                self.found.result = Some(result);
                Ok(())
            }
            Item::Artifact(path, name) => {
                let kept = self
                    .place
                    .name(&path, name.as_deref())
                    .and_then(|name| self.place.take(&path, &name).map(|()| name));
                match kept {
                    Ok(path) => self.log(&Event::Artifact { path }),
                    Err(message) => self.log(&warning(message)),
                }
            }
        }
    }

    fn metrics(&mut self, values: BTreeMap<String, f64>, step: i64) -> Result<(), TrainError> {
        let named = values.iter().map(|(key, value)| (key.as_str(), *value));
        self.host.log_metrics(named, step).map_err(journal)?;
        self.found.last.extend(values);
        Ok(())
    }

    /// Values that the command did not tell itself.
    fn sample(
        &mut self,
        values: BTreeMap<String, f64>,
        step: Option<i64>,
    ) -> Result<(), TrainError> {
        let step = step.unwrap_or_else(|| self.next_step(&values));
        let wanted = self.command.report.as_ref();
        let report = wanted.and_then(|key| values.get(key).copied());
        self.metrics(values, step)?;
        report.map_or(Ok(()), |value| self.report(step, value))
    }

    /// As many steps as the values that come most often have had.
    fn next_step(&mut self, values: &BTreeMap<String, f64>) -> i64 {
        let count = |key| self.counts.get(key).copied().unwrap_or(0);
        let step = values.keys().map(count).max().unwrap_or(0);
        for key in values.keys() {
            self.counts.insert(key.clone(), step + 1);
        }
        step
    }

    fn report(&mut self, step: i64, value: f64) -> Result<(), TrainError> {
        self.log(&Event::Report { step, value })?;
        if self.assignment.context.trial.is_none() || self.is_pruned() {
            return Ok(());
        }
        match self.host.ask(Ask::Report { step, value }) {
            Answer::Prune => {
                self.pruned = Some((step, value));
                Ok(())
            }
            Answer::Refused { message } => {
                self.warn(&format!("the study can't say whether to go on: {message}"))
            }
            Answer::Continue | Answer::Value(_) => Ok(()),
        }
    }

    fn warn(&mut self, message: &str) -> Result<(), TrainError> {
        self.warnings += 1;
        if self.warnings > TOLD {
            return Ok(());
        }
        self.log(&warning(message.to_owned()))
    }

    fn log(&self, event: &Event) -> Result<(), TrainError> {
        self.host.log_event(event).map_err(journal)
    }

    /// What the end of the command means.
    pub(super) fn conclude(self, status: ExitStatus, child: &Child) -> Result<Outcome, TrainError> {
        if let Some((step, value)) = self.pruned {
            return Ok(Outcome::Pruned { step, value });
        }
        let told = self.found.result.is_some();
        match (status.code(), status.signal()) {
            (Some(0), _) => {}
            // A crash on the way out takes nothing back.
            (None, Some(_)) if told => {}
            (None, Some(signal)) => {
                let (class, message) =
                    crate::runner::by_signal("command", signal, child.saw_oom_kill());
                return Err(failed(class, message));
            }
            (Some(KILLED), _) if child.saw_oom_kill() => {
                let message = format!(
                    "the kernel killed what the command `{}` ran for want of memory (status \
                     {KILLED}; its count of such kills rose meanwhile)",
                    child.program()
                );
                return Err(failed(FailureClass::Oom, message));
            }
            (code, _) => {
                let code = code.unwrap_or(-1);
                let program = child.program();
                let meaning = meaning(code);
                let message = format!("the command `{program}` exited with status {code}{meaning}");
                return Err(failed(FailureClass::Exit, message));
            }
        }
        let events = &self.assignment.journal;
        for path in files::untold(&self.place.artifacts, events).map_err(journal)? {
            self.log(&Event::Artifact { path })?;
        }
        result::of(self.found, self.command, events).map(Outcome::Ok)
    }
}

fn warning(message: String) -> Event {
    Event::Log {
        level: LogLevel::Warning,
        message,
    }
}

/// What a shell means by an exit status.
fn meaning(code: i32) -> String {
    match code {
        126 => " (a shell's word for: can't be executed)".to_owned(),
        127 => " (a shell's word for: no such program)".to_owned(),
        129..=159 => match nix::sys::signal::Signal::try_from(code - 128) {
            Ok(signal) => format!(" (a shell's word for: ended by {signal})"),
            Err(_) => String::new(),
        },
        _ => String::new(),
    }
}
