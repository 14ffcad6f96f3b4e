//! The schema that editors use is that of the program, and every
//! configuration that comes with the project fits it.

use explr::config::{from_str, load, schema_text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn committed() -> String {
    std::fs::read_to_string(root().join("configs/explr.schema.json")).unwrap_or_default()
}

/// The YAML files below a folder, except in build folders.
fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            yaml_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
}

fn ready_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["configs", "examples"] {
        if root().join(folder).is_dir() {
            yaml_files(&root().join(folder), &mut found);
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn the_committed_schema_is_that_of_the_program() {
    assert!(
        committed() == schema_text(),
        "configs/explr.schema.json is out of date; renew it with\n\
         cargo run -- schema --output configs/explr.schema.json"
    );
}

#[test]
fn every_ready_configuration_fits_the_schema() {
    let schema: Value = serde_json::from_str(&committed()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for file in ready_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
    }
}

#[test]
fn every_ready_configuration_loads_and_names_its_schema() {
    for file in ready_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        // The environment that `make frameworks` makes may not be there.
        let python = text.contains("\n  python: ");
        let python = python.then(|| "train.python=python3".to_owned());
        load(&file, python.as_slice(), std::iter::empty())
            .unwrap_or_else(|error| panic!("{error}"));
        let first = text.lines().next().unwrap();
        let schema = first
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap_or_else(|| {
                panic!(
                    "{} does not begin with the yaml-language-server line",
                    file.display()
                )
            });
        assert!(file.parent().unwrap().join(schema).is_file(), "{schema}");
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let schema: Value = serde_json::from_str(&committed()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in [
        "key_misspelled",
        "key_misspelled_nested",
        "type_seed_text",
        "type_seed_negative",
        "value_device",
        "value_duration",
        "value_cpus_zero",
        "value_gpu_memory",
        "value_port_zero",
        "value_mlflow_word",
        "value_experiment_empty",
        "value_experiment_slash",
        "value_failure_class",
        "space_bounds_missing",
        "space_type",
        "space_key_unknown",
        "tune_numbers",
        "tune_kinds",
        "tune_sampler",
        "tune_sampler_option",
        "tune_pruner_option",
        "tune_pruner_percentile",
        "worker_start",
        "value_time_budget",
    ] {
        let file = root().join(format!("tests/bad_configs/{name}.yaml"));
        let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert!(!validator.is_valid(&value), "{name}");
    }
}

fn reference() -> String {
    std::fs::read_to_string(root().join("docs/reference/configuration.md")).unwrap()
}

/// The dotted paths of all keys.
fn keys(schema: &Value, section: &Value, prefix: &str, found: &mut Vec<String>) {
    let section = match section["$ref"].as_str() {
        Some(name) => &schema["$defs"][name.trim_start_matches("#/$defs/")],
        None => section,
    };
    for branch in section["anyOf"].as_array().into_iter().flatten() {
        keys(schema, branch, prefix, found);
    }
    for (key, inner) in section["properties"].as_object().into_iter().flatten() {
        found.push(format!("{prefix}{key}"));
        keys(schema, inner, &format!("{prefix}{key}."), found);
    }
}

#[test]
fn the_reference_explains_every_key() {
    let schema = explr::config::schema();
    let mut found = Vec::new();
    keys(&schema, &schema, "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    let reference = reference();
    let sections = ["train", "resources", "worker"];
    for key in found.iter().filter(|key| !sections.contains(&key.as_str())) {
        assert!(
            reference.contains(&format!("\n| `{key}` | ")),
            "{key} is missing"
        );
    }
}

#[test]
fn the_complete_example_of_the_reference_loads_and_uses_every_key() {
    let reference = reference();
    let (_, rest) = reference.split_once("## Complete example").unwrap();
    let (_, rest) = rest.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```\n").unwrap();
    let plugin = format!(
        "train.plugin={}",
        root().join("tests/bad_configs/plugin").display()
    );
    let loaded = from_str(
        "example.yaml",
        example,
        root(),
        &[plugin],
        std::iter::empty(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let shown = serde_json::to_value(&loaded.config).unwrap();
    let schema = explr::config::schema();
    let mut found = Vec::new();
    keys(&schema, &schema, "", &mut found);
    // What excludes `tune.metric` and `train.plugin`.
    let others = [
        "tune.objectives",
        "train.objective",
        "train.python",
        "train.command",
        "train.metrics",
    ];
    found.retain(|key| !others.iter().any(|other| key.starts_with(other)));
    for key in found {
        assert!(
            shown
                .pointer(&format!("/{}", key.replace('.', "/")))
                .is_some(),
            "{key}"
        );
    }
}

/// The names of a tagged enumeration, each with its options.
fn variants(definition: &str) -> Vec<(String, Vec<String>)> {
    let schema = explr::config::schema();
    let branches = schema["$defs"][definition]["oneOf"].as_array().unwrap();
    let variant = |branch: &Value| {
        let properties = branch["properties"].as_object().unwrap();
        let name = &properties["name"];
        let name = name["const"].as_str().or_else(|| name["enum"][0].as_str());
        let options = properties.keys().filter(|key| *key != "name");
        (name.unwrap().to_owned(), options.cloned().collect())
    };
    branches.iter().map(variant).collect()
}

#[test]
fn the_reference_explains_every_sampler_and_pruner_and_their_options() {
    let reference = reference();
    for definition in ["SamplerConfig", "PrunerConfig"] {
        for (name, options) in variants(definition) {
            let (_, rest) = reference
                .split_once(&format!("\n| `{name}`"))
                .unwrap_or_else(|| panic!("{name} is missing"));
            let row = rest.lines().next().unwrap();
            for option in options {
                let is_there = row.contains(&format!("`{option}"))
                    || name == "percentile" && row.contains("those of `median`");
                assert!(is_there, "{name}: {option} is missing");
            }
        }
    }
}
