//! The search space and the study, from the file, the environment and the
//! command line.

use explr::config::{
    Config, ConfigError, CudaOom, GridPoints, Loaded, OrAuto, PrunerConfig, SamplerConfig, Start,
    flat, from_str,
};
use explr_study::{Condition, Distribution, Domain, FloatRange, IntRange, Parameter};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

const FILE: &str = "\
experiment: digits
train: {plugin: plugin}
hyperparameters: {lr: 1e-3, epochs: 10, model: {hidden: 64, depth: 2}}
search_space:
  lr: {type: float, low: 1e-5, high: 1e-1, log: true}
  optimizer: {type: categorical, choices: [sgd, adam]}
  momentum: {type: float, low: 0.0, high: 0.99, when: {optimizer: sgd}}
  layers: {type: int, low: 1, high: 9, step: 2}
  model:
    hidden: {type: int, low: 16, high: 512, log: true}
  model.dropout: {type: float, low: 0, high: 0.5}
  nesterov: {value: true, when: {optimizer: [sgd], layers: [1, 3]}}
  seeds: [1, 2]
";

fn try_load(
    file: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Loaded, ConfigError> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs");
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    from_str("digits.yaml", file, &dir, &arguments, variables)
}

fn load(arguments: &[&str]) -> Config {
    try_load(FILE, arguments, &[])
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

fn refusal(arguments: &[&str]) -> String {
    try_load(FILE, arguments, &[]).unwrap_err().to_string()
}

fn with_tune(tune: &str) -> Config {
    try_load(&format!("{FILE}tune:\n{tune}"), &[], &[])
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

fn domain(config: &Config, name: &str) -> Domain {
    config.search_space().get(name).unwrap().domain.clone()
}

fn float(low: f64, high: f64, log: bool, step: Option<f64>) -> Domain {
    Domain::Search(Distribution::Float(
        FloatRange::new(low, high, log, step).unwrap(),
    ))
}

fn int(low: i64, high: i64, log: bool, step: i64) -> Domain {
    Domain::Search(Distribution::Int(
        IntRange::new(low, high, log, step).unwrap(),
    ))
}

fn names(config: &Config) -> Vec<&str> {
    let parameters = config.search_space().parameters().iter();
    parameters
        .map(|parameter| parameter.name.as_str())
        .collect()
}

#[test]
fn a_search_space_is_read_in_the_order_in_which_it_is_written() {
    let config = load(&[]);
    assert_eq!(
        names(&config),
        [
            "lr",
            "optimizer",
            "momentum",
            "layers",
            "model.hidden",
            "model.dropout",
            "nesterov",
            "seeds"
        ]
    );
    assert_eq!(domain(&config, "lr"), float(1e-5, 1e-1, true, None));
    assert_eq!(domain(&config, "layers"), int(1, 9, false, 2));
    assert_eq!(domain(&config, "model.hidden"), int(16, 512, true, 1));
    assert_eq!(domain(&config, "seeds"), Domain::Fixed(json!([1, 2])));
    let condition = |parent: &str, any_of: &[Value]| Condition {
        parent: parent.to_owned(),
        any_of: any_of.to_vec(),
    };
    assert_eq!(
        config.search_space().get("nesterov").unwrap(),
        &Parameter {
            name: "nesterov".to_owned(),
            domain: Domain::Fixed(json!(true)),
            when: vec![
                condition("optimizer", &[json!("sgd")]),
                condition("layers", &[json!(1), json!(3)]),
            ],
        }
    );
}

#[test]
fn a_parameter_may_be_called_type() {
    let file = "\
experiment: a
search_space:
  optimizer: {type: {type: categorical, choices: [sgd, adam]}, lr: {type: float, low: 0, high: 1}}
";
    let config = try_load(file, &[], &[]).unwrap().config;
    assert_eq!(names(&config), ["optimizer.type", "optimizer.lr"]);
}

#[test]
fn a_trials_parameters_become_hyperparameters_nested_by_their_dots() {
    let params = BTreeMap::from([
        ("lr".to_owned(), json!(0.5)),
        ("model.hidden".to_owned(), json!(32)),
        ("model.norm.kind".to_owned(), json!("batch")),
    ]);
    assert_eq!(
        Value::Object(load(&[]).with_params(&params).hyperparameters),
        json!({
            "lr": 0.5, "epochs": 10,
            "model": {"hidden": 32, "depth": 2, "norm": {"kind": "batch"}},
        })
    );
}

#[test]
fn a_dot_in_the_name_of_a_hyperparameter_is_kept() {
    let file = "experiment: a\nhyperparameters: {a.b: 1}\n";
    let config = try_load(file, &[], &[]).unwrap().config;
    let params = BTreeMap::from([("a.b".to_owned(), json!(2))]);
    let merged = config.with_params(&params).hyperparameters;
    assert_eq!(Value::Object(merged), json!({"a.b": 2}));
}

#[test]
fn parameters_are_flattened_to_dotted_names() {
    let Value::Object(params) = json!({"lr": 1, "model": {"hidden": 2, "norm": {"eps": 3}}}) else {
        unreachable!()
    };
    let names: Vec<String> = flat(&params).into_keys().collect();
    assert_eq!(names, ["lr", "model.hidden", "model.norm.eps"]);
}

#[test]
fn a_range_on_the_command_line_replaces_that_of_the_file_or_adds_one() {
    let config = load(&[
        "lr=uniform[0:1:0.25]",
        "layers=int[1:8]",
        "model.hidden=logint[1:1024]",
        "hyperparameters.epochs=int[5:20:5]",
        "optimizer=choice[sgd, rmsprop, 'a,b']",
        "momentum=loguniform[1e-3:1]",
        "model.depth=int[1:4]",
        "warmup=uniform[ -1 : 1 ]",
    ]);
    assert_eq!(domain(&config, "lr"), float(0.0, 1.0, false, Some(0.25)));
    assert_eq!(domain(&config, "layers"), int(1, 8, false, 1));
    assert_eq!(domain(&config, "model.hidden"), int(1, 1024, true, 1));
    assert_eq!(domain(&config, "epochs"), int(5, 20, false, 5));
    assert_eq!(domain(&config, "momentum"), float(1e-3, 1.0, true, None));
    assert_eq!(domain(&config, "model.depth"), int(1, 4, false, 1));
    assert_eq!(domain(&config, "warmup"), float(-1.0, 1.0, false, None));
    let Domain::Search(Distribution::Categorical(choices)) = domain(&config, "optimizer") else {
        panic!("no choice")
    };
    assert_eq!(
        choices.values(),
        [json!("sgd"), json!("rmsprop"), json!("a,b")]
    );
    let momentum = config.search_space().get("momentum").unwrap();
    assert_eq!(momentum.when.len(), 1, "the condition stays");
}

#[test]
fn a_plain_value_fixes_what_would_be_searched() {
    let config = load(&["lr=0.01", "model.hidden=32"]);
    assert_eq!(domain(&config, "lr"), Domain::Fixed(json!(0.01)));
    assert_eq!(domain(&config, "model.hidden"), Domain::Fixed(json!(32)));
    assert_eq!(config.hyperparameters["lr"], json!(0.01));
    assert_eq!(config.hyperparameters["model"]["hidden"], json!(32));
    // Not in `hyperparameters`, but in the space.
    let config = load(&["layers=5"]);
    assert_eq!(config.hyperparameters["layers"], json!(5));
    assert_eq!(domain(&config, "layers"), Domain::Fixed(json!(5)));
}

#[test]
fn what_depends_on_a_value_that_an_override_excludes_is_dropped() {
    let config = load(&["optimizer=adam"]);
    assert_eq!(
        names(&config),
        [
            "lr",
            "optimizer",
            "layers",
            "model.hidden",
            "model.dropout",
            "seeds"
        ]
    );
    let config = load(&["layers=choice[3,5]"]);
    let nesterov = config.search_space().get("nesterov").unwrap();
    assert_eq!(nesterov.when[1].any_of, [json!(3)]);
}

#[test]
fn ranges_are_kept_for_a_command_that_does_not_search_to_refuse() {
    let loaded = try_load(FILE, &["seed=3", "lr=loguniform[1e-5:1e-1]"], &[]).unwrap();
    assert_eq!(loaded.ranges, ["lr=loguniform[1e-5:1e-1]"]);
    insta::assert_snapshot!(loaded.without_ranges().unwrap_err(), @"
    error: a range is nothing that a single run can use
    --> command-line argument
     |
     | lr=loguniform[1e-5:1e-1]
     |    ^^^^^^^^^^^^^^^^^^^^^
     = help: give one value, or search with `explr tune`

    1 error in the configuration
    ");
    let plain = try_load(FILE, &["seed=3"], &[]).unwrap();
    assert!(plain.without_ranges().is_ok());
}

#[test]
fn mistakes_in_ranges_are_shown_in_the_argument() {
    insta::assert_snapshot!(refusal(&[
        "lr=loguniform[0:1]",
        "momentum=uniform[1:0]",
        "layers=int[1:8:2]",
        "layers=int[1:2.5]",
        "lrr=uniform[0:1]",
        "seed=int[1:8]",
        "lr=uniform[0]",
        "lr=uniform[0:x]",
        "lr=uniform[0:1",
        "lr=unifrom[0:1]",
        "optimizer=choice[]",
        "model.dropout=choice[a,a]",
    ]), @"
    error: `search_space.lr` is logarithmic, so `low` must be above 0, not 0
    --> command-line argument
     |
     | lr=loguniform[0:1]
     |               ^
     = help: begin at a small number such as 1e-6, or leave `log` out

    error: `search_space.momentum.low` (1) is greater than `high` (0)
    --> command-line argument
     |
     | momentum=uniform[1:0]
     |                  ^
     = help: swap them

    error: `search_space.layers.high` must be a whole number, not 2.5
    --> command-line argument
     |
     | layers=int[1:2.5]
     |              ^^^
     = help: for fractions, write `type: float`

    error: `lrr` is neither a key of the configuration nor a hyperparameter
    --> command-line argument
     |
     | lrr=uniform[0:1]
     | ^^^
     = help: did you mean `lr`?

    error: `seed` is no hyperparameter, so it can't be searched
    --> command-line argument
     |
     | seed=int[1:8]
     | ^^^^
     = help: if a hyperparameter has this name, write `hyperparameters.seed`

    error: `uniform[...]` takes a lowest and a highest value
    --> command-line argument
     |
     | lr=uniform[0]
     |            ^
     = help: as in `uniform[0:1]` or, with a step, `uniform[0:1:0.1]`

    error: `x` is no number
    --> command-line argument
     |
     | lr=uniform[0:x]
     |              ^
     = help: as in `uniform[0:1]` or, with a step, `uniform[0:1:0.1]`

    error: this `[` is not closed
    --> command-line argument
     |
     | lr=uniform[0:1
     |           ^
     = help: as in `uniform[0:1]` or, with a step, `uniform[0:1:0.1]`

    error: `unifrom[...]` is no range
    --> command-line argument
     |
     | lr=unifrom[0:1]
     |    ^^^^^^^
     = help: did you mean `uniform[...]`? If this is text, put it in quotes

    error: `search_space.optimizer.choices` is empty
    --> command-line argument
     |
     | optimizer=choice[]
     |                 ^^
     = help: as in `choices: [sgd, adam]`

    error: the choice `a` is there twice
    --> command-line argument
     |
     | model.dropout=choice[a,a]
     |                        ^
     = help: keep one of them

    11 errors in the configuration
    ");
}

#[test]
fn text_that_only_looks_a_little_like_a_range_stays_text() {
    let config = load(&["epochs=files[3]", "lr='uniform[0:1]'"]);
    assert_eq!(config.hyperparameters["epochs"], json!("files[3]"));
    assert_eq!(config.hyperparameters["lr"], json!("uniform[0:1]"));
}

#[test]
fn variables_reach_the_search_space_and_the_study() {
    let variables = [
        ("EXPLR_TUNE__N_TRIALS", "7"),
        ("EXPLR_TUNE__SAMPLER__MULTIVARIATE", "false"),
        ("EXPLR_TUNE__PRUNER", "asha"),
        ("EXPLR_SEARCH_SPACE__LR__HIGH", "0.5"),
        ("EXPLR_WORKER__START", "fresh"),
        ("EXPLR_TIME_BUDGET_MINUTES", "1.5"),
        ("EXPLR_HYPERPARAMETERS__MOMENTUM", "0.5"),
    ];
    let file = format!("{FILE}tune: {{sampler: tpe}}\n");
    let config = try_load(&file, &["tune.n_trials=8"], &variables)
        .unwrap()
        .config;
    assert_eq!(config.tune.n_trials, Some(8));
    assert_eq!(
        config.tune.sampler,
        SamplerConfig::Tpe {
            n_startup_trials: 10,
            multivariate: false
        }
    );
    assert!(matches!(config.tune.pruner, PrunerConfig::Asha { .. }));
    assert_eq!(domain(&config, "lr"), float(1e-5, 0.5, true, None));
    assert_eq!(config.worker.start, Start::Fresh);
    assert_eq!(config.time_budget_minutes, Some(1.5));
    assert_eq!(domain(&config, "momentum"), Domain::Fixed(json!(0.5)));
}

#[test]
fn samplers_and_pruners_are_a_word_or_a_map() {
    let config =
        with_tune("  sampler: {name: grid, points: {lr: 5, momentum: 2, model.dropout: 3}}\n");
    let SamplerConfig::Grid {
        points: Some(GridPoints::Each(points)),
    } = config.tune.sampler
    else {
        panic!("no grid")
    };
    assert_eq!(points["lr"].get(), 5);
    for (written, name) in [
        ("random", "random"),
        ("{name: grid, points: 4}", "grid"),
        ("qmc", "qmc"),
        ("cmaes", "cmaes"),
        ("{name: gp}", "gp"),
    ] {
        let sampler = with_tune(&format!("  sampler: {written}\n")).tune.sampler;
        assert_eq!(serde_json::to_value(sampler).unwrap()["name"], name);
    }
    for (written, name) in [
        ("none", "none"),
        ("median", "median"),
        ("{name: percentile, percentile: 30}", "percentile"),
        ("successive_halving", "asha"),
        ("{name: successive_halving, min_resource: 3}", "asha"),
        ("hyperband", "hyperband"),
        ("{name: threshold, upper: 3}", "threshold"),
        ("{name: patient, patience: 3, wrapped: median}", "patient"),
        ("wilcoxon", "wilcoxon"),
    ] {
        let pruner = with_tune(&format!("  pruner: {written}\n")).tune.pruner;
        assert_eq!(serde_json::to_value(pruner).unwrap()["name"], name);
    }
}

#[test]
fn the_study_has_the_experiments_name_unless_it_has_its_own() {
    assert_eq!(load(&[]).study_name(), "digits");
    assert_eq!(load(&["tune.study=first"]).study_name(), "first");
    assert_eq!(load(&[]).tune.jobs, OrAuto::Number(NonZeroU32::MIN));
    assert_eq!(load(&["tune.jobs=auto"]).tune.jobs, OrAuto::Auto);
}

#[test]
fn a_part_of_a_gpu_is_taken() {
    let config = load(&["resources.gpus=0.5", "worker.cuda_oom=prune"]);
    assert_eq!(config.resources.gpus, Some(0.5));
    assert_eq!(config.worker.cuda_oom, CudaOom::Prune);
    assert_eq!(load(&["resources.gpus=2"]).resources.gpus, Some(2.0));
}
