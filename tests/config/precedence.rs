//! Defaults, the file, the environment, the arguments: later ones win, and
//! their mistakes are shown where they were made.

use explr::config::{Config, ConfigError, DeviceChoice, Loaded, from_str};
use serde_json::json;
use std::path::Path;

const FILE: &str = "\
experiment: digits
train: {plugin: plugin}
hyperparameters: {lr: 1e-3, epochs: 10, net: {hidden: [128, 64]}, a.b: 1}
seed: 1
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

fn load(arguments: &[&str], variables: &[(&str, &str)]) -> Config {
    try_load(FILE, arguments, variables)
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

fn refusal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    try_load(FILE, arguments, variables)
        .unwrap_err()
        .to_string()
}

#[test]
fn arguments_win_over_the_environment_and_that_over_the_file() {
    assert_eq!(load(&[], &[]).seed, 1);
    assert_eq!(load(&[], &[("EXPLR_SEED", "2")]).seed, 2);
    assert_eq!(load(&["seed=3"], &[("EXPLR_SEED", "2")]).seed, 3);
    assert_eq!(load(&["seed=3", "seed=4"], &[]).seed, 4);
    assert_eq!(
        try_load("experiment: a\ntrain: {plugin: plugin}\n", &[], &[])
            .unwrap()
            .config
            .seed,
        42
    );
}

#[test]
fn values_of_overrides_are_yaml() {
    let config = load(
        &[
            "lr=1e-4",
            "hyperparameters.net.hidden=[32, 16]",
            "hyperparameters.schedule={kind: cosine}",
        ],
        &[("EXPLR_HYPERPARAMETERS__EPOCHS", "20")],
    );
    assert_eq!(
        serde_json::Value::Object(config.hyperparameters),
        json!({
            "lr": 1e-4, "epochs": 20, "a.b": 1,
            "net": {"hidden": [32, 16]}, "schedule": {"kind": "cosine"},
        })
    );
}

#[test]
fn an_unqualified_key_means_a_hyperparameter_that_is_there() {
    let config = load(&["epochs=3", "net.hidden.1=8", "a.b=2"], &[]);
    assert_eq!(config.hyperparameters["epochs"], json!(3));
    assert_eq!(config.hyperparameters["net"], json!({"hidden": [128, 8]}));
    assert_eq!(config.hyperparameters["a.b"], json!(2));
}

#[test]
fn overrides_reach_sections_that_the_file_has_not() {
    let config = load(
        &[
            "worker.timeout=2h",
            "worker.env.OMP_NUM_THREADS=1",
            "mlflow.port=5001",
        ],
        &[
            ("EXPLR_TAGS__TEAM", "vision"),
            ("EXPLR_WORKER__ENV__Mixed_Case", "x"),
            ("EXPLR_DEVICE", "cpu"),
        ],
    );
    assert_eq!(config.worker.timeout.unwrap().0.as_secs(), 7200);
    assert_eq!(config.worker.env["OMP_NUM_THREADS"], "1");
    assert_eq!(config.worker.env["Mixed_Case"], "x");
    assert_eq!(config.tags["team"], "vision");
    assert_eq!(config.mlflow.port, Some(5001));
    assert_eq!(
        config.device,
        DeviceChoice::Device(explr_protocol::Device::Cpu)
    );
}

#[test]
fn mlflow_is_switched_with_a_word_or_a_boolean() {
    for (text, enabled) in [
        ("off", false),
        ("false", false),
        ("on", true),
        ("true", true),
        ("{port: 1}", true),
    ] {
        assert_eq!(
            load(&[&format!("mlflow={text}")], &[]).mlflow.enabled,
            enabled,
            "{text}"
        );
    }
    let off = format!("{FILE}mlflow: off\n");
    assert_eq!(
        try_load(&off, &["mlflow.enabled=true"], &[])
            .unwrap()
            .config
            .mlflow
            .port,
        None
    );
}

