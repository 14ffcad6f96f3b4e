//! The journal cut into pieces that are sent at once.

use super::api::RunStatus;
use super::batch::{Batch, Item, Metric, Pair, RESULT, cut_param, cut_tag, param_text};
use super::cursor::Renamed;
use super::describe::{self, FAILURE, TRIAL_STATE, failure_text};
use super::names::Names;
use crate::store::journal::{Entry, Reader};
use explr_protocol::{Dataset, Event, Failure, Record, RunState, TrainingResult};

/// Metric that holds what a trial reported to its study's pruner.
const REPORT: &str = "intermediate_value";

/// Long values that wait to be uploaded stay below this, in bytes.
const LONG_VALUES: usize = 4 << 20;

/// What is sent at once, and how far the run has been shipped then.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) work: Work,
    pub(super) end_offset: u64,
    pub(super) records: u64,
    /// The journal ended here when the unit was cut.
    pub(super) at_end: bool,
}

/// Something to send.
#[derive(Debug)]
pub(super) enum Work {
    /// Metrics, parameters and tags, and the status that they lead up to.
    /// Empty where the records were of a kind that MLflow has no place for.
    Log {
        batch: Batch,
        long_values: Vec<LongValue>,
        status: Option<StatusChange>,
    },
    Artifact(String),
    Dataset(Dataset),
}

/// A new status of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusChange {
    pub(super) status: RunStatus,
    /// When the run ended.
    pub(super) end: Option<u64>,
    /// The reason of an earlier attempt's failure is void.
    pub(super) recovered: bool,
}

/// A value that MLflow would cut, which goes there as a file.
#[derive(Debug)]
pub(super) struct LongValue {
    pub(super) file: String,
    pub(super) text: String,
}

/// Cuts a journal into units, in order. Holds one unit's worth of it.
#[derive(Debug)]
pub(super) struct Units {
    reader: Reader,
    records: u64,
    /// Read, but for the next unit.
    pending: Option<Entry>,
    metrics: Names,
    params: Names,
    tags: Names,
    /// The run is a trial of a study.
    trial: bool,
}

impl Units {
    pub(super) fn new(reader: Reader, records: u64, renamed: Renamed, trial: bool) -> Self {
        Self {
            trial,
            reader,
            records,
            pending: None,
            metrics: Names::new(renamed.metrics),
            params: Names::new(renamed.params),
            tags: Names::new(renamed.tags),
        }
    }

    /// What had to be changed so far.
    pub(super) fn renamed(&self) -> Renamed {
        Renamed {
            metrics: self.metrics.changed().clone(),
            params: self.params.changed().clone(),
            tags: self.tags.changed().clone(),
        }
    }

    /// How many keys had to be changed so far.
    pub(super) fn renames(&self) -> usize {
        self.metrics.changed().len() + self.params.changed().len() + self.tags.changed().len()
    }

    /// The next unit of what the journal holds by now; none at its end.
    pub(super) fn next(&mut self) -> crate::store::Result<Option<Unit>> {
        let mut batch = Batch::default();
        let mut long_values: Vec<LongValue> = Vec::new();
        let mut end = None;
        let mut at_end = false;
        let mut status = None;
        loop {
            let Some(entry) = self.next_entry()? else {
                at_end = true;
                break;
            };
            let taken = match self.items(&entry.record) {
                Some(items) => items.into_iter().try_for_each(|(item, long_value)| {
                    batch.push(item)?;
                    long_values.extend(long_value);
                    Ok::<_, Item>(())
                }),
                None if end.is_none() => {
                    self.records = entry.record.seq + 1;
                    return Ok(Some(Unit {
                        end_offset: entry.end_offset,
                        records: self.records,
                        at_end: false,
                        work: action(entry.record),
                    }));
                }
                None => {
                    self.pending = Some(entry);
                    break;
                }
            };
            if taken.is_err() {
                self.pending = Some(entry);
                break;
            }
            self.records = entry.record.seq + 1;
            end = Some(entry.end_offset);
            status = status_change(&entry.record);
            let long: usize = long_values.iter().map(|value| value.text.len()).sum();
            if status.is_some() || long > LONG_VALUES {
                break;
            }
        }
        Ok(end.map(|end_offset| Unit {
            work: Work::Log {
                batch,
                long_values,
                status,
            },
            end_offset,
            records: self.records,
            at_end,
        }))
    }

    fn next_entry(&mut self) -> crate::store::Result<Option<Entry>> {
        match self.pending.take() {
            Some(entry) => Ok(Some(entry)),
            None => self.reader.next().transpose(),
        }
    }

