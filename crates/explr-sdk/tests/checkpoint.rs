//! A run that was interrupted ends with the same bits as one that was not.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::{Event, LogLevel, Outcome, RunContext};
use explr_sdk::tch::nn::{self, ModuleT};
use explr_sdk::tch::{Kind, Tensor, kind};
use explr_sdk::{
    Algorithm, Direction, Optimizer, Result, Resumed, TrainingContext, TrainingResult, model,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// libtorch's random generators belong to the process: one training at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

const EPOCHS: u64 = 6;

/// A small net with dropout and batch normalisation, on noise.
fn train(ctx: &TrainingContext, algorithm: Algorithm, stop_after: u64) -> Result<TrainingResult> {
    let mut vs = nn::VarStore::new(ctx.device());
    let root = vs.root();
    let net = nn::seq_t()
        .add(nn::linear(&root / "a", 8, 16, nn::LinearConfig::default()))
        .add(nn::batch_norm1d(
            &root / "b",
            16,
            nn::BatchNormConfig::default(),
        ))
        .add_fn_t(|x, train| x.relu().dropout(0.5, train))
        // Groups with settings of their own go along.
        .add(nn::linear(
            (&root / "c").set_group(1),
            16,
            1,
            nn::LinearConfig::default(),
        ));
    let mut optimizer = Optimizer::new(algorithm, &vs, 1e-2)?;
    optimizer.set_weight_decay_group(1, 0.1)?;

    let mut checkpoints = ctx.checkpoints().keep_best(Direction::Minimize);
    let resumed = checkpoints.resume(&mut vs, &mut optimizer)?;
    let mut seen: Vec<u64> = resumed.as_ref().map_or(Ok(Vec::new()), Resumed::state)?;
    let mut step = resumed.as_ref().map_or(0, |c| c.step);
    let mut last = 0.0;
    for epoch in resumed.map_or(0, |c| c.epoch)..EPOCHS {
        for _ in 0..3 {
            let input = Tensor::f_randn([32, 8], kind::FLOAT_CPU)?;
            let target = input.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)?;
            let loss = net
                .forward_t(&input, true)
                .f_mse_loss(&target, tch_mean())?;
            let norm = optimizer.backward_step_clip_norm(&loss, 1.0)?;
            ctx.tracker()
                .log_metric("norm", f64::try_from(norm)?, step)?;
            last = loss.f_double_value(&[])?;
            ctx.tracker().log_metric("loss", last, step)?;
            step += 1;
        }
        optimizer.set_lr(optimizer.lr()? * 0.9)?;
        seen.push(epoch);
        checkpoints.save(epoch + 1, step, Some(last), &vs, &optimizer, &seen)?;
        if epoch + 1 == stop_after {
            // Work after the checkpoint that the journal has seen already.
            ctx.tracker().log_metric("loss", 0.0, step)?;
            Err("interrupted")?;
        }
    }
    assert_eq!(seen, (0..EPOCHS).collect::<Vec<_>>());
    model::save(&vs, ctx.artifact_dir().join("final.safetensors"))?;
    Ok(TrainingResult::new(last).epochs(EPOCHS))
}

fn tch_mean() -> explr_sdk::tch::Reduction {
    explr_sdk::tch::Reduction::Mean
}

fn algorithms() -> Vec<Algorithm> {
    let sgd = |momentum| nn::Sgd {
        momentum,
        ..nn::Sgd::default()
    };
    vec![
        nn::Adam::default().into(),
        nn::Adam::default().amsgrad(true).into(),
        nn::AdamW::default().into(),
        sgd(0.0).into(),
        sgd(0.9).into(),
        nn::RmsProp::default().into(),
        nn::rms_prop(0.99, 1e-8, 0.01, 0.9, true).into(),
    ]
}

/// Bits of the final weights, by name.
fn weights(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut tensors = Tensor::read_safetensors(dir.join("artifacts/final.safetensors")).unwrap();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            (name, bytes)
        })
        .collect()
}

fn attempt(run: &mut RunContext, attempt: u32) -> RunContext {
    run.attempt = attempt;
    run.clone()
}

