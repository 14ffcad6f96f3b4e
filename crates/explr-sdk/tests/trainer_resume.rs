//! A trainer that was stopped after any step ends with the same bits as one
//! that was not.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::Outcome;
use explr_sdk::data::{Batch, DataLoader, InMemory};
use explr_sdk::scheduler::{Chained, Linear, OneCycle, Plateau, Scheduler};
use explr_sdk::tch::nn::{self, ModuleT, VarStore};
use explr_sdk::tch::{Kind, Reduction, Tensor, kind};
use explr_sdk::trainer::{
    Callback, CheckpointConfig, EarlyStoppingConfig, Ending, Learner, Trainer, TrainerConfig,
};
use explr_sdk::{
    Adagrad, Algorithm, Direction, Optimizer, Result, TrainingContext, TrainingResult,
};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// libtorch's random generators belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a process of the training ends.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    Never,
    /// It is asked to stop at every so many steps.
    Asked(u64),
    /// It dies at the batch after so many steps of this process.
    Dies(u64),
}

struct Interrupter<'h> {
    host: &'h MockHost,
    how: Interruption,
    steps: u64,
}

/// The host outlives every training.
fn interrupter(host: &'static MockHost, how: Interruption) -> Interrupter<'static> {
    let steps = 0;
    Interrupter { host, how, steps }
}

impl Callback for Interrupter<'_> {
    fn post_train_step(&mut self, trainer: &mut Trainer<'_>, _: &Tensor) -> Result<()> {
        if trainer.is_accumulating_gradients() {
            return Ok(());
        }
        self.steps += 1;
        match self.how {
            Interruption::Asked(every) if self.steps == every => {
                self.host.stop.store(true, Ordering::Relaxed);
            }
            Interruption::Dies(after) if self.steps == after => Err("the power failed")?,
            _ => {}
        }
        Ok(())
    }
}

/// 26 samples: batches of 4, the last one of 2.
fn data() -> Result<InMemory> {
    let input = Tensor::f_arange(26 * 6, kind::FLOAT_CPU)?.f_sin()?;
    let input = input.f_reshape([26, 6])?;
    let target = input.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)?;
    Ok(InMemory::pair(&input, &target)?)
}

struct Noisy(nn::SequentialT);

impl Learner for Noisy {
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        let [input, target] = batch.all()?;
        let output = self.0.forward_t(input, true);
        let loss = output.f_mse_loss(target, Reduction::Mean)?;
        trainer.backward(&loss)?;
        trainer.step("net")?;
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut Trainer<'_>) -> Result<Tensor> {
        let [input, target] = batch.all()?;
        let output = self.0.forward_t(input, false);
        Ok(output.f_mse_loss(target, Reduction::Mean)?)
    }
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    weights: Vec<u32>,
    best: Option<u64>,
    steps: u64,
    batches: u64,
    complete: bool,
}

fn bits(vs: &VarStore) -> Vec<u32> {
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    let values = variables
        .into_iter()
        .flat_map(|(_, tensor)| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap());
    values.map(f32::to_bits).collect()
}

struct Case {
    algorithm: Algorithm,
    scheduler: fn() -> Box<dyn Scheduler>,
    config: TrainerConfig,
    workers: usize,
}

impl Case {
    fn train(
        &self,
        ctx: &TrainingContext,
        host: &'static MockHost,
        how: Interruption,
    ) -> Result<Seen> {
        let vs = VarStore::new(ctx.device());
        let root = vs.root();
        let net = nn::seq_t()
            .add(nn::linear(&root / "a", 6, 8, nn::LinearConfig::default()))
            .add(nn::batch_norm1d(
                &root / "n",
                8,
                nn::BatchNormConfig::default(),
            ))
            .add_fn_t(|x, train| x.tanh().dropout(0.3, train))
            .add(nn::linear(&root / "b", 8, 1, nn::LinearConfig::default()));
        let optimizer = Optimizer::new(self.algorithm, &vs, 0.02)?;
        let mut train = DataLoader::builder(data()?)
            .batch_size(4)
            .shuffle(ctx.seed())
            .workers(self.workers)
            .transform(3, |sample, rng| {
                let noise = rng.uniform();
                sample.map(|tensor| Ok(tensor.f_add_scalar(0.1 * noise)?))
            })
            .build()?;
        let mut validation = DataLoader::builder(data()?).batch_size(10).build()?;
        let mut trainer = Trainer::builder(self.config.clone())
            .model("net", vs)
            .optimizer("net", optimizer)
            .schedule("net", (self.scheduler)())
            .callback(interrupter(host, how))
            .build(ctx)?;
        let fitted = trainer.fit(&mut Noisy(net), &mut train, Some(&mut validation))?;
        Ok(Seen {
            weights: bits(trainer.model("net")?),
            best: fitted.best.map(f64::to_bits),
            steps: fitted.steps,
            batches: trainer.local_batches(),
            complete: matches!(fitted.ending, Ending::Planned | Ending::Stopped(_)),
        })
    }

