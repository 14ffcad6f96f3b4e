//! A matrix becomes runs.

use explr::config::{Loaded, from_str};
use explr_protocol::Device;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

fn load(file: &str) -> Loaded {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs");
    from_str("digits.yaml", file, &dir, &[], std::iter::empty()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_combination_is_a_run_with_its_values() {
    let loaded = load(
        "\
experiment: digits
train: {plugin: plugin}
hyperparameters: {lr: 1e-3, net: {hidden: 8}}
sweep:
  matrix:
    train.function: [train_mlp, train_cnn]
    lr: [0.1, 0.01]
    net.hidden: [16]
  exclude: [{train.function: train_cnn, lr: 0.1}]
",
    );
    let runs = loaded.sweep(&BTreeMap::new()).unwrap();
    let shown: Vec<_> = runs
        .iter()
        .map(|run| {
            let config = &run.loaded.config;
            assert_eq!(config.hyperparameters["net"]["hidden"], json!(16));
            assert!(config.sweep.is_empty());
            assert!(
                run.values
                    .contains(&("lr".to_owned(), config.hyperparameters["lr"].clone()))
            );
            (
                config.train.function.clone(),
                config.hyperparameters["lr"].as_f64().unwrap().to_string(),
            )
        })
        .collect();
    let pair = |function: &str, lr: &str| (function.to_owned(), lr.to_owned());
    assert_eq!(
        shown,
        [
            pair("train_mlp", "0.1"),
            pair("train_mlp", "0.01"),
            pair("train_cnn", "0.01"),
        ]
    );
}

#[test]
fn paths_of_a_matrix_start_in_the_folder_of_the_file() {
    let loaded = load(
        "experiment: digits\nsweep: {matrix: {train.plugin: [plugin], checkpoint_dir: [a, ~/b]}}\n",
    );
    let runs = loaded.sweep(&BTreeMap::new()).unwrap();
    let plugin = runs[0].loaded.config.train.plugin.clone().unwrap();
    assert_eq!(plugin, loaded.dir.join("plugin"));
    let folders: Vec<_> = runs
        .iter()
        .map(|run| run.loaded.config.checkpoint_dir.clone().unwrap())
        .collect();
    assert_eq!(folders, [loaded.dir.join("a"), Path::new("~/b").to_owned()]);
}

#[test]
fn values_that_do_not_fit_each_other_are_refused_when_the_runs_are_made() {
    let loaded =
        load("experiment: a\nresources: {gpus: 1}\nsweep: {matrix: {device: [cuda, cpu]}}\n");
    let error = loaded.sweep(&BTreeMap::new()).unwrap_err().to_string();
    assert!(
        error.contains("asks for a GPU, but `device` is `cpu`"),
        "{error}"
    );
    let loaded = load("experiment: a\nsweep: {matrix: {device: [cuda, cpu]}}\n");
    let runs = loaded.sweep(&BTreeMap::new()).unwrap();
    assert_eq!(
        runs[1].loaded.config.device,
        explr::config::DeviceChoice::Device(Device::Cpu)
    );
}