fn resumed(host: &MockHost) -> (u64, Option<PathBuf>) {
    host.events()
        .into_iter()
        .find_map(|event| match event {
            Event::Resumed {
                seq_of_checkpoint,
                checkpoint,
            } => Some((seq_of_checkpoint, checkpoint)),
            _ => None,
        })
        .unwrap()
}

#[test]
fn training_goes_on_to_the_same_bits_with_every_optimiser() {
    let _alone = alone();
    for algorithm in algorithms() {
        let whole = tempfile::tempdir().unwrap();
        let host = MockHost::default();
        let outcome = host.run(&context(whole.path(), json!({})), |ctx| {
            train(ctx, algorithm, 0)
        });
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        let expected = host.metrics();
        assert_eq!(expected.len(), 36);

        let dir = tempfile::tempdir().unwrap();
        let mut run = context(dir.path(), json!({}));
        let first = MockHost::default();
        let outcome = first.run(&run, |ctx| train(ctx, algorithm, 4));
        assert!(matches!(outcome, Outcome::Err(_)), "{outcome:?}");

        let second = MockHost::default();
        let outcome = second.run(&attempt(&mut run, 2), |ctx| train(ctx, algorithm, 0));
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        let (seq, checkpoint) = resumed(&second);
        assert_eq!(checkpoint, Some("epoch-00004-step-00000012".into()));
        // 24 metrics and 3 earlier checkpoints stand before it in the journal.
        assert_eq!(seq, 27);

        let lived: Vec<_> = first.metrics()[..24]
            .iter()
            .cloned()
            .chain(second.metrics())
            .collect();
        assert_eq!(lived, expected, "{algorithm:?}");
        assert_eq!(weights(dir.path()), weights(whole.path()), "{algorithm:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let _alone = alone();
    for file in ["model.safetensors", "checkpoint.json", "SHA256SUMS"] {
        let dir = tempfile::tempdir().unwrap();
        let mut run = context(dir.path(), json!({}));
        let adam = nn::Adam::default().into();
        MockHost::default().run(&run, |ctx| train(ctx, adam, 4));
        let newest = dir.path().join("checkpoints/epoch-00004-step-00000012");
        let path = newest.join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();

        let host = MockHost::default();
        let outcome = host.run(&attempt(&mut run, 2), |ctx| train(ctx, adam, 0));
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        assert_eq!(
            resumed(&host).1,
            Some("epoch-00003-step-00000009".into()),
            "{file}"
        );
        let warned = host.events().iter().any(|event| {
            matches!(event, Event::Log { level: LogLevel::Warning, message }
                if message.contains("epoch-00004-step-00000012"))
        });
        assert!(warned, "{:?}", host.events());
    }
}

#[test]
fn without_a_whole_checkpoint_training_starts_over() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut run = context(dir.path(), json!({}));
    let adam = nn::Adam::default().into();
    // What a process leaves that was killed while it saved.
    fs::create_dir(
        dir.path()
            .join("checkpoints/epoch-00001-step-00000003.partial"),
    )
    .unwrap();
    fs::create_dir(dir.path().join("checkpoints/epoch-00001-step-00000003")).unwrap();
    let host = MockHost::default();
    let outcome = host.run(&attempt(&mut run, 2), |ctx| train(ctx, adam, 0));
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    assert_eq!(resumed(&host), (0, None));
    assert_eq!(host.metrics().len(), 36);
}

#[test]
fn a_checkpoint_of_another_model_or_optimiser_is_an_error() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let run = context(dir.path(), json!({}));
    MockHost::default().run(&run, |ctx| train(ctx, nn::Adam::default().into(), 2));
    let message = |outcome| match outcome {
        Outcome::Err(error) => error.message,
        other => panic!("{other:?}"),
    };
    let outcome = MockHost::default().run(&run, |ctx| train(ctx, nn::Sgd::default().into(), 0));
    let text = message(outcome);
    assert!(text.contains("it is of adam, this one is sgd"), "{text}");
    let outcome = MockHost::default().run(&run, |ctx| {
        let mut vs = nn::VarStore::new(ctx.device());
        let root = vs.root();
        for (name, shape) in [("a", 3), ("b", 3), ("c", 3)] {
            let _ = root.zeros(name, &[shape]);
        }
        for name in ["d", "e", "f"] {
            let _ = (&root / "other").set_group(1).zeros(name, &[1]);
        }
        let mut optimizer = Optimizer::new(nn::Adam::default(), &vs, 1e-3)?;
        ctx.checkpoints().resume(&mut vs, &mut optimizer)?;
        unreachable!()
    });
    let text = message(outcome);
    assert!(text.contains("holds another model"), "{text}");
}

