//! Any configuration survives being written and read, and no bytes make the
//! reader panic.

use explr::config::{
    Config, CudaOom, DeviceChoice, GridPoints, Metrics, Mlflow, Objective, OrAuto, PrunerConfig,
    Resources, SamplerConfig, Seconds, SpaceConfig, Start, Sweep, Train, Tune, WorkerConfig,
    from_config, from_str, load,
};
use explr_protocol::{Device, Direction, FailureClass, MetricFormat};
use explr_study::SearchSpace;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Text of all kinds, but no `${env:` and nothing that a file can't hold.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "\\PC{0,10}",
        "(on|no|null|~|1e5|012|0x1|- a|a: b|#|'|\"|\\$)"
    ]
    .prop_filter("a reference", |text| !text.contains("${env:"))
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_-]{0,10}"
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("not finite", |number| number.is_finite())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn time() -> impl Strategy<Value = Seconds> {
    (1..100_000_000_u64).prop_map(|millis| Seconds(Duration::from_millis(millis)))
}

fn class() -> impl Strategy<Value = FailureClass> {
    proptest::sample::select(vec![
        FailureClass::Signal,
        FailureClass::CudaOom,
        FailureClass::Nan,
    ])
}

fn worker() -> impl Strategy<Value = WorkerConfig> {
    (
        (option::of(time()), time(), option::of(time()), time()),
        (
            1..u32::MAX,
            vec(class(), 1..3),
            btree_map(name(), text(), 0..3),
            proptest::sample::select(vec![Start::Auto, Start::Fork, Start::Fresh]),
            proptest::sample::select(vec![CudaOom::Fail, CudaOom::Prune, CudaOom::Retry]),
        ),
    )
        .prop_map(
            |(
                (timeout, heartbeat_timeout, progress_timeout, grace),
                (retries, retry_on, env, start, cuda_oom),
            )| {
                WorkerConfig {
                    timeout,
                    heartbeat_timeout,
                    progress_timeout,
                    grace,
                    retries,
                    retry_on,
                    env,
                    start,
                    cuda_oom,
                }
            },
        )
}

fn mlflow() -> impl Strategy<Value = Mlflow> {
    (
        (any::<bool>(), any::<bool>(), any::<bool>()),
        (
            option::of(1..u16::MAX),
            option::of(name()),
            option::of(name()),
            time(),
            time(),
        ),
    )
        .prop_map(
            |(
                (enabled, auto_start, system_metrics),
                (port, host, root, interval, sync_timeout),
            )| Mlflow {
                enabled,
                tracking_uri: host.map(|host| format!("http://{host}:5000")),
                auto_start,
                port,
                artifact_root: root.map(PathBuf::from),
                required: enabled && auto_start,
                system_metrics,
                system_metrics_interval: interval,
                sync_timeout,
            },
        )
}

/// Names too long for a hyperparameter of [`name`], which would be in their way.
fn space() -> impl Strategy<Value = SpaceConfig> {
    let range = (-1e9..1e9, 0.0..1e9).prop_map(|(low, width): (f64, f64)| low..=low + width);
    let whole = (-1000_i64..1000, 0_i64..1000).prop_map(|(low, width)| low..=low + width);
    (range, whole, value(), any::<bool>(), any::<bool>()).prop_map(
        |(range, whole, fixed, searched, conditional)| {
            if !searched {
                return SpaceConfig::default();
            }
            let mut space = SearchSpace::builder()
                .categorical("optimizer", ["sgd", "adam"])
                .float("model_of_a_trial.dropout", range)
                .log_float("lr", 1e-7..=0.3);
            if conditional {
                space = space.when("optimizer", ["sgd"]);
            }
            let space = space
                .int("layers", whole)
                .fixed("fixed_parameter.b", fixed)
                .build();
            space.unwrap().into()
        },
    )
}

