//! Every optimiser with every scheduler goes on from a checkpoint to the same
//! bits.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::Outcome;
use explr_sdk::scheduler::{
    Chained, Constant, Cosine, CosineWarmRestarts, Exponential, Lambda, Linear, MultiStep,
    OneCycle, Plateau, Polynomial, Schedule, ScheduleState, Scheduler, Sequential, Step,
};
use explr_sdk::tch::nn::{self, ModuleT, VarStore};
use explr_sdk::tch::{Kind, Reduction, TchError, Tensor, kind};
use explr_sdk::{
    Adagrad, Algorithm, Direction, Lbfgs, Optimizer, Result, Resumed, TrainingContext,
    TrainingResult, groups,
};
use serde_json::json;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// libtorch's random generators belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

const STEPS: u64 = 8;
const HALF: u64 = 4;

fn algorithms() -> Vec<Algorithm> {
    let lbfgs = Lbfgs {
        max_iter: 3,
        history_size: 4,
        ..Lbfgs::default()
    };
    vec![
        nn::sgd(0.0, 0.0, 0.0, false).into(),
        nn::sgd(0.9, 0.1, 0.01, false).into(),
        nn::sgd(0.9, 0.0, 0.0, true).into(),
        nn::Adam::default().into(),
        nn::Adam::default().amsgrad(true).into(),
        nn::AdamW::default().into(),
        nn::RmsProp::default().into(),
        nn::rms_prop(0.99, 1e-8, 0.01, 0.9, true).into(),
        Adagrad::default().into(),
        Adagrad {
            lr_decay: 0.1,
            wd: 0.01,
            initial: 0.3,
            ..Adagrad::default()
        }
        .into(),
        lbfgs.into(),
        Lbfgs {
            strong_wolfe: true,
            ..lbfgs
        }
        .into(),
    ]
}

fn schedulers() -> Vec<Box<dyn Scheduler>> {
    vec![
        Box::new(Step::new(3, 0.5)),
        Box::new(MultiStep::new([2, 5], 0.3)),
        Box::new(Exponential::new(0.9)),
        Box::new(Polynomial::new(STEPS, 1.5)),
        Box::new(Lambda::new(|step| 1.0 / (1.0 + step as f64))),
        Box::new(Constant::new(0.2, 5)),
        Box::new(Linear::new(0.1, 1.0, 5)),
        Box::new(Cosine::new(STEPS)),
        Box::new(CosineWarmRestarts::new(2).growth(2)),
        Box::new(OneCycle::new(0.02, STEPS + 1)),
        Box::new(Plateau::new(Direction::Minimize, 0.5, 0)),
        Box::new(Sequential::new(Linear::new(0.5, 1.0, 3)).then(3, Cosine::new(5))),
        Box::new(Chained::new(Exponential::new(0.95)).and(Plateau::new(
            Direction::Maximize,
            0.7,
            1,
        ))),
    ]
}

/// What is compared in the end: losses, rates and weights, as bits.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    losses: Vec<u64>,
    rates: Vec<u64>,
    weights: Vec<u32>,
}

/// Trains to the end, with a checkpoint on half the way, and goes on from that
/// one if it is there. Gives the step at which it began, too.
fn train(
    ctx: &TrainingContext,
    algorithm: Algorithm,
    scheduler: Box<dyn Scheduler>,
) -> Result<(u64, Seen)> {
    let mut vs = VarStore::new(ctx.device());
    let root = vs.root();
    let net = nn::seq_t()
        .add(nn::linear(&root / "a", 6, 8, nn::LinearConfig::default()))
        .add_fn_t(|x, train| x.tanh().dropout(0.2, train))
        .add(nn::linear(&root / "b", 8, 1, nn::LinearConfig::default()));
    let one_group = matches!(algorithm, Algorithm::Lbfgs(_));
    if !one_group {
        groups::split_decay(&vs);
    }
    let mut optimizer = Optimizer::new(algorithm, &vs, 0.02)?;
    if !one_group {
        optimizer.set_lr_group(groups::NO_DECAY, 0.05)?;
        optimizer.set_weight_decay_group(groups::NO_DECAY, 0.0)?;
    }
    let mut schedule = Schedule::new(scheduler, optimizer.groups()?)?;
    optimizer.set_groups(schedule.groups())?;

    let mut checkpoints = ctx.checkpoints();
    let resumed = checkpoints.resume(&mut vs, &mut optimizer)?;
    if let Some(checkpoint) = &resumed {
        schedule.restore(&checkpoint.state::<ScheduleState>()?)?;
    }
    let start = resumed
        .as_ref()
        .map_or(0, |checkpoint: &Resumed| checkpoint.step);
    let mut seen = Seen::default();
    for step in start..STEPS {
        let input = Tensor::f_randn([16, 6], kind::FLOAT_CPU)?;
        let target = input.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)?;
        let loss = optimizer.backward_step_with(|| -> Result<Tensor, TchError> {
            net.forward_t(&input, true)
                .f_mse_loss(&target, Reduction::Mean)
        })?;
        let loss = f64::try_from(loss)?;
        schedule.step();
        optimizer.set_groups(schedule.observe(loss))?;
        if step >= HALF {
            seen.losses.push(loss.to_bits());
            let rates = optimizer.groups()?;
            seen.rates
                .extend(rates.iter().map(|group| group.lr.to_bits()));
        }
        if step + 1 == HALF {
            checkpoints.save(0, step + 1, None, &vs, &optimizer, &schedule.state())?;
        }
    }
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (_, tensor) in variables {
        let values = Vec::<f32>::try_from(tensor.flatten(0, -1))?;
        seen.weights.extend(values.into_iter().map(f32::to_bits));
    }
    Ok((start, seen))
}

