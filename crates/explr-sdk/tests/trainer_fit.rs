//! The loop of the trainer: what happens, in what order, and when it ends.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::float_cmp, reason = "the very same number is meant")]

mod common;

use common::{MockHost, context};
use explr_protocol::{Answer, Ask, Event, Outcome, RunContext, TrialRef};
use explr_sdk::data::{Batch, DataLoader, Dataset, InMemory, IterableDataset, Shard, Tensors};
use explr_sdk::metrics::{MetricCollection, Regression};
use explr_sdk::scheduler::{Exponential, Plateau};
use explr_sdk::tch::nn::{self, VarStore};
use explr_sdk::tch::{Reduction, Tensor, kind};
use explr_sdk::trainer::callbacks::{GradientNorm, LrMonitor};
use explr_sdk::trainer::{
    Callback, CheckpointConfig, EarlyStoppingConfig, Ending, Fitted, Learner, Trainer,
    TrainerBuilder, TrainerConfig,
};
use explr_sdk::{Direction, Optimizer, Result, TrainingContext, TrainingResult, model};
use serde_json::json;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;

/// Ten samples: `y = 2 x`.
fn data() -> Result<InMemory> {
    let input = Tensor::f_arange(10, kind::FLOAT_CPU)?.f_reshape([10, 1])?;
    Ok(InMemory::pair(&input, &(&input * 2))?)
}

fn loader() -> Result<DataLoader> {
    Ok(DataLoader::builder(data()?).batch_size(2).build()?)
}

/// One weight, which begins at 0.
struct Slope(Tensor);

impl Slope {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let [input, target] = batch.all()?;
        Ok((input * &self.0).f_mse_loss(target, Reduction::Mean)?)
    }
}

impl Learner for Slope {
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        assert!(trainer.is_training());
        let loss = self.loss(batch)?;
        trainer.backward(&loss)?;
        trainer.step("net")?;
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        assert!(!trainer.is_training());
        let [input, target] = batch.all()?;
        let output = input * &self.0;
        assert!(!output.requires_grad());
        trainer.metrics().update(&output, target)?;
        Ok(output.f_mse_loss(target, Reduction::Mean)?)
    }
}

/// What a training gave.
struct Seen {
    outcome: Outcome,
    fitted: Option<Fitted>,
    weight: f64,
    host: MockHost,
}

/// Trains the slope.
fn run(
    run: &RunContext,
    host: MockHost,
    config: &TrainerConfig,
    lr: f64,
    change: impl Fn(TrainerBuilder) -> TrainerBuilder + Send + Sync,
) -> Seen {
    let seen = Mutex::new((None, f64::NAN));
    let outcome = host.run(run, |ctx| {
        let vs = VarStore::new(ctx.device());
        let weight = vs.root().zeros("weight", &[1]);
        let optimizer = Optimizer::new(nn::Sgd::default(), &vs, lr)?;
        let builder = Trainer::builder(config.clone())
            .model("net", vs)
            .optimizer("net", optimizer);
        let mut trainer = change(builder).build(ctx)?;
        let mut learner = Slope(weight);
        let fitted = trainer.fit(&mut learner, &mut loader()?, Some(&mut loader()?))?;
        *seen.lock().unwrap() = (Some(fitted.clone()), f64::try_from(&learner.0)?);
        fitted.result()
    });
    let (fitted, weight) = seen.into_inner().unwrap();
    Seen {
        outcome,
        fitted,
        weight,
        host,
    }
}

fn config(epochs: u64) -> TrainerConfig {
    TrainerConfig {
        epochs: Some(epochs),
        ..TrainerConfig::default()
    }
}

fn train(config: &TrainerConfig, lr: f64) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), json!({}));
    run(&context, MockHost::default(), config, lr, |builder| builder)
}

/// Steps at which a metric was logged.
fn steps(host: &MockHost, name: &str) -> Vec<i64> {
    let metrics = host.metrics().into_iter();
    metrics
        .filter(|(key, ..)| key == name)
        .map(|(_, step, _)| step)
        .collect()
}

