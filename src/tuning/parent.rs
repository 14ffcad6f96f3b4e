//! The run that stands for a study: its page in MLflow, under which the
//! trials are.

use crate::Error;
use crate::store::journal::{Reader, Writer};
use crate::store::{Manifest, RunDir, RunLock, Store, StoreError};
use explr_protocol::{Event, RunState};
use explr_study::{Domain, History, SearchSpace, Trial, TrialState};
use std::collections::HashSet;

/// Values of complete trials, by number of the trial.
const VALUE: &str = "value";
/// Last intermediate values of pruned trials.
const PRUNED: &str = "pruned_value";
/// 1 for each failed trial.
const FAILED: &str = "failed";
/// The best value so far.
const BEST: &str = "best_value";

/// The study's own run, held by this process.
pub(super) struct Parent {
    dir: RunDir,
    journal: Writer,
    attempt: u32,
    /// Trials that the journal tells of.
    told: HashSet<u64>,
    best: Option<f64>,
    _lock: RunLock,
}

impl Parent {
    /// Makes the run, or goes on with `earlier`.
    pub(super) fn enter(
        store: &Store,
        manifest: &Manifest,
        space: &SearchSpace,
        earlier: Option<RunDir>,
    ) -> Result<Self, Error> {
        let (dir, lock) = match earlier {
            Some(dir) => {
                let lock = dir.lock()?;
                (dir, lock)
            }
            None => store.create_locked_run(manifest)?,
        };
        let known = dir.summary()?;
        let mut journal = Writer::open(&dir.journal_path())?;
        if known.records == 0 {
            journal.append(&state(RunState::Created, 1))?;
        }
        for (key, value) in &manifest.tags {
            if !known.tags.contains_key(key) {
                journal.append(&tag(key, value.clone()))?;
            }
        }
        for parameter in space.parameters() {
            let key = format!("space.{}", parameter.name);
            if !known.params.contains_key(&key) {
                journal.append(&Event::Param {
                    key,
                    value: describe(&parameter.domain).into(),
                })?;
            }
        }
        let attempt = known.attempt + 1;
        journal.append(&state(RunState::Running, attempt))?;
        let told = trials_in(&dir)?;
        Ok(Self {
            best: known.metrics.get(BEST).map(|metric| metric.last),
            dir,
            journal,
            attempt,
            told,
            _lock: lock,
        })
    }

    /// The run's folder.
    pub(super) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Tells of every finished trial that it has not told of: after a crash
    /// the study may know more.
    pub(super) fn catch_up(&mut self, history: &History) -> Result<(), StoreError> {
        for trial in history.trials() {
            self.tell(history, trial)?;
        }
        Ok(())
    }

    /// Tells of a trial that is over.
    pub(super) fn tell(&mut self, history: &History, trial: &Trial) -> Result<(), StoreError> {
        if !trial.state.is_finished() || !self.told.insert(trial.number) {
            return Ok(());
        }
        let step = i64::try_from(trial.number).unwrap_or(i64::MAX);
        let value = trial.values.first().copied();
        match (trial.state, value) {
            (TrialState::Complete, Some(value)) => {
                self.journal.append_metrics([(VALUE, value)], step)?;
                let is_best = self
                    .best
                    .is_none_or(|best| history.loss(value) < history.loss(best));
                if is_best && history.directions().len() == 1 {
                    self.best = Some(value);
                    self.journal.append_metrics([(BEST, value)], step)?;
                    self.journal
                        .append(&tag("best.trial", trial.number.to_string()))?;
                    for (name, assigned) in &trial.params {
                        let text = match assigned.external() {
                            serde_json::Value::String(text) => text,
                            other => other.to_string(),
                        };
                        self.journal.append(&tag(&format!("best.{name}"), text))?;
                    }
                }
            }
            (TrialState::Pruned, Some(value)) => {
                self.journal.append_metrics([(PRUNED, value)], step)?;
            }
            (TrialState::Pruned, None) => {
                self.journal.append_metrics([(PRUNED, f64::NAN)], step)?;
            }
            _ => {
                self.journal.append_metrics([(FAILED, 1.0)], step)?;
            }
        }
        Ok(())
    }

    /// Writes files into the run's artifacts: name and content.
    pub(super) fn add_files(&mut self, files: &[(&str, String)]) -> Result<(), StoreError> {
        for (name, content) in files {
            let path = self.dir.artifact(name)?;
            std::fs::write(&path, content).map_err(StoreError::io("write", &path))?;
            self.journal.append(&Event::Artifact {
                path: (*name).to_owned(),
            })?;
        }
        Ok(())
    }

    /// Writes how the study ended.
    pub(super) fn close(&mut self, to: RunState) -> Result<(), StoreError> {
        self.journal.append(&state(to, self.attempt))?;
        Ok(())
    }
}

/// The trials that a study's run tells of.
fn trials_in(dir: &RunDir) -> Result<HashSet<u64>, StoreError> {
    let mut told = HashSet::new();
    for entry in Reader::open(&dir.journal_path(), 0)? {
        if let Event::Metric { key, step, .. } = entry?.record.event
            && [VALUE, PRUNED, FAILED].contains(&key.as_str())
        {
            told.extend(u64::try_from(step).ok());
        }
    }
    Ok(told)
}

/// A parameter's values, as people write them.
fn describe(domain: &Domain) -> String {
    use explr_study::Distribution;
    let log = |log: bool| if log { ", log" } else { "" };
    match domain {
        Domain::Fixed(value) => value.to_string(),
        Domain::Search(Distribution::Float(range)) => {
            let step = range
                .step()
                .map_or_else(String::new, |step| format!(", step {step}"));
            format!(
                "float {} to {}{}{step}",
                range.low(),
                range.high(),
                log(range.is_log())
            )
        }
        Domain::Search(Distribution::Int(range)) => {
            let step = if range.step() > 1 {
                format!(", step {}", range.step())
            } else {
                String::new()
            };
            format!(
                "int {} to {}{}{step}",
                range.low(),
                range.high(),
                log(range.is_log())
            )
        }
        Domain::Search(Distribution::Categorical(categories)) => {
            let choices: Vec<_> = categories
                .values()
                .iter()
                .map(ToString::to_string)
                .collect();
            format!("one of {}", choices.join(", "))
        }
    }
}

fn tag(key: &str, value: String) -> Event {
    Event::Tag {
        key: key.to_owned(),
        value,
    }
}

fn state(state: RunState, attempt: u32) -> Event {
    Event::State {
        state,
        attempt,
        failure: None,
    }
}