fn sampler() -> impl Strategy<Value = SamplerConfig> {
    let points = NonZeroU32::new(7).unwrap();
    prop_oneof![
        (any::<u32>(), any::<bool>()).prop_map(|(n_startup_trials, multivariate)| {
            SamplerConfig::Tpe {
                n_startup_trials,
                multivariate,
            }
        }),
        Just(SamplerConfig::Random {}),
        Just(SamplerConfig::Qmc {}),
        Just(SamplerConfig::Grid {
            points: Some(GridPoints::All(points))
        }),
        Just(SamplerConfig::Gp {}),
        Just(SamplerConfig::Cmaes {}),
    ]
}

fn pruner() -> impl Strategy<Value = PrunerConfig> {
    let leaf = prop_oneof![
        Just(PrunerConfig::None),
        (any::<u32>(), 2..u32::MAX).prop_map(|(min_early_stopping_rate, reduction_factor)| {
            PrunerConfig::Asha {
                min_resource: OrAuto::Auto,
                reduction_factor,
                min_early_stopping_rate,
            }
        }),
        (finite(), any::<u32>()).prop_map(|(upper, n_warmup_steps)| PrunerConfig::Threshold {
            lower: None,
            upper: Some(upper),
            n_warmup_steps,
            interval_steps: NonZeroU32::MIN,
        }),
    ];
    (leaf, option::of(any::<u32>())).prop_map(|(leaf, patience)| match patience {
        Some(patience) => PrunerConfig::Patient {
            wrapped: Some(Box::new(leaf)),
            patience,
            min_delta: 0.25,
        },
        None => leaf,
    })
}

fn tune() -> impl Strategy<Value = Tune> {
    let objectives = btree_map(name(), any::<bool>(), 0..3).prop_map(|metrics| {
        let objective = |(metric, is_loss)| Objective {
            metric,
            direction: if is_loss {
                Direction::Minimize
            } else {
                Direction::Maximize
            },
        };
        metrics.into_iter().map(objective).collect::<Vec<_>>()
    });
    (
        (
            option::of(name()),
            option::of(1..u32::MAX),
            objectives,
            sampler(),
            pruner(),
        ),
        (
            any::<Option<NonZeroU32>>(),
            option::of(time()),
            option::of(finite()),
            option::of(1..u32::MAX),
            any::<bool>(),
            vec(btree_map("[xyz]{9}", value(), 0..3), 0..2),
        ),
    )
        .prop_map(
            |(
                (study, n_trials, objectives, sampler, pruner),
                (jobs, timeout, stop_at, max_fail, fail_fast, enqueue),
            )| {
                let single = objectives.len() < 2;
                Tune {
                    study,
                    n_trials,
                    direction: objectives.is_empty().then_some(Direction::Maximize),
                    metric: None,
                    objectives,
                    sampler,
                    pruner: if single { pruner } else { PrunerConfig::None },
                    jobs: jobs.map_or(OrAuto::Auto, OrAuto::Number),
                    timeout,
                    stop_at: stop_at.filter(|_| single),
                    max_fail,
                    fail_fast,
                    keep_pruned_checkpoints: fail_fast,
                    enqueue: enqueue
                        .into_iter()
                        .map(|trial| trial.into_iter().collect())
                        .collect(),
                }
            },
        )
}

fn sweep() -> impl Strategy<Value = Sweep> {
    btree_map(
        "(seed|tune\\.n_trials|worker\\.retries)",
        Just(vec![1, 2]),
        0..3,
    )
    .prop_map(|matrix| Sweep {
        matrix: matrix
            .into_iter()
            .map(|(key, values)| (key, values.into_iter().map(Value::from).collect()))
            .collect(),
        exclude: Vec::new(),
    })
}