#[test]
fn the_newest_and_the_best_checkpoints_stay_on_the_disk() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
        let vs = nn::VarStore::new(ctx.device());
        let _ = vs.root().zeros("w", &[2]);
        let optimizer = Optimizer::new(nn::Adam::default(), &vs, 1e-3)?;
        let mut checkpoints = ctx
            .checkpoints()
            .keep_last(1)
            .keep_best(Direction::Maximize);
        for (epoch, accuracy) in [(1, 0.1), (2, 0.9), (3, 0.5), (4, f64::NAN)] {
            checkpoints.save(epoch, 0, Some(accuracy), &vs, &optimizer, &())?;
        }
        let best = checkpoints.best_model().unwrap();
        assert!(best.ends_with("epoch-00002-step-00000000/model.safetensors"));
        assert!(best.is_file());
        Ok(TrainingResult::new(0.0))
    });
    let mut names: Vec<_> = fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["epoch-00002-step-00000000", "epoch-00004-step-00000000"]
    );
}

#[test]
fn a_model_saved_is_the_model_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let vs = nn::VarStore::new(explr_sdk::tch::Device::Cpu);
    let weight = vs.root().randn_standard("w", &[3, 2]);
    model::save(&vs, &path).unwrap();
    let mut other = nn::VarStore::new(explr_sdk::tch::Device::Cpu);
    let loaded = other.root().zeros("w", &[3, 2]);
    model::load(&mut other, &path).unwrap();
    assert_eq!(loaded, weight);
    let mut wrong = nn::VarStore::new(explr_sdk::tch::Device::Cpu);
    let _ = wrong.root().zeros("w", &[2, 2]);
    let error = model::load(&mut wrong, &path).unwrap_err().to_string();
    assert!(
        error.contains("its `w` has the shape [3, 2], not [2, 2]"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_error_and_a_panic_of_libtorch_arrive_in_its_own_words() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let run = context(dir.path(), json!({}));
    let failure = |outcome| match outcome {
        Outcome::Err(error) => error,
        other => panic!("{other:?}"),
    };
    let fallible = failure(MockHost::default().run(&run, |_| {
        let _ = Tensor::zeros([2], kind::FLOAT_CPU).f_add(&Tensor::zeros([3], kind::FLOAT_CPU))?;
        unreachable!()
    }));
    let panicking = failure(MockHost::default().run(&run, |_| {
        let _ = Tensor::zeros([2], kind::FLOAT_CPU) + Tensor::zeros([3], kind::FLOAT_CPU);
        unreachable!()
    }));
    for error in [&fallible, &panicking] {
        let message: &String = &error.message;
        assert!(
            message.contains("The size of tensor a (2) must match"),
            "{message}"
        );
        assert!(!message.contains("frame #"), "{message}");
        let location: &String = error.location.as_ref().unwrap();
        assert!(location.contains("tests/checkpoint.rs"), "{location}");
    }
}

#[test]
fn libtorch_is_seeded_and_keeps_to_its_threads() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let draw = |seed| {
        let mut run = context(dir.path(), json!({}));
        run.seed = seed;
        let outcome = MockHost::default().run(&run, |_| {
            assert_eq!(explr_sdk::tch::get_num_threads(), 1);
            let value = Tensor::f_rand([1], kind::DOUBLE_CPU)?.f_double_value(&[0])?;
            Ok(TrainingResult::new(value))
        });
        match outcome {
            Outcome::Ok(result) => result.primary_metric.to_bits(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(u64::MAX));
}
