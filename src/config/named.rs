//! Things that are written as a word, or as a map with a `name` and options.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// `tpe` is short for `{name: tpe}`.
pub(super) fn word_or_map<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let written = match Value::deserialize(deserializer)? {
        Value::String(name) => json!({ "name": name }),
        other => other,
    };
    T::deserialize(written).map_err(D::Error::custom)
}

/// The same where it may be left out.
pub(super) fn optional_word_or_map<'de, D, T>(deserializer: D) -> Result<Option<Box<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    word_or_map(deserializer).map(|value| Some(Box::new(value)))
}

/// The schema of `T`, a tagged enumeration, or the words of those that need
/// no options.
pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator, words: &[&str]) -> Schema {
    let map = generator.subschema_for::<T>();
    json_schema!({ "anyOf": [{ "enum": words }, map] })
}