fn message(seen: &Seen) -> String {
    let Outcome::Err(error) = &seen.outcome else {
        panic!("{:?}", seen.outcome)
    };
    error.message.clone()
}

#[test]
fn gradients_are_the_mean_over_the_batches_of_a_step_also_of_the_last() {
    let accumulate = TrainerConfig {
        accumulate: 3,
        ..config(2)
    };
    let seen = train(&accumulate, 0.01);
    assert_eq!(seen.fitted.unwrap().steps, 4);
    // By hand: batches of two, five in an epoch, in steps of three and two.
    let mut weight = 0.0_f32;
    for _ in 0..2 {
        for window in [&[0.0_f32, 2.0, 4.0][..], &[6.0, 8.0]] {
            let gradient = |first: &f32| {
                let squares = first * first + (first + 1.0) * (first + 1.0);
                2.0 * (weight - 2.0) * squares / 2.0
            };
            let sum: f32 = window.iter().map(gradient).sum();
            weight -= 0.01 * sum / window.len() as f32;
        }
    }
    assert!(
        (seen.weight - f64::from(weight)).abs() < 1e-5,
        "{} {weight}",
        seen.weight
    );
}

#[test]
fn gradients_are_clipped_by_norm_and_by_value() {
    for (clip_norm, clip_value) in [(Some(0.5), None), (None, Some(0.5))] {
        let clipped = TrainerConfig {
            max_steps: Some(3),
            clip_norm,
            clip_value,
            ..TrainerConfig::default()
        };
        // Each gradient is below -0.5.
        let seen = train(&clipped, 0.1);
        assert!((seen.weight - 0.15).abs() < 1e-5, "{}", seen.weight);
    }
}

#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<String>>>);

impl Recorder {
    fn add(&self, what: &str, trainer: &Trainer<'_>) {
        let (epoch, step) = (trainer.current_epoch(), trainer.global_step());
        self.0.borrow_mut().push(format!("{what} {epoch} {step}"));
    }
}

impl Callback for Recorder {
    fn pre_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.add("pre_fit", trainer);
        Ok(())
    }

    fn pre_epoch(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.add("pre_epoch", trainer);
        Ok(())
    }

    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, loss: &Tensor) -> Result<()> {
        assert!(!loss.requires_grad());
        self.add("batch", trainer);
        Ok(())
    }

    fn post_optimizer_step(
        &mut self,
        trainer: &mut Trainer<'_>,
        optimizer: &str,
        _: &Tensor,
    ) -> Result<()> {
        self.add(optimizer, trainer);
        Ok(())
    }

    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        _: &[(String, f64)],
    ) -> Result<()> {
        self.add("validation", trainer);
        Ok(())
    }

    fn post_epoch(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.add("post_epoch", trainer);
        Ok(())
    }

    fn post_fit(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        self.add("post_fit", trainer);
        Ok(())
    }
}

/// The events of a training, each with epoch and step.
fn events(config: &TrainerConfig) -> String {
    let dir = tempfile::tempdir().unwrap();
    let events = Mutex::new(String::new());
    let outcome = MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
        let vs = VarStore::new(ctx.device());
        let weight = vs.root().zeros("weight", &[1]);
        let optimizer = Optimizer::new(nn::Sgd::default(), &vs, 1e-3)?;
        let recorder = Recorder::default();
        let mut trainer = Trainer::builder(config.clone())
            .model("net", vs)
            .optimizer("net", optimizer)
            .callback(recorder.clone())
            .build(ctx)?;
        let fitted = trainer.fit(&mut Slope(weight), &mut loader()?, Some(&mut loader()?))?;
        *events.lock().unwrap() = recorder.0.borrow().join(", ");
        fitted.result()
    });
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    events.into_inner().unwrap()
}

