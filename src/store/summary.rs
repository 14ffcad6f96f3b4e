use super::journal::{Entry, Reader};
use super::{Result, RunDir, StoreError, files};
use explr_protocol::{Dataset, Event, Failure, RunState, TrainingResult, number};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A run in figures, folded from its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The newest state.
    pub state: RunState,
    /// The newest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// When the first attempt began, in Unix milliseconds.
    pub started_ms: Option<u64>,
    /// When the run came to its final state; none while it has none.
    pub ended_ms: Option<u64>,
    /// When the attempt that still goes on began.
    pub running_since_ms: Option<u64>,
    /// Time of all ended attempts together, pauses between them left out.
    pub active_ms: u64,
    /// Why the newest attempt failed.
    pub failure: Option<Failure>,
    /// The result of the newest attempt.
    pub result: Option<TrainingResult>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, MetricSummary>,
    /// Parameters by name; the first value counts, as in MLflow.
    pub params: BTreeMap<String, Value>,
    /// Tags by name; the last value counts.
    pub tags: BTreeMap<String, String>,
    /// Artifacts, as paths within the artifact folder.
    pub artifacts: BTreeSet<String>,
    /// Data sets.
    pub datasets: Vec<Dataset>,
    /// Checkpoints by path.
    pub checkpoints: BTreeMap<PathBuf, CheckpointSummary>,
    /// Number of records.
    pub records: u64,
    /// Time of the newest record, in Unix milliseconds.
    pub last_ms: Option<u64>,
}

/// A metric over a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Newest value.
    #[serde(with = "number")]
    pub last: f64,
    /// Step of the newest value.
    pub last_step: i64,
    /// Smallest value that is not NaN; NaN if all are.
    #[serde(with = "number")]
    pub min: f64,
    /// Largest value that is not NaN; NaN if all are.
    #[serde(with = "number")]
    pub max: f64,
    /// Number of values.
    pub count: u64,
}

/// A checkpoint that was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSummary {
    /// Epochs completed when it was taken.
    pub epoch: u64,
    /// Optimiser steps completed when it was taken.
    pub step: u64,
    /// Number of the journal's record about it: the highest is the newest.
    pub seq: u64,
}

impl Default for RunSummary {
    fn default() -> Self {
        Self {
            state: RunState::Created,
            attempt: 0,
            started_ms: None,
            ended_ms: None,
            running_since_ms: None,
            active_ms: 0,
            failure: None,
            result: None,
            metrics: BTreeMap::new(),
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            artifacts: BTreeSet::new(),
            datasets: Vec::new(),
            checkpoints: BTreeMap::new(),
            records: 0,
            last_ms: None,
        }
    }
}

impl RunSummary {
    /// The checkpoint that was completed last.
    pub fn newest_checkpoint(&self) -> Option<(&PathBuf, &CheckpointSummary)> {
        self.checkpoints.iter().max_by_key(|(_, found)| found.seq)
    }

    /// How long the run has worked, at time `now_ms`. A clock that was set
    /// back makes it too short, never negative.
    pub fn duration_ms(&self, now_ms: u64) -> u64 {
        let open = self
            .running_since_ms
            .map_or(0, |since| now_ms.saturating_sub(since));
        self.active_ms + open
    }

    /// Takes in one more record.
    pub fn add(&mut self, entry: &Entry) {
        let record = &entry.record;
        self.records = record.seq + 1;
        self.last_ms = Some(record.ts);
        match &record.event {
            Event::State {
                state,
                attempt,
                failure,
            } => self.enter(*state, *attempt, failure.as_ref(), record.ts),
            Event::Metric { key, value, step } => self.metric(key, *value, *step),
            Event::Param { key, value } => {
                if !self.params.contains_key(key) {
                    self.params.insert(key.clone(), value.clone());
                }
            }
            Event::Tag { key, value } => {
                self.tags.insert(key.clone(), value.clone());
            }
            Event::Artifact { path } => {
                self.artifacts.insert(path.clone());
            }
            Event::Dataset(dataset) => {
                if !self.datasets.contains(dataset) {
                    self.datasets.push(dataset.clone());
                }
            }
            Event::Checkpoint { path, epoch, step } => {
                let checkpoint = CheckpointSummary {
                    epoch: *epoch,
                    step: *step,
                    seq: record.seq,
                };
                self.checkpoints.insert(path.clone(), checkpoint);
            }
            Event::Result(result) => self.result = Some(result.clone()),
            Event::Report { .. } | Event::Log { .. } | Event::Resumed { .. } => {}
        }
    }

    fn enter(&mut self, state: RunState, attempt: u32, failure: Option<&Failure>, ts: u64) {
        if let Some(since) = self.running_since_ms.take() {
            self.active_ms += ts.saturating_sub(since);
        }
        if state == RunState::Running {
            self.started_ms.get_or_insert(ts);
            self.running_since_ms = Some(ts);
            // What an earlier attempt returned is void.
            self.result = None;
        }
        self.state = state;
        self.attempt = attempt;
        self.failure = failure.cloned();
        self.ended_ms = state.is_final().then_some(ts);
    }

    fn metric(&mut self, key: &str, value: f64, step: i64) {
        let Some(known) = self.metrics.get_mut(key) else {
            let first = MetricSummary {
                last: value,
                last_step: step,
                min: value,
                max: value,
                count: 1,
            };
            self.metrics.insert(key.to_owned(), first);
            return;
        };
        known.last = value;
        known.last_step = step;
        // `min` and `max` of floats prefer a number to NaN.
        known.min = known.min.min(value);
        known.max = known.max.max(value);
        known.count += 1;
    }
}

/// `summary.json`: a summary, and how much of the journal it covers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cache {
    format: u32,
    offset: u64,
    summary: RunSummary,
}

/// Raised when a summary means something else than before: older caches are
/// then made again.
const FORMAT: u32 = 1;

/// A cache this far behind a journal that still grows is written again.
const WORTH_WRITING: u64 = 20_000;

/// Brings the cache up to date and returns what it holds.
pub(super) fn load(run: &RunDir) -> Result<RunSummary> {
    let journal = run.journal_path();
    let len = journal
        .symlink_metadata()
        .map_err(StoreError::io("read", &journal))?
        .len();
    // A cache that can't be understood is no cache.
    let cache: Option<Cache> = files::read_json(&run.summary_path()).unwrap_or(None);
    let mut cache = cache
        .filter(|cache| cache.format == FORMAT && cache.offset <= len)
        .unwrap_or_default();
    if cache.format == FORMAT && cache.offset == len {
        return Ok(cache.summary);
    }
    let mut reader = Reader::resume(&journal, cache.offset, cache.summary.records)?;
    let before = cache.summary.records;
    for entry in reader.by_ref() {
        cache.summary.add(&entry?);
    }
    cache.format = FORMAT;
    cache.offset = reader.offset();
    let added = cache.summary.records - before;
    if added > 0 && (cache.summary.state.is_final() || added >= WORTH_WRITING) {
        // On a read-only store it is folded again every time.
        let _ = files::write_json(&run.summary_path(), &cache, files::Durability::Cache);
    }
    Ok(cache.summary)
}