    /// What a record logs; none for one that is work of its own.
    fn items(&mut self, record: &Record) -> Option<Vec<(Item, Option<LongValue>)>> {
        Some(match &record.event {
            Event::Metric { key, value, step } => {
                vec![(self.metric(key, *value, *step, record.ts), None)]
            }
            Event::Param { key, value } => {
                let text = param_text(value);
                let cut = cut_param(&text);
                let key = self.params.map(key).into_owned();
                vec![pair("params", key, text, cut, Item::Param)]
            }
            Event::Tag { key, .. } if self.trial && describe::OF_A_TRIAL.contains(&&**key) => {
                Vec::new()
            }
            Event::Tag { key, value } => {
                let cut = cut_tag(value);
                let key = self.tags.map(key).into_owned();
                vec![pair("tags", key, value.clone(), cut, Item::Tag)]
            }
            Event::Report { step, value } => {
                vec![(self.metric(REPORT, *value, *step, record.ts), None)]
            }
            Event::Result(result) => self.result(result, record.ts),
            Event::State { state, failure, .. } => self.state(*state, failure.as_ref()),
            Event::Log { .. } | Event::Resumed { .. } | Event::Checkpoint { .. } => Vec::new(),
            Event::Artifact { .. } | Event::Dataset(_) => return None,
        })
    }

    /// What a state says beside MLflow's status.
    fn state(&self, state: RunState, failure: Option<&Failure>) -> Vec<(Item, Option<LongValue>)> {
        let tag = |key: &str, value: String| {
            let key = key.to_owned();
            (Item::Tag(Pair { key, value }), None)
        };
        let failure = failure.map(|failure| tag(FAILURE, failure_text(failure)));
        let state = self.trial.then(|| tag(TRIAL_STATE, state.to_string()));
        failure.into_iter().chain(state).collect()
    }

    fn metric(&mut self, key: &str, value: f64, step: i64, timestamp: u64) -> Item {
        Item::Metric(Metric {
            key: self.metrics.map(key).into_owned(),
            value,
            timestamp,
            step,
            model_id: None,
        })
    }

    /// The final values, under names of their own: `result/val_loss` is what
    /// the function returned, usually the best, where `val_loss` ends with the
    /// latest.
    fn result(&mut self, result: &TrainingResult, ts: u64) -> Vec<(Item, Option<LongValue>)> {
        let primary = (&result.primary_metric_name, &result.primary_metric);
        let others = (result.metrics.iter()).filter(|(name, _)| *name != primary.0);
        // At step 0 MLflow draws bars that compare runs, not a line of one point.
        let step = 0;
        std::iter::once(primary)
            .chain(others)
            .map(|(name, value)| {
                (
                    self.metric(&format!("{RESULT}{name}"), *value, step, ts),
                    None,
                )
            })
            .collect()
    }
}

fn pair(
    folder: &str,
    key: String,
    text: String,
    cut: Option<String>,
    kind: fn(Pair) -> Item,
) -> (Item, Option<LongValue>) {
    let Some(value) = cut else {
        return (kind(Pair { key, value: text }), None);
    };
    let file = format!("explr/{folder}/{key}.txt");
    (kind(Pair { key, value }), Some(LongValue { file, text }))
}

/// The status to set after a record; none where MLflow has it already, as it
/// has `RUNNING` from a run's creation on.
fn status_change(record: &Record) -> Option<StatusChange> {
    let Event::State {
        state,
        attempt,
        failure,
    } = &record.event
    else {
        return None;
    };
    let first = *attempt <= 1;
    let status = describe::status(*state)?;
    (!first || status != RunStatus::Running).then(|| StatusChange {
        status,
        end: state.is_final().then_some(record.ts),
        recovered: failure.is_none() && !first,
    })
}