#[test]
fn callbacks_are_called_in_the_documented_order() {
    let accumulate = TrainerConfig {
        accumulate: 3,
        sanity_batches: 1,
        ..config(1)
    };
    assert_eq!(
        events(&accumulate),
        "pre_fit 0 0, pre_epoch 0 0, batch 0 0, batch 0 0, net 0 0, batch 0 0, batch 0 1, \
         net 0 1, batch 0 1, validation 0 2, post_epoch 0 2, post_fit 1 2"
    );
    // The last validation is done though no step is due for it.
    let by_steps = TrainerConfig {
        max_steps: Some(3),
        validate_every_steps: Some(2),
        ..TrainerConfig::default()
    };
    assert_eq!(
        events(&by_steps),
        "pre_fit 0 0, pre_epoch 0 0, net 0 0, batch 0 0, net 0 1, batch 0 1, validation 0 2, \
         net 0 2, batch 0 2, validation 0 3, post_fit 0 3"
    );
    let rarely = TrainerConfig {
        validate_every_epochs: 2,
        ..config(3)
    };
    let validations = events(&rarely);
    let validations: Vec<_> = validations
        .split(", ")
        .filter(|e| e.starts_with("val"))
        .collect();
    assert_eq!(validations, ["validation 1 10", "validation 2 15"]);
}

#[test]
fn losses_values_rates_and_norms_are_logged_at_their_steps() {
    let dir = tempfile::tempdir().unwrap();
    let every = TrainerConfig {
        log_every_steps: 3,
        ..config(2)
    };
    let context = context(dir.path(), json!({}));
    let seen = run(&context, MockHost::default(), &every, 1e-3, |builder| {
        builder
            .metrics(MetricCollection::new().with("mse", Regression::mse()))
            .schedule("net", Exponential::new(0.5))
            .callback(LrMonitor::new(4))
            .callback(GradientNorm::new(5))
    });
    let host = &seen.host;
    assert_eq!(steps(host, "train_loss"), [3, 6, 9, 10]);
    assert_eq!(steps(host, "val_loss"), [5, 10]);
    assert_eq!(steps(host, "grad_norm"), [5, 10]);
    let rates: Vec<_> = host
        .metrics()
        .into_iter()
        .filter(|(key, ..)| key == "lr")
        .collect();
    let rates: Vec<_> = rates
        .iter()
        .map(|(_, step, bits)| (*step, f64::from_bits(*bits)))
        .collect();
    // The rates that steps 4 and 8 were done with.
    assert_eq!(rates, [(4, 1e-3 / 8.0), (8, 1e-3 / 128.0)]);
    let fitted = seen.fitted.unwrap();
    let [(loss, a), (mse, b)] = fitted.values.as_slice() else {
        panic!("{:?}", fitted.values)
    };
    assert_eq!((loss.as_str(), mse.as_str()), ("val_loss", "val_mse"));
    assert!((a - b).abs() < 1e-6 * a, "{a} {b}");
    let Outcome::Ok(result) = seen.outcome else {
        panic!("{:?}", seen.outcome)
    };
    assert_eq!(result.primary_metric, fitted.best.unwrap());
    assert_eq!(result.metrics["val_mse"], *b);
    assert_eq!(result.epochs_completed, Some(2));
    // Started again, it has the last line to log once more, and the same result.
    let again = run(&context, MockHost::default(), &every, 1e-3, |builder| {
        builder
            .metrics(MetricCollection::new().with("mse", Regression::mse()))
            .schedule("net", Exponential::new(0.5))
            .callback(LrMonitor::new(4))
            .callback(GradientNorm::new(5))
    });
    assert_eq!(
        again.host.metrics(),
        host.metrics().split_off(host.metrics().len() - 1)
    );
    let Outcome::Ok(repeated) = again.outcome else {
        panic!("{:?}", again.outcome)
    };
    assert_eq!(repeated, result);
    let shown = host.progress.lock().unwrap().join("\n");
    assert!(shown.contains(r#""step":9,"steps":10"#), "{shown}");
}

#[test]
fn the_newest_and_the_best_checkpoints_stay_and_one_model_is_saved_like_any() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), json!({}));
    let many = TrainerConfig {
        checkpoint: Some(CheckpointConfig {
            every_steps: Some(4),
            keep_last: 3,
            keep_top: 2,
            ..CheckpointConfig::default()
        }),
        ..config(3)
    };
    // The rate is too high: each epoch is worse.
    let seen = run(&context, MockHost::default(), &many, 0.05, |builder| {
        builder
    });
    let mut names: Vec<_> = fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let short: Vec<_> = names
        .iter()
        .map(|name| name.replace("-step-000000", " "))
        .collect();
    assert_eq!(
        short,
        [
            "epoch-00001 05",
            "epoch-00002 10",
            "epoch-00002 12",
            "epoch-00003 15"
        ]
    );
    let best = seen.fitted.unwrap().best_model.unwrap();
    assert!(best.to_str().unwrap().contains("epoch-00001-step-00000005"));
    let mut vs = VarStore::new(explr_sdk::tch::Device::Cpu);
    let weight = vs.root().zeros("weight", &[1]);
    model::load(&mut vs, best).unwrap();
    assert_ne!(f64::try_from(weight).unwrap(), 0.0);
}

