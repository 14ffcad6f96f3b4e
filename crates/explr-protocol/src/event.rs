use crate::{Failure, RunState, TrainingResult, number};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// One line of a run's journal.
///
/// Written as one JSON object with the event's fields beside `seq` and `ts`:
/// `{"seq":7,"ts":1732412345678,"type":"metric","key":"loss","value":0.5,"step":3}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal, from 0, without gaps. It alone gives the
    /// order; clocks may jump.
    pub seq: u64,
    /// Unix time in milliseconds.
    pub ts: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run's state changed. Written by the orchestrator, and synced to
    /// disk.
    State {
        /// The new state.
        state: RunState,
        /// Which attempt this is about, from 1.
        attempt: u32,
        /// Why, for [`RunState::Failed`] and sometimes
        /// [`RunState::Interrupted`]; why the attempt before it failed, for
        /// [`RunState::Running`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// A value of a metric.
    Metric {
        /// Name of the metric.
        key: String,
        /// Value, finite or not.
        #[serde(with = "number")]
        value: f64,
        /// Step it belongs to.
        step: i64,
    },
    /// A parameter. Logging the same name again with another value is an
    /// error in the SDK.
    Param {
        /// Name of the parameter.
        key: String,
        /// Any JSON value.
        value: Value,
    },
    /// A tag; the last value of a name counts.
    Tag {
        /// Name of the tag.
        key: String,
        /// Value of the tag.
        value: String,
    },
    /// A file or folder that is now complete under the run's `artifacts/`.
    Artifact {
        /// Path relative to `artifacts/`, with `/` between its parts.
        path: String,
    },
    /// A data set that the run uses.
    Dataset(Dataset),
    /// A checkpoint that is now complete.
    Checkpoint {
        /// Path relative to the checkpoint folder.
        path: PathBuf,
        /// Epochs completed when it was taken.
        epoch: u64,
        /// Optimiser steps completed when it was taken.
        step: u64,
    },
    /// An intermediate objective value of a trial, for the pruner.
    Report {
        /// Step it belongs to.
        step: i64,
        /// Objective value at that step.
        #[serde(with = "number")]
        value: f64,
    },
    /// A line of the train function's own log.
    Log {
        /// How important it is.
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// The train function's result, written by the worker before it exits.
    Result(TrainingResult),
    /// The train function continues from a checkpoint (or from the start,
    /// with `seq` 0): it will live again what followed `seq`.
    Resumed {
        /// The journal's length when the checkpoint was taken.
        seq_of_checkpoint: u64,
        /// The checkpoint, relative to the checkpoint folder; none when it
        /// starts over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<PathBuf>,
    },
}

/// Importance of a [`Event::Log`] line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For the author of the train function.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something went wrong.
    Error,
}

/// Description of a data set, in MLflow's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name, 500 characters at most.
    pub name: String,
    /// Hash of the content, 36 characters at most.
    pub digest: String,
    /// What it is used for: `training`, `validation`, `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Where it comes from: a path or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Shape and types of its columns or tensors, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Summary figures, such as the number of rows, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::{Event, Record};

    fn metric(value: f64) -> Record {
        Record {
            seq: 7,
            ts: 1_732_412_345_678,
            event: Event::Metric {
                key: "loss".into(),
                value,
                step: 3,
            },
        }
    }

    #[test]
    fn a_record_is_one_flat_object() {
        assert_eq!(
            serde_json::to_string(&metric(0.5)).unwrap(),
            r#"{"seq":7,"ts":1732412345678,"type":"metric","key":"loss","value":0.5,"step":3}"#
        );
    }

    #[test]
    fn non_finite_values_survive_the_round_trip() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-300] {
            let text = serde_json::to_string(&metric(value)).unwrap();
            let back: Record = serde_json::from_str(&text).unwrap();
            let Event::Metric { value: read, .. } = back.event else {
                panic!("{back:?}")
            };
            assert_eq!(read.to_bits(), value.to_bits(), "{text}");
        }
    }
}