#[test]
fn every_optimiser_with_every_scheduler_goes_on_to_the_same_bits() {
    let _alone = alone();
    let count = schedulers().len();
    for algorithm in algorithms() {
        for index in 0..count {
            let dir = tempfile::tempdir().unwrap();
            let run = |attempt| {
                let mut run = context(dir.path(), json!({}));
                run.attempt = attempt;
                let seen = Mutex::new((0, Seen::default()));
                let outcome = MockHost::default().run(&run, |ctx| {
                    let scheduler = schedulers().swap_remove(index);
                    *seen.lock().unwrap() = train(ctx, algorithm, scheduler)?;
                    Ok(TrainingResult::new(0.0))
                });
                assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
                seen.into_inner().unwrap()
            };
            let place = format!("{algorithm:?} with {:?}", schedulers()[index]);
            let (start, whole) = run(1);
            assert_eq!(start, 0);
            assert_eq!(whole.losses.len() as u64, STEPS - HALF, "{place}");
            let (start, resumed) = run(2);
            assert_eq!(start, HALF);
            assert_eq!(whole, resumed, "{place}");
        }
    }
}

#[test]
fn a_variable_with_another_layout_in_memory_goes_on_too() {
    let _alone = alone();
    let train = |ctx: &TrainingContext, transposed: bool, last: u64| -> Result<Vec<u32>> {
        let mut vs = VarStore::new(ctx.device());
        let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let begin = Tensor::f_from_slice(&values)?.f_reshape([3, 4])?;
        let mut weight = vs.root().var_copy("weight", &begin);
        if transposed {
            weight.set_data(&begin.f_tr()?.f_contiguous()?.f_tr()?);
            assert!(!weight.is_contiguous());
        }
        let mut optimizer = Optimizer::new(nn::Adam::default(), &vs, 0.1)?;
        let mut checkpoints = ctx.checkpoints();
        let resumed = checkpoints.resume(&mut vs, &mut optimizer)?;
        assert_eq!(weight.is_contiguous(), !transposed);
        let start = resumed.map_or(0, |checkpoint| checkpoint.step);
        for step in start..last {
            // Each element has a gradient of its own.
            let loss = (weight.f_mul(&begin)?.f_add_scalar(step as f64)?)
                .f_square()?
                .f_sum(Kind::Float)?;
            optimizer.backward_step(&loss)?;
            checkpoints.save(0, step + 1, None, &vs, &optimizer, &())?;
        }
        let values = Vec::<f32>::try_from(weight.f_contiguous()?.f_flatten(0, -1)?)?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    };
    let run = |dir: &Path, transposed, last| {
        let bits = Mutex::new(Vec::new());
        let outcome = MockHost::default().run(&context(dir, json!({})), |ctx| {
            *bits.lock().unwrap() = train(ctx, transposed, last)?;
            Ok(TrainingResult::new(0.0))
        });
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        bits.into_inner().unwrap()
    };
    let dir = || tempfile::tempdir().unwrap();
    let plain = run(dir().path(), false, 6);
    assert_eq!(run(dir().path(), true, 6), plain);
    let halves = dir();
    assert_ne!(run(halves.path(), true, 3), plain);
    assert_eq!(run(halves.path(), true, 6), plain);
}
