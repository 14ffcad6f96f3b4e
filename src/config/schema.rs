use super::Config;
use serde_json::Value;

/// The JSON Schema of the configuration, with the doc comments of its types
/// as descriptions. Validation, the reference and editors all go by it.
pub fn schema() -> Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

/// [`schema`] as the text of a file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}
