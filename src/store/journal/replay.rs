//! Keeps a resumed run from logging twice what it lives again.
//!
//! A train function that continues from a checkpoint repeats the steps after
//! it. What it logs then that equals what the journal holds already, in name,
//! step and every bit of the value, is the same fact and isn't written again;
//! whatever differs (a measured time, a result on a GPU) is.

use super::Reader;
use crate::store::StoreError;
use explr_protocol::Event;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Bound on memory: about 60 MB. A run that logs more between two checkpoints
/// logs the rest again.
const MOST: usize = 1_000_000;

/// The params that a journal holds, each with its first value.
pub(crate) fn params(journal: &Path) -> Result<HashMap<String, Value>, StoreError> {
    let mut params = HashMap::new();
    for entry in Reader::open(journal, 0)? {
        if let Event::Param { key, value } = entry?.record.event {
            params.entry(key).or_insert(value);
        }
    }
    Ok(params)
}

/// Stands for the reports among the metrics; no metric has this name.
const REPORT: &str = "";

/// Metrics and reports that the journal holds and the function has not repeated yet.
#[derive(Default)]
pub(crate) struct Replay {
    keys: HashMap<String, HashMap<(i64, u64), u32>>,
    left: usize,
}

impl Replay {
    /// Reads what the journal holds from record `seq` on.
    pub(crate) fn load(journal: &Path, seq: u64) -> Result<Self, StoreError> {
        let mut replay = Self::default();
        for entry in Reader::open(journal, 0)? {
            let record = entry?.record;
            if replay.left == MOST {
                break;
            }
            if record.seq >= seq {
                replay.add(record.event);
            }
        }
        Ok(replay)
    }

    /// Takes one event in, as far as there is room.
    pub(crate) fn add(&mut self, event: Event) {
        let (key, value, step) = match event {
            Event::Metric { key, value, step } => (key, value, step),
            Event::Report { value, step } => (REPORT.to_owned(), value, step),
            _ => return,
        };
        if self.left < MOST {
            let values = self.keys.entry(key).or_default();
            *values.entry((step, value.to_bits())).or_default() += 1;
            self.left += 1;
        }
    }

    /// Whether this report is in the journal already. Each one counts once.
    pub(crate) fn report_lives_again(&mut self, step: i64, value: f64) -> bool {
        self.lives_again(REPORT, step, value)
    }

    /// Whether this metric is in the journal already. Each one counts once.
    pub(crate) fn lives_again(&mut self, key: &str, step: i64, value: f64) -> bool {
        if self.left == 0 {
            return false;
        }
        let Some(values) = self.keys.get_mut(key) else {
            return false;
        };
        let Some(count) = values.get_mut(&(step, value.to_bits())) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            values.remove(&(step, value.to_bits()));
        }
        self.left -= 1;
        true
    }
}