    /// Runs it in as many attempts as it takes; gives their number too.
    fn run(&self, dir: &Path, how: Interruption) -> (u32, Seen, Vec<(String, i64, u64)>) {
        let mut metrics = Vec::new();
        for attempt in 1..200 {
            let mut run = context(dir, json!({}));
            run.attempt = attempt;
            let host: &'static MockHost = Box::leak(Box::default());
            let seen = Mutex::new(Seen::default());
            let outcome = host.run(&run, |ctx| {
                *seen.lock().unwrap() = self.train(ctx, host, how)?;
                Ok(TrainingResult::new(0.0))
            });
            metrics.extend(host.metrics());
            match (&outcome, how) {
                (Outcome::Ok(_), _) => {}
                (_, Interruption::Dies(_)) if format!("{outcome:?}").contains("power") => continue,
                _ => panic!("{outcome:?}"),
            }
            let seen = seen.into_inner().unwrap();
            if seen.complete {
                return (attempt, seen, metrics);
            }
        }
        panic!("it never ends");
    }
}

fn one_cycle() -> Box<dyn Scheduler> {
    Box::new(OneCycle::new(0.05, 40))
}

fn plateau() -> Box<dyn Scheduler> {
    let warm_up = Linear::new(0.2, 1.0, 4);
    Box::new(Chained::new(warm_up).and(Plateau::new(Direction::Minimize, 0.5, 0)))
}

fn config() -> TrainerConfig {
    TrainerConfig {
        epochs: Some(4),
        log_every_steps: 2,
        ..TrainerConfig::default()
    }
}

fn cases() -> Vec<Case> {
    let case = |algorithm: Algorithm, scheduler: fn() -> Box<dyn Scheduler>| Case {
        algorithm,
        scheduler,
        config: config(),
        workers: 0,
    };
    vec![
        Case {
            // Windows of 3, 3 and 1 batches in an epoch.
            config: TrainerConfig {
                accumulate: 3,
                clip_norm: Some(0.5),
                ..config()
            },
            ..case(nn::AdamW::default().into(), one_cycle)
        },
        Case {
            config: TrainerConfig {
                epochs: None,
                max_steps: Some(17),
                validate_every_steps: Some(5),
                clip_value: Some(0.1),
                ..config()
            },
            workers: 2,
            ..case(nn::sgd(0.9, 0.1, 0.01, false).into(), plateau)
        },
        case(nn::Adam::default().amsgrad(true).into(), plateau),
        case(nn::rms_prop(0.99, 1e-8, 0.01, 0.9, true).into(), one_cycle),
        case(Adagrad::default().into(), plateau),
    ]
}

#[test]
fn a_run_that_is_stopped_after_any_number_of_steps_ends_with_the_same_bits() {
    let _alone = alone();
    for case in cases() {
        let place = format!("{:?}", case.algorithm);
        let dir = tempfile::tempdir().unwrap();
        let (attempts, whole, _) = case.run(dir.path(), Interruption::Never);
        assert_eq!(attempts, 1);
        assert!(whole.best.is_some());
        for every in [1, 2, 5] {
            let dir = tempfile::tempdir().unwrap();
            let (attempts, seen, _) = case.run(dir.path(), Interruption::Asked(every));
            assert!(u64::from(attempts) >= whole.steps / every, "{attempts}");
            assert_eq!(seen, whole, "{place}, stopped at every {every}. step");
        }
    }
}

#[test]
fn a_run_that_dies_goes_on_from_the_newest_checkpoint_with_the_same_bits_and_metrics() {
    let _alone = alone();
    for mut case in cases() {
        case.config.checkpoint = Some(CheckpointConfig {
            every_steps: Some(2),
            ..CheckpointConfig::default()
        });
        let dir = tempfile::tempdir().unwrap();
        let (_, whole, mut wanted) = case.run(dir.path(), Interruption::Never);
        let dir = tempfile::tempdir().unwrap();
        let (attempts, seen, mut metrics) = case.run(dir.path(), Interruption::Dies(4));
        assert!(attempts > 2);
        assert_eq!(seen, whole, "{:?}", case.algorithm);
        // What was logged after the checkpoint is logged twice, and is equal.
        for all in [&mut wanted, &mut metrics] {
            all.sort();
            all.dedup();
        }
        assert!(wanted.iter().any(|(name, ..)| name == "train_loss"));
        assert_eq!(metrics, wanted, "{:?}", case.algorithm);
    }
}

#[test]
fn a_training_that_stopped_early_stays_so() {
    let _alone = alone();
    let mut case = cases().swap_remove(2);
    case.config.epochs = Some(50);
    case.config.early_stopping = Some(EarlyStoppingConfig {
        patience: 2,
        min_delta: 0.2,
    });
    let dir = tempfile::tempdir().unwrap();
    let (_, whole, _) = case.run(dir.path(), Interruption::Never);
    assert!(whole.steps < 50 * 7);
    let (_, again, _) = case.run(dir.path(), Interruption::Never);
    assert_eq!(again, whole);
    let dir = tempfile::tempdir().unwrap();
    let (_, seen, _) = case.run(dir.path(), Interruption::Asked(5));
    assert_eq!(seen, whole);
}
