//! Lines as records.

use super::distribution::from_json;
use super::nonfinite::{self, Int, Num};
use super::record::{NewTrial, Op, Record};
use crate::distribution::Distribution;
use crate::trial::{Assigned, TrialState};
use explr_protocol::Direction;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Reads lines. It keeps the distributions that it has seen: thousands of
/// trials share a few.
#[derive(Debug, Default)]
pub(super) struct Reader {
    distributions: HashMap<String, Arc<Distribution>>,
}

/// Every field of every record.
#[derive(Deserialize)]
struct Raw {
    op_code: Int,
    worker_id: String,
    study_id: Option<Int>,
    study_name: Option<String>,
    directions: Option<Vec<Int>>,
    user_attr: Option<Map<String, Value>>,
    system_attr: Option<Map<String, Value>>,
    trial_id: Option<Int>,
    state: Option<Int>,
    value: Option<Num>,
    values: Option<Vec<Num>>,
    datetime_start: Option<String>,
    datetime_complete: Option<String>,
    distributions: Option<BTreeMap<String, String>>,
    params: Option<BTreeMap<String, Num>>,
    user_attrs: Option<Map<String, Value>>,
    system_attrs: Option<Map<String, Value>>,
    intermediate_values: Option<BTreeMap<String, Num>>,
    param_name: Option<String>,
    param_value_internal: Option<Num>,
    distribution: Option<String>,
    step: Option<Int>,
    intermediate_value: Option<Num>,
}

impl Reader {
    /// The record of a line, or what is wrong with it.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Record, String> {
        let mut raw: Raw =
            nonfinite::parse(line).map_err(|error| format!("not a record of a study: {error}"))?;
        let worker = std::mem::take(&mut raw.worker_id);
        let op = match raw.op_code.0 {
            0 => Op::CreateStudy {
                name: need(raw.study_name, "study_name")?,
                directions: directions(&need(raw.directions, "directions")?)?,
            },
            1 => Op::DeleteStudy {
                study: id(raw.study_id, "study_id")?,
            },
            2 => Op::StudyUserAttrs {
                study: id(raw.study_id, "study_id")?,
                attrs: need(raw.user_attr, "user_attr")?,
            },
            3 => Op::StudySystemAttrs {
                study: id(raw.study_id, "study_id")?,
                attrs: need(raw.system_attr, "system_attr")?,
            },
            4 => Op::CreateTrial {
                study: id(raw.study_id, "study_id")?,
                trial: Box::new(self.trial(raw)?),
            },
            5 => Op::Param {
                trial: id(raw.trial_id, "trial_id")?,
                assigned: self.assigned(
                    need(raw.param_value_internal, "param_value_internal")?,
                    &need(raw.distribution, "distribution")?,
                )?,
                name: need(raw.param_name, "param_name")?,
            },
            6 => {
                let state = state(need(raw.state, "state")?)?;
                let at = match state {
                    TrialState::Running => Some(need(raw.datetime_start, "datetime_start")?),
                    TrialState::Waiting => None,
                    _ => Some(need(raw.datetime_complete, "datetime_complete")?),
                };
                Op::State {
                    trial: id(raw.trial_id, "trial_id")?,
                    state,
                    values: raw.values.map(plain),
                    at: at.as_deref().map(time).transpose()?,
                }
            }
            7 => Op::Intermediate {
                trial: id(raw.trial_id, "trial_id")?,
                step: need(raw.step, "step")?.0,
                value: need(raw.intermediate_value, "intermediate_value")?.0,
            },
            8 => Op::TrialUserAttrs {
                trial: id(raw.trial_id, "trial_id")?,
                attrs: need(raw.user_attr, "user_attr")?,
            },
            9 => Op::TrialSystemAttrs {
                trial: id(raw.trial_id, "trial_id")?,
                attrs: need(raw.system_attr, "system_attr")?,
            },
            10 => Op::DiscardTrials,
            code => {
                return Err(format!(
                    "the operation {code} is unknown; a newer Optuna may have written it"
                ));
            }
        };
        Ok(Record { worker, op })
    }

    fn trial(&mut self, raw: Raw) -> Result<NewTrial, String> {
        let distributions = raw.distributions.unwrap_or_default();
        let mut params = BTreeMap::new();
        for (name, internal) in raw.params.unwrap_or_default() {
            let distribution = distributions
                .get(&name)
                .ok_or_else(|| format!("the parameter `{name}` has no distribution"))?;
            params.insert(name, self.assigned(internal, distribution)?);
        }
        let mut intermediate = BTreeMap::new();
        for (step, value) in raw.intermediate_values.unwrap_or_default() {
            let step = step
                .parse()
                .map_err(|_| format!("`{step}` is no step of an intermediate value"))?;
            intermediate.insert(step, value.0);
        }
        Ok(NewTrial {
            state: match raw.state {
                Some(number) => state(number)?,
                None => TrialState::Running,
            },
            params,
            values: match (raw.values, raw.value) {
                (Some(values), _) => plain(values),
                (None, Some(value)) => vec![value.0],
                (None, None) => Vec::new(),
            },
            intermediate,
            user_attrs: raw.user_attrs.unwrap_or_default(),
            system_attrs: raw.system_attrs.unwrap_or_default(),
            started: raw.datetime_start.as_deref().map(time).transpose()?,
            finished: raw.datetime_complete.as_deref().map(time).transpose()?,
        })
    }

    fn assigned(&mut self, internal: Num, distribution: &str) -> Result<Assigned, String> {
        let distribution = if let Some(known) = self.distributions.get(distribution) {
            known.clone()
        } else {
            let read = from_json(distribution)
                .map_err(|error| format!("the distribution {distribution}: {error}"))?;
            let read = Arc::new(read);
            self.distributions
                .insert(distribution.to_owned(), read.clone());
            read
        };
        if let Distribution::Categorical(_) = *distribution
            && !distribution.contains(internal.0)
        {
            return Err(format!("there is no choice {}", internal.0));
        }
        Ok(Assigned {
            internal: internal.0,
            distribution,
        })
    }
}

fn need<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("the field `{name}` is missing"))
}

fn id(field: Option<Int>, name: &str) -> Result<u64, String> {
    let Int(id) = need(field, name)?;
    u64::try_from(id).map_err(|_| format!("`{name}` is {id}"))
}

fn plain(numbers: Vec<Num>) -> Vec<f64> {
    numbers.into_iter().map(|Num(value)| value).collect()
}

fn directions(numbers: &[Int]) -> Result<Vec<Direction>, String> {
    if numbers.is_empty() {
        return Err("the study has no direction".to_owned());
    }
    numbers
        .iter()
        .map(|number| match number.0 {
            1 => Ok(Direction::Minimize),
            2 => Ok(Direction::Maximize),
            other => Err(format!("{other} is no direction: 1 minimises, 2 maximises")),
        })
        .collect()
}

fn state(number: Int) -> Result<TrialState, String> {
    match number.0 {
        0 => Ok(TrialState::Running),
        1 => Ok(TrialState::Complete),
        2 => Ok(TrialState::Pruned),
        3 => Ok(TrialState::Failed),
        4 => Ok(TrialState::Waiting),
        other => Err(format!("{other} is no state of a trial")),
    }
}

/// A time with an offset, or without one: older versions of Optuna wrote local
/// times.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let local: Result<DateTime, _> = text.parse();
    local
        .and_then(|local| local.to_zoned_datetime(TimeZone::system()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| format!("`{text}` is no time"))
}
