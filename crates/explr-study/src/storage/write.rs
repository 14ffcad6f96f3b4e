//! Records as lines, with the fields in Optuna's order.

use super::distribution::to_json;
use super::nonfinite;
use super::record::{NewTrial, Op, Record};
use crate::distribution::Distribution;
use crate::trial::{Assigned, TrialState};
use explr_protocol::Direction;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fmt::Write;

impl Record {
    /// Appends the record's line.
    pub(super) fn write(&self, out: &mut String) {
        let line = Line::begin(out, self.op.code(), &self.worker);
        match &self.op {
            Op::CreateStudy { name, directions } => {
                line.text("study_name", name)
                    .list("directions", directions, |out, direction| {
                        out.push(match direction {
                            Direction::Minimize => '1',
                            Direction::Maximize => '2',
                        });
                    })
            }
            Op::DeleteStudy { study } => line.whole("study_id", *study),
            Op::StudyUserAttrs { study, attrs } => {
                line.whole("study_id", *study).object("user_attr", attrs)
            }
            Op::StudySystemAttrs { study, attrs } => {
                line.whole("study_id", *study).object("system_attr", attrs)
            }
            Op::CreateTrial { study, trial } => line.whole("study_id", *study).trial(trial),
            Op::Param {
                trial,
                name,
                assigned,
            } => line
                .whole("trial_id", *trial)
                .text("param_name", name)
                .internal("param_value_internal", assigned)
                .text("distribution", &to_json(&assigned.distribution)),
            Op::State {
                trial,
                state,
                values,
                at,
            } => {
                let line = line
                    .whole("trial_id", *trial)
                    .whole("state", *state as u64)
                    .numbers("values", values.as_deref());
                match state {
                    TrialState::Running => line.time("datetime_start", *at),
                    TrialState::Waiting => line,
                    _ => line.time("datetime_complete", *at),
                }
            }
            Op::Intermediate { trial, step, value } => line
                .whole("trial_id", *trial)
                .raw("step", step)
                .number("intermediate_value", *value),
            Op::TrialUserAttrs { trial, attrs } => {
                line.whole("trial_id", *trial).object("user_attr", attrs)
            }
            Op::TrialSystemAttrs { trial, attrs } => {
                line.whole("trial_id", *trial).object("system_attr", attrs)
            }
            Op::DiscardTrials => line,
        }
        .end();
    }
}

impl Op {
    fn code(&self) -> u64 {
        match self {
            Self::CreateStudy { .. } => 0,
            Self::DeleteStudy { .. } => 1,
            Self::StudyUserAttrs { .. } => 2,
            Self::StudySystemAttrs { .. } => 3,
            Self::CreateTrial { .. } => 4,
            Self::Param { .. } => 5,
            Self::State { .. } => 6,
            Self::Intermediate { .. } => 7,
            Self::TrialUserAttrs { .. } => 8,
            Self::TrialSystemAttrs { .. } => 9,
            Self::DiscardTrials => 10,
        }
    }
}

/// Appends a text in quotes, in ASCII as Python does: a journal then survives
/// whatever encoding someone opens it with.
pub(super) fn text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(char),
            _ => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    // Writing to a String can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Appends a parameter's value. Optuna writes whole numbers as floats, and the
/// place of a choice as a whole number.
fn internal(out: &mut String, assigned: &Assigned) {
    match *assigned.distribution {
        Distribution::Categorical(_) => {
            let _ = write!(out, "{}", assigned.internal);
        }
        _ => nonfinite::push(out, assigned.internal),
    }
}

/// A line under way.
struct Line<'s>(&'s mut String);

impl<'s> Line<'s> {
    fn begin(out: &'s mut String, code: u64, worker: &str) -> Self {
        out.push_str("{\"op_code\":");
        out.push_str(&code.to_string());
        Self(out).text("worker_id", worker)
    }

    fn end(self) {
        self.0.push_str("}\n");
    }

    fn key(&mut self, key: &str) {
        self.0.push(',');
        text(self.0, key);
        self.0.push(':');
    }

    fn raw(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    fn whole(self, key: &str, value: u64) -> Self {
        self.raw(key, value)
    }

    fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        text(self.0, value);
        self
    }

    fn number(mut self, key: &str, value: f64) -> Self {
        self.key(key);
        nonfinite::push(self.0, value);
        self
    }

    fn internal(mut self, key: &str, assigned: &Assigned) -> Self {
        self.key(key);
        internal(self.0, assigned);
        self
    }