#[test]
fn no_checkpoint_is_saved_where_none_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), json!({}));
    let none: TrainerConfig =
        serde_json::from_value(json!({"epochs": 2, "checkpoint": null})).unwrap();
    let seen = run(&context, MockHost::default(), &none, 1e-3, |builder| {
        builder
    });
    assert!(matches!(seen.outcome, Outcome::Ok(_)));
    assert_eq!(
        fs::read_dir(dir.path().join("checkpoints"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn it_stops_early_when_nothing_gets_better_and_says_why() {
    let patient = TrainerConfig {
        early_stopping: Some(EarlyStoppingConfig {
            patience: 3,
            min_delta: 0.0,
        }),
        ..config(50)
    };
    let seen = train(&patient, 0.05);
    let fitted = seen.fitted.unwrap();
    assert_eq!(fitted.epochs, 4);
    let Ending::Stopped(reason) = fitted.ending else {
        panic!("{:?}", fitted.ending)
    };
    assert_eq!(reason, "`val_loss` did not get better in 3 validations");
    let Outcome::Ok(result) = seen.outcome else {
        panic!("{:?}", seen.outcome)
    };
    assert!(result.stopped_early);
}

#[test]
fn a_loss_that_is_not_finite_ends_it_with_an_error() {
    let logged = TrainerConfig {
        log_every_steps: 10,
        ..config(1000)
    };
    let seen = train(&logged, 1e6);
    let message = message(&seen);
    assert!(
        message.contains("the loss was not finite within the last 10 steps"),
        "{message}"
    );
    assert!(steps(&seen.host, "val_loss").len() < 10);
}

#[test]
fn the_study_is_told_the_monitored_value_and_may_end_the_trial() {
    let dir = tempfile::tempdir().unwrap();
    let mut context = context(dir.path(), json!({}));
    context.trial = Some(TrialRef {
        study: "s".into(),
        id: 4,
        number: 3,
    });
    let host = MockHost::default();
    host.answers
        .lock()
        .unwrap()
        .extend([Answer::Continue, Answer::Prune]);
    let seen = run(&context, host, &config(9), 1e-3, |builder| builder);
    assert!(
        matches!(seen.outcome, Outcome::Pruned { .. }),
        "{:?}",
        seen.outcome
    );
    let asked = seen
        .host
        .questions
        .lock()
        .unwrap()
        .iter()
        .map(|ask| match ask {
            Ask::Report { step, value } => (*step, value.to_bits()),
            other @ Ask::Suggest { .. } => panic!("{other:?}"),
        })
        .collect::<Vec<_>>();
    let values: Vec<_> = seen
        .host
        .metrics()
        .into_iter()
        .filter(|(key, ..)| key == "val_loss")
        .map(|(.., value)| value)
        .collect();
    assert_eq!(asked, [(0, values[0]), (1, values[1])]);
}

#[test]
fn it_ends_when_the_time_is_up_but_has_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let mut context = context(dir.path(), json!({}));
    // Up in the middle of the first epoch, or between two.
    context.time_budget = Some(0.2);
    let seen = run(
        &context,
        MockHost::default(),
        &config(u64::MAX),
        1e-3,
        |builder| builder,
    );
    let fitted = seen.fitted.unwrap();
    assert_eq!(fitted.ending, Ending::OutOfTime);
    assert!(fitted.best.is_some());
}

#[test]
fn settings_and_names_that_make_no_sense_are_refused() {
    let refused = |config: &TrainerConfig| message(&train(config, 1e-3));
    assert_eq!(
        refused(&TrainerConfig::default()),
        "the trainer's `epochs` is missing, and so is `max_steps`; give one of them"
    );
    assert_eq!(
        refused(&TrainerConfig {
            accumulate: 0,
            ..config(1)
        }),
        "the trainer's `accumulate` is 0; it must be 1 or more"
    );
    assert_eq!(
        refused(&TrainerConfig {
            clip_norm: Some(-1.0),
            ..config(1)
        }),
        "the trainer's `clip_norm` is -1; it must be above 0"
    );
    assert_eq!(
        refused(&TrainerConfig {
            monitor: "val_acc".into(),
            ..config(1)
        }),
        "`val_acc` is monitored, but the validation gives `val_loss`"
    );
    let wrong: Result<TrainerConfig, _> = serde_json::from_value(json!({"epoch": 3}));
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("unknown field `epoch`")
    );
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), json!({}));
    let seen = run(&context, MockHost::default(), &config(1), 1e-3, |builder| {
        builder.schedule("nett", Exponential::new(0.9))
    });
    assert_eq!(
        message(&seen),
        "the trainer has no optimiser named `nett`; there is `net`"
    );
}

