//! What the page's scripts draw, as JSON.

use crate::analysis::importances;
use crate::{Distribution, History, Trial};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Curves of intermediate values on the page, at most.
const MOST_CURVES: usize = 400;
/// Points of a curve, at most.
const MOST_POINTS: usize = 200;

/// The whole study by columns: a page of 10,000 trials stays small.
pub(super) fn data(history: &History, objectives: &[String]) -> Value {
    let trials = history.trials();
    let parameters = parameters(history);
    let column = |of: &dyn Fn(&Trial) -> Value| trials.iter().map(of).collect::<Vec<_>>();
    let values: Vec<Vec<Value>> = (0..history.directions().len())
        .map(|place| column(&|trial| trial.values.get(place).map_or(Value::Null, |v| number(*v))))
        .collect();
    let params: Vec<Vec<Value>> = parameters
        .iter()
        .map(|(name, distribution)| column(&|trial| value_of(trial, name, distribution)))
        .collect();
    let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| at.as_millisecond().into());
    json!({
        "name": history.name(),
        "objectives": (0..history.directions().len()).map(|place| json!({
            "label": label(objectives, place, history.directions().len()),
            "maximize": history.directions()[place] == crate::Direction::Maximize,
        })).collect::<Vec<_>>(),
        "params": parameters
            .iter()
            .map(|(name, distribution)| describe(name, distribution))
            .collect::<Vec<_>>(),
        "trials": {
            "state": column(&|trial| (trial.state as u8).into()),
            "start": column(&|trial| time(trial.started)),
            "end": column(&|trial| time(trial.finished)),
            "values": values,
            "params": params,
        },
        "front": match history.directions() {
            [_] => Vec::new(),
            _ => history.pareto_front().iter().map(|trial| trial.number).collect(),
        },
        "curves": curves(history),
        "reporting": trials.iter().filter(|trial| !trial.intermediate.is_empty()).count(),
        "importances": (0..history.directions().len()).map(|place| {
            let found = importances(history, place).into_iter();
            found.map(|found| json!([found.name, number(found.share)])).collect()
        }).collect::<Vec<Vec<Value>>>(),
    })
}

/// What an objective is called: by its user, or by its place.
pub(super) fn label(objectives: &[String], place: usize, count: usize) -> String {
    match objectives.get(place) {
        Some(label) => label.clone(),
        None if count == 1 => "objective".to_owned(),
        None => format!("objective {}", place + 1),
    }
}

/// Every parameter of the study with its newest distribution.
fn parameters(history: &History) -> BTreeMap<&str, &Arc<Distribution>> {
    let assigned = history.trials().iter().flat_map(|trial| &trial.params);
    assigned
        .map(|(name, assigned)| (name.as_str(), &assigned.distribution))
        .collect()
}

fn describe(name: &str, distribution: &Distribution) -> Value {
    match distribution {
        Distribution::Float(range) => json!({
            "name": name,
            "low": number(range.low()),
            "high": number(range.high()),
            "log": range.is_log(),
        }),
        Distribution::Int(range) => json!({
            "name": name,
            "low": range.low(),
            "high": range.high(),
            "log": range.is_log(),
            "int": true,
        }),
        Distribution::Categorical(categories) => json!({
            "name": name,
            "choices": categories.values().iter().map(shown).collect::<Vec<_>>(),
        }),
    }
}

/// A trial's value of a parameter as the newest distribution has it.
fn value_of(trial: &Trial, name: &str, distribution: &Arc<Distribution>) -> Value {
    let Some(assigned) = trial.params.get(name) else {
        return Value::Null;
    };
    let categorical = matches!(**distribution, Distribution::Categorical(_));
    let internal = match *assigned.distribution {
        _ if assigned.distribution == *distribution => Some(assigned.internal),
        Distribution::Categorical(_) => distribution.internal(&assigned.external()),
        Distribution::Float(_) | Distribution::Int(_) if categorical => {
            distribution.internal(&assigned.external())
        }
        // Another range: the number is a number all the same.
        Distribution::Float(_) | Distribution::Int(_) => Some(assigned.internal),
    };
    internal.map_or(Value::Null, number)
}

/// A choice as a person reads it.
fn shown(choice: &Value) -> String {
    match choice {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Intermediate values by trial: all trials of a small study, an even choice
/// of a large one that holds the best trial.
fn curves(history: &History) -> Vec<Value> {
    let best = history.best().map(|trial| trial.number);
    let reporting: Vec<&Trial> = history
        .trials()
        .iter()
        .filter(|trial| !trial.intermediate.is_empty())
        .collect();
    let kept = spread(reporting.len(), MOST_CURVES);
    reporting
        .iter()
        .enumerate()
        .filter(|(place, trial)| kept(*place) || Some(trial.number) == best)
        .map(|(_, trial)| {
            let kept = spread(trial.intermediate.len(), MOST_POINTS);
            let points = || {
                let points = trial.intermediate.iter().enumerate();
                points
                    .filter(|(place, _)| kept(*place))
                    .map(|(_, point)| point)
            };
            json!({
                "trial": trial.number,
                "steps": points().map(|(step, _)| *step).collect::<Vec<_>>(),
                "values": points().map(|(_, value)| number(*value)).collect::<Vec<_>>(),
            })
        })
        .collect()
}

/// Whether a place of `count` is among about `most` evenly spread ones, the
/// first and the last included.
fn spread(count: usize, most: usize) -> impl Fn(usize) -> bool {
    let stride = count.div_ceil(most).max(1);
    move |place| place % stride == 0 || place + 1 == count
}

/// A number with seven significant digits; what JSON has no number for as
/// text.
fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else if value.fract() == 0.0 && value.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
        Value::from(value as i64)
    } else {
        format!("{value:.6e}")
            .parse::<f64>()
            .unwrap_or(value)
            .into()
    }
}
