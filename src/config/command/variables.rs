//! Hyperparameters as environment variables of a command.

use serde_json::{Map, Value};

/// What the names of all of them begin with.
pub(crate) const PREFIX: &str = "EXPLR_PARAM_";

/// The variable for a hyperparameter with this dotted name.
pub(crate) fn name(parameter: &str) -> String {
    let word = parameter.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    PREFIX.chars().chain(word).collect()
}

/// The variables for hyperparameters, nested ones under their dotted names.
pub(crate) fn of(hyperparameters: &Map<String, Value>) -> Vec<(String, String)> {
    super::super::flat(hyperparameters)
        .iter()
        .map(|(parameter, value)| (name(parameter), super::template::word(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::of;
    use serde_json::json;

    #[test]
    fn values_are_words_and_names_are_upper_case() {
        let map =
            json!({"lr": 1e-3, "model": {"n-layers": 2, "relu": true}, "name": "a b", "é": null});
        let variables: Vec<_> = of(map.as_object().unwrap())
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            variables,
            [
                "EXPLR_PARAM_LR=0.001",
                "EXPLR_PARAM_MODEL_N_LAYERS=2",
                "EXPLR_PARAM_MODEL_RELU=true",
                "EXPLR_PARAM_NAME=a b",
                "EXPLR_PARAM__=null",
            ]
        );
    }
}
