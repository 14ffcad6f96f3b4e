//! The result of a command that ended well.

use super::{failed, journal};
use crate::store::inbox;
use crate::store::journal::Reader;
use explr_protocol::{Command, Event, FailureClass, LineResult, TrainError, TrainingResult};
use std::collections::BTreeMap;
use std::path::Path;

/// What a command told that may be its result.
#[derive(Default)]
pub(super) struct Found {
    /// The line that says so.
    pub(super) result: Option<LineResult>,
    /// The last value of each metric in this attempt.
    pub(super) last: BTreeMap<String, f64>,
}

/// The result: what the command says it is, else the last value of the
/// study's metric, else that of the only metric.
pub(super) fn of(
    mut found: Found,
    command: &Command,
    events: &Path,
) -> Result<TrainingResult, TrainError> {
    let wanted = &command.objectives;
    let is_enough = match wanted.first() {
        Some(_) => wanted.iter().all(|name| found.last.contains_key(name)),
        None => !found.last.is_empty(),
    };
    if found.result.is_none() && !is_enough {
        // An attempt that finds all done logs nothing.
        let mut all = last(events)?;
        all.append(&mut found.last);
        found.last = all;
    }
    let line = match found.result.take() {
        Some(line) => line,
        None => made_of(&found.last, wanted)?,
    };
    let objective = wanted.first().map(String::as_str);
    let mut result = inbox::result(line, objective, command.direction);
    for name in wanted {
        if let Some(value) = found.last.get(name)
            && *name != result.primary_metric_name
        {
            result.metrics.entry(name.clone()).or_insert(*value);
        }
    }
    Ok(result)
}

fn made_of(last: &BTreeMap<String, f64>, wanted: &[String]) -> Result<LineResult, TrainError> {
    let only = last.first_key_value().filter(|_| last.len() == 1);
    let chosen = match wanted.first() {
        Some(name) => last.get_key_value(name),
        None => only,
    };
    let (key, value) = chosen.ok_or_else(|| no_result(last, wanted.first()))?;
    Ok(LineResult {
        value: *value,
        key: Some(key.clone()),
        direction: None,
        metrics: BTreeMap::new(),
        model: None,
        epochs: None,
    })
}

fn no_result(last: &BTreeMap<String, f64>, wanted: Option<&String>) -> TrainError {
    let known: Vec<_> = last
        .keys()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    let known = if known.is_empty() {
        "no metric".to_owned()
    } else {
        known.join(", ")
    };
    let result = r#"`{"type":"result","value":0.5}` to the file that EXPLR_EVENTS names"#;
    let message = match wanted {
        Some(name) => format!(
            "the command ended well, but never logged `{name}`, which the study looks at; it \
             logged {known}\n\
             help: log it, set `tune.metric` to what it logs, or append {result}"
        ),
        None => format!(
            "the command ended well, but nothing says what its result is: it logged {known}\n\
             help: set `tune.metric` to a metric that it logs, or append {result}"
        ),
    };
    failed(FailureClass::Error, message)
}

/// The last value of each metric of the whole run.
fn last(events: &Path) -> Result<BTreeMap<String, f64>, TrainError> {
    let mut last = BTreeMap::new();
    for entry in Reader::open(events, 0).map_err(journal)? {
        if let Event::Metric { key, value, .. } = entry.map_err(journal)?.record.event
            && !key.starts_with("system/")
        {
            last.insert(key, value);
        }
    }
    Ok(last)
}
