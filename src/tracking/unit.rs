//! The journal cut into pieces that are sent at once.

use super::batch::{Batch, Item, Metric, Pair, cut_param, cut_tag, param_text};
use super::cursor::Renamed;
use super::names::Names;
use crate::store::journal::{Entry, Reader};
use explr_protocol::{Dataset, Event, Failure, Record, RunState, TrainingResult};

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
    /// Metrics, parameters and tags. Empty where the records were of a kind
    /// that MLflow has no place for.
    Batch {
        batch: Batch,
        long_values: Vec<LongValue>,
    },
    State {
        state: RunState,
        attempt: u32,
        failure: Option<Failure>,
        ts: u64,
    },
    Artifact(String),
    Dataset(Dataset),
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
}

impl Units {
    pub(super) fn new(reader: Reader, records: u64, renamed: Renamed) -> Self {
        Self {
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
            if long_values
                .iter()
                .map(|value| value.text.len())
                .sum::<usize>()
                > LONG_VALUES
            {
                break;
            }
        }
        Ok(end.map(|end_offset| Unit {
            work: Work::Batch { batch, long_values },
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
            Event::Tag { key, value } => {
                let cut = cut_tag(value);
                let key = self.tags.map(key).into_owned();
                vec![pair("tags", key, value.clone(), cut, Item::Tag)]
            }
            Event::Result(result) => self.result(result, record.ts),
            Event::Report { .. }
            | Event::Log { .. }
            | Event::Resumed { .. }
            | Event::Checkpoint { .. } => Vec::new(),
            Event::State { .. } | Event::Artifact { .. } | Event::Dataset(_) => return None,
        })
    }

    fn metric(&mut self, key: &str, value: f64, step: i64, timestamp: u64) -> Item {
        Item::Metric(Metric {
            key: self.metrics.map(key).into_owned(),
            value,
            timestamp,
            step,
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
                    self.metric(&format!("result/{name}"), *value, step, ts),
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

fn action(record: Record) -> Work {
    match record.event {
        Event::State {
            state,
            attempt,
            failure,
        } => Work::State {
            state,
            attempt,
            failure,
            ts: record.ts,
        },
        Event::Artifact { path } => Work::Artifact(path),
        Event::Dataset(dataset) => Work::Dataset(dataset),
        _ => Work::Batch {
            batch: Batch::default(),
            long_values: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Renamed, Units, Work};
    use crate::store::journal::{Reader, Writer};
    use explr_protocol::{Event, LogLevel, RunState};
    use std::path::Path;

    fn units(path: &Path) -> Units {
        Units::new(Reader::open(path, 0).unwrap(), 0, Renamed::default())
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
                Work::Batch { batch, .. } => batch.len(),
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

    #[test]
    fn other_work_stands_between_batches() {
        let state = |state| Event::State {
            state,
            attempt: 1,
            failure: None,
        };
        let log = Event::Log {
            level: LogLevel::Info,
            message: "hello".into(),
        };
        let events = [
            state(RunState::Running),
            metric(1),
            log.clone(),
            metric(2),
            Event::Artifact { path: "a".into() },
            metric(3),
            state(RunState::Completed),
            log,
        ];
        assert_eq!(sizes(&events), [0, 2, 0, 1, 0, 0]);
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
        let Some(Work::Batch { long_values, .. }) =
            units(&path).next().unwrap().map(|unit| unit.work)
        else {
            panic!("a batch")
        };
        assert_eq!(long_values[0].file, "explr/params/prompt.txt");
        assert_eq!(long_values[0].text, text);
    }
}