#[test]
fn other_variables_and_empty_ones_are_left_alone() {
    let variables = [
        ("EXPLR_LOG", "debug"),
        ("EXPLR_RUN_ID", "x"),
        ("EXPLR_CONTROL_FD", "3"),
        ("EXPLR_SEED", ""),
        ("EXPLORER", "1"),
        ("PATH", "/bin"),
    ];
    assert_eq!(load(&[], &variables), load(&[], &[]));
}

#[test]
fn numbers_and_booleans_are_taken_as_written_where_text_is_wanted() {
    let config = load(
        &[
            "tags.version=1.10",
            "tags.final=true",
            "tags.id=0x1F",
            "description=2",
        ],
        &[],
    );
    assert_eq!(config.tags["version"], "1.10");
    assert_eq!(config.tags["final"], "true");
    assert_eq!(config.tags["id"], "0x1F");
    assert_eq!(config.description.as_deref(), Some("2"));
}

#[test]
fn an_empty_section_is_the_default() {
    let file = format!("{FILE}tags:\nworker:\nmlflow:\ndescription:\n");
    assert_eq!(try_load(&file, &[], &[]).unwrap().config, load(&[], &[]));
}

#[test]
fn anchors_and_merge_keys_work() {
    let file = "\
experiment: digits
train: {plugin: plugin}
hyperparameters:
  small: &small {hidden: 32, lr: 1e-3}
  large: {<<: *small, hidden: 512}
";
    let config = try_load(file, &[], &[]).unwrap().config;
    assert_eq!(
        config.hyperparameters["large"],
        json!({"hidden": 512, "lr": 1e-3})
    );
}

#[test]
fn references_stay_unresolved_and_secrets_are_masked_in_what_is_stored() {
    let file = format!(
        "{FILE}worker: {{env: {{HF_TOKEN: '${{env:HF_TOKEN}}', API_KEY: abc}}}}\n\
         mlflow: {{tracking_uri: 'http://me:${{env:HF_TOKEN}}@box'}}\n"
    );
    let loaded = try_load(&file, &[], &[("HF_TOKEN", "hush")]).unwrap();
    assert_eq!(loaded.config.worker.env["HF_TOKEN"], "${env:HF_TOKEN}");
    let stored = loaded.stored();
    assert_eq!(
        stored["worker"]["env"],
        json!({"HF_TOKEN": "${env:HF_TOKEN}", "API_KEY": "********"})
    );
    assert!(!stored.to_string().contains("hush") && !stored.to_string().contains("abc"));
}