#[test]
fn a_plateau_schedule_is_told_the_monitored_value() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), json!({}));
    // Each validation after the first is worse.
    let seen = run(&context, MockHost::default(), &config(4), 0.05, |builder| {
        builder
            .schedule("net", Plateau::new(Direction::Minimize, 0.5, 0))
            .callback(LrMonitor::new(5))
    });
    let rates = seen.host.metrics().into_iter();
    let rates = rates.filter(|(key, ..)| key == "lr");
    let rates: Vec<_> = rates.map(|(.., bits)| f64::from_bits(bits)).collect();
    assert_eq!(rates[..3], [0.05, 0.05, 0.025]);
}

/// Steps at every second step only.
struct Lazy(Slope);

impl Learner for Lazy {
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        if trainer.global_step() % 2 == 1 {
            return self.0.training_step(batch, trainer);
        }
        let loss = self.0.loss(batch)?;
        trainer.backward(&loss)?;
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut Trainer<'_>) -> Result<Tensor> {
        self.0.loss(batch)
    }
}

#[test]
fn gradients_that_no_step_used_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
        let vs = VarStore::new(ctx.device());
        let weight = vs.root().zeros("weight", &[1]);
        let optimizer = Optimizer::new(nn::Sgd::default(), &vs, 0.01)?;
        let two = TrainerConfig {
            max_steps: Some(2),
            ..TrainerConfig::default()
        };
        let mut trainer = Trainer::builder(two)
            .model("net", vs)
            .optimizer("net", optimizer)
            .build(ctx)?;
        let mut learner = Lazy(Slope(weight));
        let _fitted = trainer.fit(&mut learner, &mut loader()?, None)?;
        Ok(TrainingResult::new(f64::try_from(&learner.0.0)?))
    });
    let Outcome::Ok(result) = outcome else {
        panic!("{outcome:?}")
    };
    // The second batch alone: 2 and 3, with the targets 4 and 6.
    let gradient = -2.0 * (2.0 * 4.0 + 3.0 * 6.0) / 2.0;
    assert!((result.primary_metric + 0.01 * gradient).abs() < 1e-6);
}

/// The numbers from 0, without an end that is known before.
struct Stream(usize);

