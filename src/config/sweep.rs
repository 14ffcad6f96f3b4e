use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The runs of `explr sweep`: every combination of some values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Values by key. Keys are dotted paths; a hyperparameter's name is
    /// enough.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, Vec<Value>>,
    /// Combinations that are left out: those that have all of these values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Map<String, Value>>,
}

/// One combination: keys of the matrix and their values.
pub type Combination = Vec<(String, Value)>;

impl Sweep {
    /// Whether there is nothing to combine.
    pub fn is_empty(&self) -> bool {
        self.matrix.is_empty()
    }

    /// The combinations, less the excluded ones; the last key changes
    /// fastest.
    pub fn combinations(&self) -> Vec<Combination> {
        if self.matrix.is_empty() {
            return Vec::new();
        }
        let mut combinations: Vec<Combination> = vec![Vec::new()];
        for (key, values) in &self.matrix {
            combinations = combinations
                .into_iter()
                .flat_map(|start| {
                    values.iter().map(move |value| {
                        let mut longer = start.clone();
                        longer.push((key.clone(), value.clone()));
                        longer
                    })
                })
                .collect();
        }
        combinations.retain(|combination| !self.exclude.iter().any(|e| matches(e, combination)));
        combinations
    }
}

fn matches(exclude: &Map<String, Value>, combination: &Combination) -> bool {
    !exclude.is_empty()
        && exclude
            .iter()
            .all(|(key, value)| combination.iter().any(|(k, v)| k == key && v == value))
}

#[cfg(test)]
mod tests {
    use super::Sweep;
    use serde_json::json;

    #[test]
    fn every_combination_is_there_once_but_for_the_excluded_ones() {
        let sweep: Sweep = serde_json::from_value(json!({
            "matrix": {"a": [1, 2], "b": ["x", "y"]},
            "exclude": [{"a": 2, "b": "x"}],
        }))
        .unwrap();
        let shown: Vec<String> = sweep
            .combinations()
            .iter()
            .map(|combination| format!("{}{}", combination[0].1, combination[1].1))
            .collect();
        assert_eq!(shown, ["1\"x\"", "1\"y\"", "2\"y\""]);
        assert!(Sweep::default().combinations().is_empty());
    }
}