fn config() -> impl Strategy<Value = Config> {
    let device = prop_oneof![
        Just(DeviceChoice::Auto),
        Just(DeviceChoice::Device(Device::Cpu)),
        any::<u32>().prop_map(|index| DeviceChoice::Device(Device::Cuda(index))),
    ];
    let resources =
        (option::of(1..u32::MAX), option::of(1e-3..1e3)).prop_map(|(cpus, gpu_memory_gb)| {
            Resources {
                cpus,
                gpu_memory_gb,
                ..Resources::default()
            }
        });
    let search = (space(), tune(), sweep(), option::of(1e-3..1e6));
    (
        (
            name(),
            option::of(text()),
            btree_map(name(), text(), 0..3),
            train(),
        ),
        (
            btree_map(name(), value(), 0..5),
            any::<u64>(),
            device,
            resources,
        ),
        (worker(), option::of("[a-z]{1,8}"), mlflow(), "[a-z]{1,8}"),
        search,
    )
        .prop_map(
            |(
                (experiment, description, tags, train),
                (hyperparameters, seed, device, resources),
                (worker, checkpoint_dir, mlflow, store),
                (search_space, tune, sweep, time_budget_minutes),
            )| {
                // Names of any kind may be the same environment variable.
                let is_command = train.command.is_some();
                let hyperparameters = if is_command {
                    BTreeMap::new()
                } else {
                    hyperparameters
                };
                let search_space = if is_command {
                    SpaceConfig::default()
                } else {
                    search_space
                };
                Config {
                    experiment,
                    description,
                    tags,
                    train,
                    hyperparameters: hyperparameters.into_iter().collect::<Map<_, _>>(),
                    search_space,
                    tune,
                    sweep,
                    seed,
                    device,
                    resources,
                    time_budget_minutes,
                    worker,
                    checkpoint_dir: checkpoint_dir.map(PathBuf::from),
                    mlflow,
                    store: store.into(),
                }
            },
        )
}

fn train() -> impl Strategy<Value = Train> {
    let plugin = "[a-z_]{1,10}".prop_map(|function| Train {
        plugin: Some("plugin".into()),
        function,
        ..Train::default()
    });
    let pattern = Just(Metrics {
        pattern: Some(r"(?P<loss>\S+)".into()),
        report: Some("loss".into()),
        ..Metrics::default()
    });
    let file = option::of(text()).prop_map(|report| Metrics {
        file: Some("{artifact_dir}/log".into()),
        format: Some(MetricFormat::Jsonl),
        report,
        ..Metrics::default()
    });
    let words = vec(text(), 0..4);
    let command = (words, option::of(prop_oneof![pattern, file])).prop_map(|(words, metrics)| {
        let words = words
            .into_iter()
            .map(|word| word.replace('{', "{{").replace('}', "}}"));
        Train {
            command: Some(["python".to_owned()].into_iter().chain(words).collect()),
            metrics,
            ..Train::default()
        }
    });
    prop_oneof![plugin, command]
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs")
}

fn no_variables() -> impl Iterator<Item = (String, String)> {
    std::iter::empty()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_configuration_reads_back_as_it_was_written(config in config()) {
        let built = from_config(&config, &dir(), &[], no_variables());
        let built = built.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&built.config, &config);
        let yaml = serde_saphyr::to_string(&config).unwrap();
        let read = from_str("config.yaml", &yaml, &dir(), &[], no_variables());
        let read = read.map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        prop_assert_eq!(read.config, config);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("random.yaml");
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(load(&path, &[], no_variables()).is_err());
    }

    #[test]
    fn no_text_that_looks_like_yaml_makes_the_reader_panic(
        text in "([a-z]{1,3}|[-:?&*!|>'\"%@`#{}\\[\\],\n ]|\t|é|字|<<|\\$\\{env:|experiment|train|mlflow){0,60}",
        argument in "[a-z.=:{\\[é ]{0,20}",
        variable in "[A-Z_]{0,20}",
    ) {
        let variables = [(format!("EXPLR_{variable}"), argument.clone())].into_iter();
        if let Err(error) = from_str("random.yaml", &text, &dir(), &[argument], variables) {
            prop_assert!(!error.render(explr::config::Style::Coloured).is_empty());
        }
    }
}
