use crate::control::Progress;
use crate::{Direction, LogLevel, number};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a command says of itself: a JSON object a line, appended to the file
/// that `EXPLR_EVENTS` names. `docs/protocol.md` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// A value of a metric.
    Metric {
        /// Name of the metric.
        key: String,
        /// Value, finite or not.
        #[serde(with = "number")]
        value: f64,
        /// Step it belongs to.
        #[serde(default)]
        step: i64,
    },
    /// Values of several metrics at one step.
    Metrics {
        /// Their values by name.
        #[serde(with = "number::map")]
        values: BTreeMap<String, f64>,
        /// Step they belong to.
        #[serde(default)]
        step: i64,
    },
    /// A parameter.
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
    /// A file that is complete.
    Artifact {
        /// Path relative to `EXPLR_ARTIFACT_DIR`; or, of a file to be copied
        /// there, from the root.
        path: PathBuf,
        /// Where the copy is to stand. Default: under the file's own name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A checkpoint that is complete.
    Checkpoint {
        /// Path relative to `EXPLR_CHECKPOINT_DIR`.
        path: PathBuf,
        /// Epochs completed when it was taken.
        #[serde(default)]
        epoch: u64,
        /// Optimiser steps completed when it was taken.
        #[serde(default)]
        step: u64,
    },
    /// An intermediate value of the objective, for the study's pruner.
    Report {
        /// Step it belongs to.
        step: i64,
        /// Objective value at that step.
        #[serde(with = "number")]
        value: f64,
    },
    /// A line of the command's own log.
    Log {
        /// How important it is.
        #[serde(default = "info")]
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// How far the command is; for the display alone.
    Progress(Progress),
    /// The result. The last one counts.
    Result(LineResult),
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineResult {
    /// Value of the primary metric.
    #[serde(with = "number")]
    pub value: f64,
    /// Name of the primary metric. Default: the study's metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which way it improves. Default: the study's direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Further final metrics, by name.
    #[serde(with = "number::map", default)]
    pub metrics: BTreeMap<String, f64>,
    /// The best model, as a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Number of epochs that were completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
}

fn info() -> LogLevel {
    LogLevel::Info
}

#[cfg(test)]
mod tests {
    use super::Line;

    fn read(text: &str) -> Result<Line, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_needs_no_more_than_it_says() {
        for text in [
            r#"{"type":"metric","key":"loss","value":0.5}"#,
            r#"{"type":"metrics","values":{"loss":0.5,"acc":"NaN"},"step":3}"#,
            r#"{"type":"param","key":"depth","value":[1,2]}"#,
            r#"{"type":"tag","key":"host","value":"a"}"#,
            r#"{"type":"artifact","path":"plot.png"}"#,
            r#"{"type":"checkpoint","path":"3.pt"}"#,
            r#"{"type":"report","step":1,"value":0.5}"#,
            r#"{"type":"log","message":"hello"}"#,
            r#"{"type":"progress","epoch":1,"epochs":3}"#,
            r#"{"type":"result","value":0.5}"#,
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error() {
        let said = read(r#"{"type":"metric","key":"loss","value":1,"stpe":3}"#).unwrap_err();
        assert!(said.contains("stpe") && said.contains("step"), "{said}");
        let said = read(r#"{"type":"metrc","key":"loss","value":1}"#).unwrap_err();
        assert!(said.contains("metrc"), "{said}");
        assert!(read(r#"{"type":"result","value":1,"name":"loss"}"#).is_err());
    }
}