#[test]
fn mistakes_in_arguments_are_shown_in_the_argument() {
    insta::assert_snapshot!(refusal(&["sed=3"], &[]), @"
    error: `sed` is neither a key of the configuration nor a hyperparameter
    --> command-line argument
     |
     | sed=3
     | ^^^
     = help: did you mean `seed`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["learning_rate=3"], &[]), @"
    error: `learning_rate` is neither a key of the configuration nor a hyperparameter
    --> command-line argument
     |
     | learning_rate=3
     | ^^^^^^^^^^^^^
     = help: the hyperparameters are `lr`, `epochs`, `net` and `a.b`; for a new one write `hyperparameters.learning_rate=...`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["epoch=3"], &[]), @"
    error: `epoch` is neither a key of the configuration nor a hyperparameter
    --> command-line argument
     |
     | epoch=3
     | ^^^^^
     = help: did you mean `epochs`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["port=5001"], &[]), @"
    error: `port` is neither a key of the configuration nor a hyperparameter
    --> command-line argument
     |
     | port=5001
     | ^^^^
     = help: did you mean `mlflow.port`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["seed"], &[]), @"
    error: an override is `key=value`
    --> command-line argument
     |
     | seed
     | ^^^^
     = help: as in `seed=7` or `hyperparameters.lr=1e-4`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["seed:3"], &[]), @"
    error: an override is `key=value`
    --> command-line argument
     |
     | seed:3
     | ^^^^^^
     = help: write `seed=3`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["=3"], &[]), @"
    error: a key is empty
    --> command-line argument
     |
     | =3
     | ^
     = help: as in `seed=7`, `hyperparameters.lr=1e-4` or `EXPLR_MLFLOW__PORT=5001`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["worker..timeout=3"], &[]), @"
    error: a key is empty
    --> command-line argument
     |
     | worker..timeout=3
     | ^^^^^^^^^^^^^^^
     = help: as in `seed=7`, `hyperparameters.lr=1e-4` or `EXPLR_MLFLOW__PORT=5001`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["seed=abc"], &[]), @"
    error: `seed` must be a whole number, not the text `abc`
    --> command-line argument
     |
     | seed=abc
     |      ^^^

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["worker.timeot=3"], &[]), @"
    error: unknown key `timeot` in `worker`
    --> command-line argument
     |
     | worker.timeot=3
     |        ^^^^^^
     = help: did you mean `timeout`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["seed.x=3"], &[]), @"
    error: `seed` is not a map, so it has no `x`
    --> command-line argument
     |
     | seed.x=3
     |      ^

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["net.hidden.2=3"], &[]), @"
    error: `hyperparameters.net.hidden` is a list of 2, and `2` is none of its items
    --> command-line argument
     |
     | net.hidden.2=3
     |            ^
     = help: items are counted from 0

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["lr=[1"], &[]), @"
    error: this `[` is never closed
    --> command-line argument
     |
     | lr=[1
     |    ^
     = help: add the missing `]`

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["lr=.nan"], &[]), @"
    error: `hyperparameters.lr` is `.nan`, which is no finite number of 64 bits
    --> command-line argument
     |
     | lr=.nan
     |    ^^^^
     = help: leave the key out, or put the value in quotes to pass it as text

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&["experiment="], &[]), @"
    error: `experiment` has no value: it must be text
    --> command-line argument
     |
     | experiment=
     | ^^^^^^^^^^
     = help: give the experiment a name, as in `experiment: digits`

    1 error in the configuration
    ");
}

#[test]
fn mistakes_in_variables_are_shown_in_the_variable() {
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_SEDE", "3")]), @"
    error: the environment variable `EXPLR_SEDE` means nothing to explr
    --> environment variable EXPLR_SEDE
     |
     | EXPLR_SEDE=3
     | ^^^^^^^^^^
     = help: did you mean `EXPLR_SEED`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_LR", "3")]), @"
    error: the environment variable `EXPLR_LR` means nothing to explr
    --> environment variable EXPLR_LR
     |
     | EXPLR_LR=3
     | ^^^^^^^^
     = help: did you mean `EXPLR_HYPERPARAMETERS__LR`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_PORT", "3")]), @"
    error: the environment variable `EXPLR_PORT` means nothing to explr
    --> environment variable EXPLR_PORT
     |
     | EXPLR_PORT=3
     | ^^^^^^^^^^
     = help: did you mean `EXPLR_MLFLOW__PORT`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_SOMETHING_ELSE", "3")]), @"
    error: the environment variable `EXPLR_SOMETHING_ELSE` means nothing to explr
    --> environment variable EXPLR_SOMETHING_ELSE
     |
     | EXPLR_SOMETHING_ELSE=3
     | ^^^^^^^^^^^^^^^^^^^^
     = help: variables that begin with `EXPLR_` set keys of the configuration, as in `EXPLR_SEED` or `EXPLR_MLFLOW__PORT`; unset it or rename it

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_MLFLOW__PORT", "0")]), @"
    error: `mlflow.port` must be at least 1, not 0
    --> environment variable EXPLR_MLFLOW__PORT
     |
     | EXPLR_MLFLOW__PORT=0
     |                    ^

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_MLFLOW__PROT", "5001")]), @"
    error: unknown key `prot` in `mlflow`
    --> environment variable EXPLR_MLFLOW__PROT
     |
     | EXPLR_MLFLOW__PROT=5001
     |               ^^^^
     = help: did you mean `port`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_", "1")]), @"
    error: the environment variable `EXPLR_` means nothing to explr
    --> environment variable EXPLR_
     |
     | EXPLR_=1
     | ^^^^^^
     = help: variables that begin with `EXPLR_` set keys of the configuration, as in `EXPLR_SEED` or `EXPLR_MLFLOW__PORT`; unset it or rename it

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(&[], &[("EXPLR_MLFLOW__TRACKING_URI", "ftp://me:hunter2@box")]), @"
    error: `ftp:` is no kind of tracking address that explr knows
    --> environment variable EXPLR_MLFLOW__TRACKING_URI
     |
     | EXPLR_MLFLOW__TRACKING_URI=ftp://**********@box
     |                            ^^^^^^^^^^^^^^^^^^^^
     = help: write an address, as in `http://localhost:5000`, or `file:` for the journal alone

    1 error in the configuration
    ");
}