impl IterableDataset for Stream {
    fn samples(
        &self,
        _epoch: u64,
        _shard: Shard,
        skip: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Tensors>> + Send>> {
        let data = data()?;
        let samples = (skip..self.0).map(move |index| data.get(index));
        Ok(Box::new(samples))
    }
}

#[test]
fn a_stream_gives_the_weights_of_the_same_data_in_memory_interrupted_or_not() {
    let accumulate = TrainerConfig {
        accumulate: 3,
        ..config(2)
    };
    let wanted = train(&accumulate, 0.01).weight;
    let train = |dir: &Path, max_steps| {
        let outcome = MockHost::default().run(&context(dir, json!({})), |ctx| {
            let vs = VarStore::new(ctx.device());
            let weight = vs.root().zeros("weight", &[1]);
            let optimizer = Optimizer::new(nn::Sgd::default(), &vs, 0.01)?;
            let limited = TrainerConfig {
                max_steps: Some(max_steps),
                ..accumulate.clone()
            };
            let mut trainer = Trainer::builder(limited)
                .model("net", vs)
                .optimizer("net", optimizer)
                .build(ctx)?;
            let mut train = DataLoader::stream(Stream(10)).batch_size(2).build()?;
            let mut learner = Slope(weight);
            let fitted = trainer.fit(&mut learner, &mut train, None)?;
            assert_eq!((fitted.epochs, fitted.steps), (max_steps / 2, max_steps));
            Ok(TrainingResult::new(f64::try_from(&learner.0)?))
        });
        let Outcome::Ok(result) = outcome else {
            panic!("{outcome:?}")
        };
        result.primary_metric
    };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(train(dir.path(), 4), wanted);
    let dir = tempfile::tempdir().unwrap();
    let weights: Vec<f64> = (1..=4).map(|steps| train(dir.path(), steps)).collect();
    assert_ne!(weights[2], wanted);
    assert_eq!(weights[3], wanted);
}

/// A loop of one's own does what `fit` does.
fn own_loop(ctx: &TrainingContext) -> Result<f64> {
    let vs = VarStore::new(ctx.device());
    let weight = vs.root().zeros("weight", &[1]);
    let optimizer = Optimizer::new(nn::Sgd::default(), &vs, 0.01)?;
    let mut trainer = Trainer::builder(config(2))
        .model("net", vs)
        .optimizer("net", optimizer)
        .build(ctx)?;
    let (mut train, mut validation) = (loader()?, loader()?);
    let mut learner = Slope(weight);
    trainer.start(&mut train)?;
    while trainer.next_epoch()? {
        let mut batches = trainer.batches(&mut train)?;
        while let Some(batch) = trainer.next_batch(&mut batches)? {
            let loss = learner.training_step(&batch, &mut trainer)?;
            trainer.finish_batch(&loss)?;
        }
        if trainer.is_epoch_done() {
            trainer.validate(&mut learner, &mut validation)?;
        }
        trainer.finish_epoch()?;
    }
    let fitted = trainer.finish()?;
    assert_eq!((fitted.epochs, fitted.steps), (2, 10));
    Ok(f64::try_from(&learner.0)?)
}

#[test]
fn a_loop_of_ones_own_does_what_the_built_in_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let outcome = host.run(&context(dir.path(), json!({})), |ctx| {
        Ok(TrainingResult::new(own_loop(ctx)?))
    });
    let Outcome::Ok(result) = outcome else {
        panic!("{outcome:?}")
    };
    let built_in = train(&config(2), 0.01);
    assert_eq!(result.primary_metric, built_in.weight);
    assert_eq!(host.metrics(), built_in.host.metrics());
    let checkpoints = |events: Vec<Event>| {
        let events = events.into_iter();
        events
            .filter(|e| matches!(e, Event::Checkpoint { .. }))
            .count()
    };
    assert_eq!(checkpoints(host.events()), 2);
    assert_eq!(checkpoints(built_in.host.events()), 2);
}
