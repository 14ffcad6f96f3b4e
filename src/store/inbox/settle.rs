use super::{Inbox, Item, Place, params_path, path, result};
use crate::store::journal::replay::Replay;
use crate::store::journal::{Reader, Writer};
use crate::store::{Result, RunDir};
use explr_protocol::{Direction, Event, LogLevel, RunState, TrainingResult};
use serde_json::Value;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Takes into the journal what the command of an attempt appended to its inbox
/// and its worker, now dead, did not take in. Returns the result that the
/// command told, when the journal had none of this attempt.
///
/// What the worker did take in is known by what the journal holds of the
/// attempt: each of these records stands for one line. Called again, it finds
/// nothing to do.
pub(crate) fn settle(
    run: &RunDir,
    attempt: u32,
    journal: &mut Writer,
) -> Result<Option<TrainingResult>> {
    let _ = std::fs::remove_file(params_path(&run.journal_path()));
    let Some(mut inbox) = Inbox::open(&path(&run.journal_path(), attempt))? else {
        return Ok(None);
    };
    let manifest = run.manifest()?;
    let place = Place {
        artifacts: run.artifact_dir(),
        folder: manifest
            .config_file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(&manifest.cwd)
            .to_owned(),
    };
    let mut known = Known::read(&run.journal_path(), attempt)?;
    let mut told = None;
    while let Some(item) = inbox.next(true)? {
        match item {
            Item::Metrics(values, step) => {
                for (key, value) in values {
                    known.enter(&Event::Metric { key, value, step }, journal)?;
                }
            }
            Item::Report(step, value) => known.enter(&Event::Report { step, value }, journal)?,
            Item::Event(event) => known.enter(&event, journal)?,
            Item::Artifact(path, name) => {
                known.enter_artifact(&place, &path, name.as_deref(), journal)?;
            }
            Item::Progress(_) => {}
            Item::Result(line) => told = Some(line),
        }
    }
    let Some(line) = told.filter(|_| !known.has_result) else {
        return Ok(None);
    };
    let (objective, direction) = objective(&manifest.config);
    let result = result(line, objective, direction);
    journal.append(&Event::Result(result.clone()))?;
    Ok(Some(result))
}

/// What the journal held before anything was settled.
#[derive(Default)]
struct Known {
    /// Metrics, reports and params of the attempts before: not written again.
    before: Replay,
    params: HashMap<String, Value>,
    /// How often it holds each event of this attempt, by their hashes.
    taken: HashMap<u64, u32>,
    has_result: bool,
}

impl Known {
    fn read(journal: &Path, attempt: u32) -> Result<Self> {
        let mut known = Self::default();
        let mut has_begun = false;
        for entry in Reader::open(journal, 0)? {
            match entry?.record.event {
                Event::State {
                    state: RunState::Running,
                    attempt: begun,
                    ..
                } if begun == attempt => has_begun = true,
                Event::Result(_) => known.has_result |= has_begun,
                event if has_begun => *known.taken.entry(hash(&event)).or_default() += 1,
                Event::Param { key, value } => {
                    known.params.entry(key).or_insert(value);
                }
                event => known.before.add(event),
            }
        }
        Ok(known)
    }

    /// Writes the event, unless the journal has it.
    fn enter(&mut self, event: &Event, journal: &mut Writer) -> Result<()> {
        let is_old = match event {
            Event::Metric { key, value, step } => self.before.lives_again(key, *step, *value),
            Event::Report { step, value } => self.before.report_lives_again(*step, *value),
            Event::Param { key, value } => self.params.get(key) == Some(value),
            _ => false,
        };
        if !is_old && !self.was_taken(event) {
            journal.append(event)?;
        }
        Ok(())
    }

    fn enter_artifact(
        &mut self,
        place: &Place,
        path: &Path,
        name: Option<&str>,
        journal: &mut Writer,
    ) -> Result<()> {
        let kept = place.name(path, name).and_then(|name| {
            let event = Event::Artifact { path: name.clone() };
            if self.was_taken(&event) {
                return Ok(None);
            }
            place.take(path, &name).map(|()| Some(event))
        });
        match kept {
            Ok(None) => Ok(()),
            Ok(Some(event)) => journal.append(&event).map(|_| ()),
            Err(message) => self.enter(&warning(message), journal),
        }
    }

    /// Whether the journal has this event; each of its records counts once.
    fn was_taken(&mut self, event: &Event) -> bool {
        match self.taken.get_mut(&hash(event)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// What is told of a file that can't be kept.
pub(super) fn warning(message: String) -> Event {
    Event::Log {
        level: LogLevel::Warning,
        message,
    }
}

fn hash(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(event)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}

/// The first metric that a stored configuration searches for, and how.
fn objective(config: &Value) -> (Option<&str>, Direction) {
    let first = config.pointer("/tune/objectives/0");
    let tune = first.or_else(|| config.get("tune"));
    let text = |key| tune.and_then(|tune| tune.get(key)).and_then(Value::as_str);
    let direction = match text("direction") {
        Some("maximize") => Direction::Maximize,
        _ => Direction::Minimize,
    };
    (text("metric"), direction)
}
