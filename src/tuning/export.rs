//! A study as files: for spreadsheets, for programs, and to be fed back.

use explr_protocol::number;
use explr_study::{History, Trial};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// All trials as comma-separated values, one a line, with a column for each
/// parameter and objective.
pub fn csv(history: &History) -> String {
    let names: BTreeSet<&str> = history
        .trials()
        .iter()
        .flat_map(|trial| trial.params.keys().map(String::as_str))
        .collect();
    let objectives = history.directions().len();
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = ["number", "state"].map(str::to_owned).to_vec();
    header.extend((0..objectives).map(|index| match objectives {
        1 => "value".to_owned(),
        _ => format!("value_{index}"),
    }));
    header.extend(["started", "finished", "seconds", "last_step", "run"].map(str::to_owned));
    header.extend(names.iter().map(|name| format!("params.{name}")));
    // Writing into memory can't fail.
    let _ = out.write_record(&header);
    for trial in history.trials() {
        let mut row = vec![trial.number.to_string(), trial.state.to_string()];
        row.extend((0..objectives).map(|index| {
            trial
                .values
                .get(index)
                .map_or_else(String::new, ToString::to_string)
        }));
        let moment =
            |time: Option<jiff::Timestamp>| time.map_or_else(String::new, |time| time.to_string());
        row.push(moment(trial.started));
        row.push(moment(trial.finished));
        row.push(seconds(trial).map_or_else(String::new, |seconds| format!("{seconds:.3}")));
        row.push(
            trial
                .last_report()
                .map_or_else(String::new, |(step, _)| step.to_string()),
        );
        row.push(run_of(trial).unwrap_or_default().to_owned());
        row.extend(names.iter().map(|name| {
            trial
                .param(name)
                .map_or_else(String::new, |value| match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                })
        }));
        let _ = out.write_record(&row);
    }
    let bytes = out.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole study as JSON.
pub fn json(history: &History) -> Value {
    json!({
        "study": history.name(),
        "directions": history.directions(),
        "trials": history.trials().iter().map(trial_json).collect::<Vec<_>>(),
    })
}

/// One trial as JSON. Numbers that JSON does not have are their names.
pub fn trial_json(trial: &Trial) -> Value {
    let intermediate: Map<String, Value> = trial
        .intermediate
        .iter()
        .map(|(step, value)| (step.to_string(), number::to_value(*value)))
        .collect();
    json!({
        "number": trial.number,
        "state": trial.state.as_str(),
        "values": trial.values.iter().copied().map(number::to_value).collect::<Vec<_>>(),
        "params": trial.external_params(),
        "intermediate_values": intermediate,
        "started": trial.started.map(|time| time.to_string()),
        "finished": trial.finished.map(|time| time.to_string()),
        "seconds": seconds(trial),
        "run": run_of(trial),
        "failure": trial.user_attrs.get(super::FAILURE_ATTR),
    })
}

/// What `explr run --params` reads: a trial's parameters and where they come
/// from.
pub fn best_json(history: &History, trial: &Trial) -> Value {
    json!({
        "study": history.name(),
        "trial": trial.number,
        "values": trial.values.iter().copied().map(number::to_value).collect::<Vec<_>>(),
        "params": trial.external_params(),
    })
}

/// The run of a trial.
pub fn run_of(trial: &Trial) -> Option<&str> {
    trial.user_attrs.get(super::RUN_ATTR)?.as_str()
}

/// How long it took.
fn seconds(trial: &Trial) -> Option<f64> {
    let (from, to) = (trial.started?, trial.finished?);
    Some(to.duration_since(from).as_secs_f64())
}
