//! Distributions as Optuna's `distribution_to_json` writes them.

use super::nonfinite::{self, Int, Num};
use super::write::text;
use crate::distribution::{Categories, Distribution, FloatRange, IntRange};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// The JSON text of a distribution, letter for letter what Python's `json`
/// makes of it but for the form of some numbers.
pub(crate) fn to_json(distribution: &Distribution) -> String {
    let mut out = String::from("{\"name\": ");
    match distribution {
        Distribution::Float(range) => {
            out.push_str("\"FloatDistribution\", \"attributes\": {\"step\": ");
            match range.step() {
                Some(step) => nonfinite::push(&mut out, step),
                None => out.push_str("null"),
            }
            out.push_str(", \"low\": ");
            nonfinite::push(&mut out, range.low());
            out.push_str(", \"high\": ");
            nonfinite::push(&mut out, range.high());
            out.push_str(", \"log\": ");
            out.push_str(if range.is_log() { "true" } else { "false" });
        }
        Distribution::Int(range) => {
            // Writing to a String can't fail.
            let _ = write!(
                out,
                "\"IntDistribution\", \"attributes\": {{\"log\": {}, \"step\": {}, \"low\": {}, \"high\": {}",
                range.is_log(),
                range.step(),
                range.low(),
                range.high()
            );
        }
        Distribution::Categorical(categories) => {
            out.push_str("\"CategoricalDistribution\", \"attributes\": {\"choices\": [");
            for (index, choice) in categories.values().iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                match choice {
                    Value::String(choice) => text(&mut out, choice),
                    other => out.push_str(&other.to_string()),
                }
            }
            out.push(']');
        }
    }
    out.push_str("}}");
    out
}

/// The distribution that a JSON text describes.
pub(crate) fn from_json(text: &str) -> Result<Distribution, String> {
    let raw: Raw = nonfinite::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let made = match raw {
        Raw::Float {
            low,
            high,
            log,
            step,
        } => FloatRange::new(low.0, high.0, log, step.map(|step| step.0)).map(Distribution::Float),
        Raw::Int {
            low,
            high,
            log,
            step,
        } => {
            IntRange::new(low.0, high.0, log, step.map_or(1, |step| step.0)).map(Distribution::Int)
        }
        Raw::Categorical { choices } => Categories::new(choices).map(Distribution::Categorical),
    };
    made.map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(tag = "name", content = "attributes")]
enum Raw {
    #[serde(rename = "FloatDistribution")]
    Float {
        low: Num,
        high: Num,
        #[serde(default)]
        log: bool,
        #[serde(default)]
        step: Option<Num>,
    },
    #[serde(rename = "IntDistribution")]
    Int {
        low: Int,
        high: Int,
        #[serde(default)]
        log: bool,
        #[serde(default)]
        step: Option<Int>,
    },
    #[serde(rename = "CategoricalDistribution")]
    Categorical { choices: Vec<Value> },
}

#[cfg(test)]
mod tests {
    use super::{from_json, to_json};

    #[test]
    fn what_optuna_wrote_is_written_the_same_again() {
        for written in [
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 2.0, "log": false}}"#,
            r#"{"name": "FloatDistribution", "attributes": {"step": 0.25, "low": 0.0, "high": 2.0, "log": false}}"#,
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 2.0, "log": true}}"#,
            r#"{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}"#,
            r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["a", null, true, 1.5, "\u00e9\ud83d\ude00\n\""]}}"#,
        ] {
            assert_eq!(to_json(&from_json(written).unwrap()), written);
        }
    }

    #[test]
    fn other_distributions_are_refused() {
        assert!(from_json(r#"{"name": "NormalDistribution", "attributes": {}}"#).is_err());
        let reversed = r#"{"name": "IntDistribution", "attributes": {"low": 9, "high": 1, "log": false, "step": 1}}"#;
        assert!(from_json(reversed).unwrap_err().contains("greater than"));
    }
}