    fn numbers(self, key: &str, values: Option<&[f64]>) -> Self {
        match values {
            Some(values) => self.list(key, values, |out, value| nonfinite::push(out, *value)),
            None => self.raw(key, "null"),
        }
    }

    fn list<T>(mut self, key: &str, items: &[T], mut write: impl FnMut(&mut String, &T)) -> Self {
        self.key(key);
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            write(self.0, item);
        }
        self.0.push(']');
        self
    }

    fn entries<K: AsRef<str>, V>(
        mut self,
        key: &str,
        entries: impl IntoIterator<Item = (K, V)>,
        mut write: impl FnMut(&mut String, V),
    ) -> Self {
        self.key(key);
        self.0.push('{');
        for (index, (name, value)) in entries.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            text(self.0, name.as_ref());
            self.0.push(':');
            write(self.0, value);
        }
        self.0.push('}');
        self
    }

    fn object(self, key: &str, object: &Map<String, Value>) -> Self {
        self.entries(key, object, |out, value| out.push_str(&value.to_string()))
    }

    fn time(self, key: &str, time: Option<Timestamp>) -> Self {
        match time {
            Some(time) => self.raw(key, time.strftime("\"%Y-%m-%dT%H:%M:%S%.6f+00:00\"")),
            None => self.raw(key, "null"),
        }
    }

    fn trial(self, trial: &NewTrial) -> Self {
        let mut line = self
            .time("datetime_start", trial.started)
            .whole("state", trial.state as u64);
        line = match trial.values.as_slice() {
            [] => line.raw("value", "null").raw("values", "null"),
            [value] => line.number("value", *value).raw("values", "null"),
            values => line.raw("value", "null").numbers("values", Some(values)),
        };
        if trial.finished.is_some() {
            line = line.time("datetime_complete", trial.finished);
        }
        line.entries("distributions", &trial.params, |out, assigned| {
            text(out, &to_json(&assigned.distribution));
        })
        .entries("params", &trial.params, internal)
        .object("user_attrs", &trial.user_attrs)
        .object("system_attrs", &trial.system_attrs)
        .entries(
            "intermediate_values",
            trial
                .intermediate
                .iter()
                .map(|(step, value)| (step.to_string(), value)),
            |out, value| nonfinite::push(out, *value),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::storage::read::Reader;

    #[test]
    fn what_optuna_wrote_is_written_the_same_again() {
        for line in [
            r#"{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}"#,
            r#"{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":null,"state":4,"value":null,"values":null,"distributions":{},"params":{},"user_attrs":{},"system_attrs":{"fixed_params":{"x":1.0}},"intermediate_values":{}}"#,
            r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":0,"values":null,"datetime_start":"2026-11-25T04:33:32.933811+00:00"}"#,
            r#"{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"x","param_value_internal":1.0,"distribution":"{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\": 2.0, \"log\": false}}"}"#,
            r#"{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"i","param_value_internal":7.0,"distribution":"{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}"}"#,
            r#"{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"c","param_value_internal":0,"distribution":"{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", null, true, 1.5]}}"}"#,
            r#"{"op_code":7,"worker_id":"w","trial_id":0,"step":3,"intermediate_value":NaN}"#,
            r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":2,"values":null,"datetime_complete":"2026-11-25T04:33:32.943726+00:00"}"#,
            r#"{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-11-25T04:33:32.944202+00:00","state":1,"value":Infinity,"values":null,"datetime_complete":"2026-11-25T04:33:32.944202+00:00","distributions":{"x":"{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\": 2.0, \"log\": false}}","y":"{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}"},"params":{"x":1.0,"y":3.0},"user_attrs":{},"system_attrs":{},"intermediate_values":{"1":2.0}}"#,
            r#"{"op_code":3,"worker_id":"w","study_id":0,"system_attr":{"study:metric_names":["loss"]}}"#,
            r#"{"op_code":1,"worker_id":"w","study_id":3}"#,
            r#"{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"k":{"a":[1,2.5,null]}}}"#,
            r#"{"op_code":9,"worker_id":"w","trial_id":0,"system_attr":{"k":"\""}}"#,
            r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":1,"values":[1.5,-Infinity],"datetime_complete":"2026-11-25T04:33:32.000000+00:00"}"#,
            r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":4,"values":null}"#,
        ] {
            let mut written = String::new();
            let record = Reader::default().read(line.as_bytes()).unwrap();
            record.write(&mut written);
            assert_eq!(written.trim_end(), line);
        }
    }
}