fn action(record: Record) -> Work {
    match record.event {
        Event::Artifact { path } => Work::Artifact(path),
        Event::Dataset(dataset) => Work::Dataset(dataset),
        _ => Work::Log {
            batch: Batch::default(),
            long_values: Vec::new(),
            status: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Renamed, RunStatus, StatusChange, Units, Work};
    use crate::store::journal::{Reader, Writer};
    use explr_protocol::{Event, Failure, FailureClass, LogLevel, RunState};
    use serde_json::{Value, json};
    use std::path::Path;

    fn units(path: &Path) -> Units {
        Units::new(Reader::open(path, 0).unwrap(), 0, Renamed::default(), false)
    }

    fn metric(n: u32) -> Event {
        Event::Metric {
            key: "loss".into(),
            value: f64::from(n),
            step: n.into(),
        }
    }

    /// Writes the events and returns the sizes of the units, 0 for actions.
    fn sizes(events: &[Event]) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        for event in events {
            writer.append(event).unwrap();
        }
        let mut units = units(&path);
        let mut sizes = Vec::new();
        let mut records = 0;
        while let Some(unit) = units.next().unwrap() {
            assert!(unit.records > records);
            records = unit.records;
            sizes.push(match unit.work {
                Work::Log { batch, .. } => batch.len(),
                _ => 0,
            });
        }
        assert_eq!(records, events.len() as u64, "every record is in a unit");
        sizes
    }

    #[test]
    fn batches_are_full_and_in_order() {
        let events: Vec<_> = (0..2500).map(metric).collect();
        assert_eq!(sizes(&events), [1000, 1000, 500]);
    }

    fn state(state: RunState, attempt: u32) -> Event {
        Event::State {
            state,
            attempt,
            failure: None,
        }
    }

    #[test]
    fn artifacts_stand_between_batches_and_a_status_ends_one() {
        let log = Event::Log {
            level: LogLevel::Info,
            message: "hello".into(),
        };
        let events = [
            state(RunState::Running, 1),
            metric(1),
            log.clone(),
            metric(2),
            Event::Artifact { path: "a".into() },
            metric(3),
            state(RunState::Completed, 1),
            log,
        ];
        assert_eq!(sizes(&events), [2, 0, 1, 0]);
    }

    /// The units of what a trial logs: its tags, and the status.
    fn of_a_trial(events: &[Event]) -> Vec<(Value, Option<StatusChange>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        for event in events {
            writer.append(event).unwrap();
        }
        let reader = Reader::open(&path, 0).unwrap();
        let mut units = Units::new(reader, 0, Renamed::default(), true);
        let mut found = Vec::new();
        while let Some(unit) = units.next().unwrap() {
            let Work::Log { batch, status, .. } = unit.work else {
                panic!("a batch")
            };
            found.push((json!(batch)["tags"].take(), status));
        }
        found
    }

    #[test]
    fn a_trial_that_ends_soon_is_one_unit() {
        let tag = |key: &str| Event::Tag {
            key: key.into(),
            value: "from the config".into(),
        };
        let found = of_a_trial(&[
            state(RunState::Created, 1),
            tag("mlflow.runName"),
            tag("mlflow.parentRunId"),
            state(RunState::Running, 1),
            metric(1),
            state(RunState::Completed, 1),
        ]);
        let [(tags, Some(change))] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            *tags,
            json!([{"key": "explr.trial.state", "value": "completed"}]),
            "the newest state, and no name or parent but the study's"
        );
        assert_eq!(change.status, RunStatus::Finished);
        assert!(change.end.is_some() && !change.recovered);
    }

    #[test]
    fn an_attempt_that_goes_on_takes_back_what_the_last_one_left() {
        let failed = Event::State {
            state: RunState::Failed,
            attempt: 1,
            failure: Some(Failure {
                class: FailureClass::Signal,
                message: "killed".into(),
                location: None,
                log_tail: vec![],
            }),
        };
        let found = of_a_trial(&[failed, state(RunState::Running, 2)]);
        assert_eq!(
            found[0].0,
            json!([
                {"key": "explr.failure", "value": "signal: killed"},
                {"key": "explr.trial.state", "value": "failed"},
            ])
        );
        let expected = StatusChange {
            status: RunStatus::Running,
            end: None,
            recovered: true,
        };
        assert_eq!(found[1].1, Some(expected));
    }

    #[test]
    fn a_changed_parameter_begins_a_batch_of_its_own() {
        let param = |value: &str| Event::Param {
            key: "lr".into(),
            value: value.into(),
        };
        assert_eq!(sizes(&[param("1"), param("1"), param("2")]), [1, 1]);
    }

    #[test]
    fn a_long_value_goes_along_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let text = "x".repeat(7000);
        let event = Event::Param {
            key: "prompt".into(),
            value: text.clone().into(),
        };
        Writer::open(&path).unwrap().append(&event).unwrap();
        let Some(Work::Log { long_values, .. }) =
            units(&path).next().unwrap().map(|unit| unit.work)
        else {
            panic!("a batch")
        };
        assert_eq!(long_values[0].file, "explr/params/prompt.txt");
        assert_eq!(long_values[0].text, text);
    }
}
