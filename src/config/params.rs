//! A trial's parameters as hyperparameters.

use super::Config;
use explr_study::SearchSpace;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

impl Config {
    /// What a study searches.
    pub fn search_space(&self) -> &SearchSpace {
        self.search_space.space()
    }

    /// Name of the study: `tune.study`, or the experiment's.
    pub fn study_name(&self) -> &str {
        self.tune.study.as_deref().unwrap_or(&self.experiment)
    }

    /// This configuration with a trial's parameters: dots in names lead into
    /// nested hyperparameters. What has a value already gets the new one.
    pub fn with_params(&self, params: &BTreeMap<String, Value>) -> Self {
        let mut config = self.clone();
        for (name, value) in params {
            put(&mut config.hyperparameters, name, value.clone());
        }
        config
    }
}

fn put(map: &mut Map<String, Value>, name: &str, value: Value) {
    // A hyperparameter may itself have a dot in its name.
    match name.split_once('.') {
        Some((level, rest)) if !map.contains_key(name) => {
            let inner = map.entry(level).or_insert_with(|| Map::new().into());
            if !inner.is_object() {
                *inner = Map::new().into();
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        _ => {
            map.insert(name.to_owned(), value);
        }
    }
}

/// Parameters as they may be written, nested or with dots, by dotted name.
pub fn flat(params: &Map<String, Value>) -> BTreeMap<String, Value> {
    fn collect(map: &Map<String, Value>, prefix: &str, found: &mut BTreeMap<String, Value>) {
        for (key, value) in map {
            let name = format!("{prefix}{key}");
            match value {
                Value::Object(inner) => collect(inner, &format!("{name}."), found),
                _ => {
                    found.insert(name, value.clone());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(params, "", &mut found);
    found
}
