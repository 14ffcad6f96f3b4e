//! The trainer's losses and norms are those of a loop in PyTorch. See
//! `reference/trainer.py`.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::Outcome;
use explr_sdk::data::{Batch, DataLoader, InMemory};
use explr_sdk::scheduler::Cosine;
use explr_sdk::tch::nn::{self, Module, VarStore};
use explr_sdk::tch::{Kind, Reduction, Tensor};
use explr_sdk::trainer::{Learner, Trainer, TrainerConfig};
use explr_sdk::{Optimizer, Result, TrainingResult};
use serde_json::json;
use std::sync::Mutex;

#[derive(serde::Deserialize)]
struct Reference {
    losses: Vec<f64>,
    norms: Vec<f64>,
}

fn grid(rows: i64, columns: i64, f: impl Fn(i64, i64) -> i64, by: f64) -> Tensor {
    let values: Vec<f64> = (0..rows)
        .flat_map(|i| (0..columns).map(move |j| (i, j)))
        .map(|(i, j)| f(i, j) as f64 / by)
        .collect();
    Tensor::from_slice(&values)
        .to_kind(Kind::Float)
        .reshape([rows, columns])
}

struct Net {
    first: nn::Linear,
    second: nn::Linear,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

impl Learner for Net {
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        let loss = self.validation_step(batch, trainer)?;
        trainer.backward(&loss)?;
        self.losses.push(f64::try_from(&loss)?);
        if let Some(norm) = trainer.step("net")? {
            self.norms.push(f64::try_from(norm)?);
        }
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut Trainer<'_>) -> Result<Tensor> {
        let [input, target] = batch.all()?;
        let output = self.second.forward(&self.first.forward(input).tanh());
        Ok(output.f_mse_loss(target, Reduction::Mean)?)
    }
}

#[test]
fn losses_and_norms_of_200_steps_are_those_of_pytorch() {
    let reference: Reference =
        serde_json::from_str(include_str!("reference/trainer.json")).unwrap();
    assert_eq!(reference.norms.len(), 200);
    let dir = tempfile::tempdir().unwrap();
    let seen = Mutex::new((Vec::new(), Vec::new()));
    let outcome = MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
        let vs = VarStore::new(ctx.device());
        let layer = |name, inputs, outputs, weight: Tensor| {
            let mut linear = nn::linear(
                vs.root() / name,
                inputs,
                outputs,
                nn::LinearConfig::default(),
            );
            set(&mut linear.ws, &weight);
            let bias = linear.bs.as_mut().unwrap();
            set(bias, &bias.zeros_like());
            linear
        };
        let mut net = Net {
            first: layer(
                "first",
                5,
                16,
                grid(16, 5, |i, j| (i * 5 + j * 3) % 9 - 4, 9.0),
            ),
            second: layer(
                "second",
                16,
                3,
                grid(3, 16, |i, j| (i * 7 + j * 2) % 9 - 4, 12.0),
            ),
            losses: Vec::new(),
            norms: Vec::new(),
        };
        let optimizer = Optimizer::new(nn::AdamW::default().wd(0.1), &vs, 0.01)?;
        let data = InMemory::pair(
            &grid(150, 5, |i, j| (i * 7 + j * 13) % 11 - 5, 5.0),
            &grid(150, 3, |i, j| (i * 3 + j * 5) % 7 - 3, 3.0),
        )?;
        let mut train = DataLoader::builder(data).batch_size(8).build()?;
        let config = TrainerConfig {
            max_steps: Some(200),
            accumulate: 2,
            clip_norm: Some(0.5),
            ..TrainerConfig::default()
        };
        let mut trainer = Trainer::builder(config)
            .model("net", vs)
            .optimizer("net", optimizer)
            .schedule("net", Cosine::new(200))
            .build(ctx)?;
        let fitted = trainer.fit(&mut net, &mut train, None)?;
        assert_eq!((fitted.epochs, fitted.steps), (20, 200));
        *seen.lock().unwrap() = (net.losses, net.norms);
        Ok(TrainingResult::new(0.0))
    });
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    let (losses, norms) = seen.into_inner().unwrap();
    for (seen, wanted) in [(losses, reference.losses), (norms, reference.norms)] {
        assert_eq!(seen.len(), wanted.len());
        let differences = seen.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0.0, f64::max);
        assert!(largest < 1e-4, "{largest}");
    }
}

fn set(variable: &mut Tensor, value: &Tensor) {
    let _guard = explr_sdk::tch::no_grad_guard();
    variable.copy_(value);
}