#[test]
fn the_file_comes_first_then_the_environment_then_the_arguments() {
    let error = try_load(
        &format!("{FILE}device: gpu\n"),
        &["resources.cpus=0"],
        &[("EXPLR_MLFLOW__PORT", "0")],
    )
    .unwrap_err();
    insta::assert_snapshot!(error, @"
    error: `device` must be `auto`, `cpu`, `cuda` or `cuda:N`, not the text `gpu`
     --> digits.yaml:5:9
      |
    5 | device: gpu
      |         ^^^
      = help: did you mean `cuda`?

    error: `mlflow.port` must be at least 1, not 0
    --> environment variable EXPLR_MLFLOW__PORT
     |
     | EXPLR_MLFLOW__PORT=0
     |                    ^

    error: `resources.cpus` must be at least 1, not 0
    --> command-line argument
     |
     | resources.cpus=0
     |                ^

    3 errors in the configuration
    ");
    assert_eq!(error.len(), 3);
}

#[test]
fn colours_only_add_escapes() {
    let error = try_load("seed: abc\n", &[], &[]).unwrap_err();
    let coloured = error.render(explr::config::Style::Coloured);
    assert!(coloured.contains("\x1b[1;31merror\x1b[0m"), "{coloured}");
    let mut plain = coloured;
    for code in ["\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, error.to_string());
}

#[test]
fn a_path_of_thousands_of_keys_is_refused() {
    let path = "a.".repeat(60_000);
    let error = try_load(FILE, &[&format!("hyperparameters.{path}a=1")], &[]).unwrap_err();
    assert_eq!(
        error.messages().collect::<Vec<_>>(),
        ["more than 32 levels of keys"]
    );
    let path = "__A".repeat(60_000);
    let error = try_load(FILE, &[], &[(&format!("EXPLR_TAGS{path}"), "1")]).unwrap_err();
    assert_eq!(
        error.messages().collect::<Vec<_>>(),
        ["more than 32 levels of keys"]
    );
}

#[test]
fn a_path_in_an_override_starts_in_the_current_folder() {
    let config = load(
        &["train.plugin=tests/bad_configs/plugin"],
        &[("EXPLR_STORE", "there")],
    );
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        config.train.plugin,
        Some(here.join("tests/bad_configs/plugin"))
    );
    assert_eq!(config.store, here.join("there"));
    let config = load(
        &["store=~/runs", "checkpoint_dir=${env:SCRATCH}/a"],
        &[("SCRATCH", "/s")],
    );
    assert_eq!(config.store, std::path::Path::new("~/runs"));
    assert_eq!(
        config.checkpoint_dir.unwrap(),
        std::path::Path::new("${env:SCRATCH}/a")
    );
}
