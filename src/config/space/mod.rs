//! The search space: what may be written for it, and what it means.
//!
//! One reader makes an [`explr_study::SearchSpace`] of a tree that knows its
//! places (`read`); a configuration in JSON goes through the same one. `graph`
//! holds the rules between parameters, `text` the ranges of the command line.

mod definition;
mod graph;
mod read;
mod text;

pub(super) use definition::shown;
pub(super) use graph::{is_possible, possible};
pub(super) use read::{find, place, read};
pub(super) use text::parse as parse_range;

use super::node::Node;
use super::source::Span;
use explr_study::{Condition, Distribution, Domain, Parameter, SearchSpace};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A search space as a part of a configuration. It can't be invalid.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpaceConfig(SearchSpace);

impl SpaceConfig {
    /// The parameters.
    pub fn space(&self) -> &SearchSpace {
        &self.0
    }

    /// Whether no parameter is there, not even a fixed one.
    pub fn is_empty(&self) -> bool {
        self.0.parameters().is_empty()
    }
}

impl From<SearchSpace> for SpaceConfig {
    fn from(space: SearchSpace) -> Self {
        Self(space)
    }
}

impl Serialize for SpaceConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = self.0.parameters();
        let mut map = serializer.serialize_map(Some(parameters.len()))?;
        for parameter in parameters {
            map.serialize_entry(&parameter.name, &written(parameter))?;
        }
        map.end()
    }
}

/// A parameter as it is written in a configuration.
fn written(parameter: &Parameter) -> Value {
    let mut value = match &parameter.domain {
        Domain::Fixed(value) => json!({ "value": value }),
        Domain::Search(Distribution::Categorical(choices)) => {
            json!({ "type": "categorical", "choices": choices.values() })
        }
        Domain::Search(Distribution::Float(range)) => {
            let mut value = json!({ "type": "float", "low": range.low(), "high": range.high() });
            if range.is_log() {
                value["log"] = true.into();
            }
            if let Some(step) = range.step() {
                value["step"] = step.into();
            }
            value
        }
        Domain::Search(Distribution::Int(range)) => {
            let mut value = json!({ "type": "int", "low": range.low(), "high": range.high() });
            if range.is_log() {
                value["log"] = true.into();
            }
            if range.step() != 1 {
                value["step"] = range.step().into();
            }
            value
        }
    };
    if !parameter.when.is_empty() {
        value["when"] = parameter
            .when
            .iter()
            .map(|condition| (condition.parent.clone(), values(condition)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    value
}

/// A list is several values, so a single value that is one is put into another.
fn values(condition: &Condition) -> Value {
    match &*condition.any_of {
        [single] if !single.is_array() => single.clone(),
        several => several.into(),
    }
}

impl<'de> Deserialize<'de> for SpaceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nowhere = Span {
            source: 0,
            start: 0,
            end: 0,
        };
        let node = Node::from_json(&Value::deserialize(deserializer)?, nowhere);
        read(&node, None).map(Self).map_err(|problems| {
            let messages: Vec<String> = problems.into_iter().map(|found| found.message).collect();
            serde::de::Error::custom(messages.join("; "))
        })
    }
}

impl JsonSchema for SpaceConfig {
    fn schema_name() -> Cow<'static, str> {
        "SearchSpace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let when = json!({
            "description": "Active only when these parameters have this value, or one of these.",
            "type": "object",
            "minProperties": 1,
        });
        let range = |number: &str| {
            json!({
                "required": ["low", "high"],
                "additionalProperties": false,
                "properties": {
                    "type": true,
                    "low": { "description": "Smallest value.", "type": number },
                    "high": { "description": "Largest value.", "type": number },
                    "log": { "description": "Uniform in the logarithm.", "type": "boolean" },
                    "step": {
                        "description": "Distance of neighbouring values, counted from `low`.",
                        "type": number,
                        "exclusiveMinimum": 0,
                    },
                    "when": when,
                },
            })
        };
        let categorical = json!({
            "required": ["choices"],
            "additionalProperties": false,
            "properties": {
                "type": true,
                "choices": {
                    "description": "The values, of any kind.",
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": true,
                },
                "when": when,
            },
        });
        let fixed = json!({
            "required": ["value"],
            "additionalProperties": false,
            "properties": { "value": true, "when": when },
        });
        let of_type = |name: &str, then: Value| {
            json!({
                "if": { "type": "object", "required": ["type"], "properties": { "type": { "const": name } } },
                "then": then,
            })
        };
        json_schema!({
            "description": "Parameters to search for, by name. A map without `type` or `value` \
                            nests names; any other value is fixed.",
            "type": "object",
            "additionalProperties": {
                "allOf": [
                    of_type("float", range("number")),
                    of_type("int", range("integer")),
                    of_type("categorical", categorical),
                    { "if": { "type": "object", "required": ["value"] }, "then": fixed },
                    {
                        "if": {
                            "type": "object",
                            "required": ["type"],
                            "properties": { "type": { "type": "string" } },
                        },
                        "then": { "properties": { "type": { "enum": ["float", "int", "categorical"] } } },
                    },
                ],
            },
        })
    }
}
