//! Several models and optimisers: two nets that play against each other.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::Outcome;
use explr_sdk::data::{Batch, DataLoader, InMemory};
use explr_sdk::scheduler::Exponential;
use explr_sdk::tch::nn::{self, VarStore};
use explr_sdk::tch::{Kind, Reduction, Tensor, kind};
use explr_sdk::trainer::callbacks::GradientNorm;
use explr_sdk::trainer::{Learner, Trainer, TrainerConfig};
use explr_sdk::{Optimizer, Result, TrainingContext, TrainingResult};
use serde_json::json;

/// Ten samples, the numbers from 0.
fn loader() -> Result<DataLoader> {
    let input = Tensor::f_arange(10, kind::FLOAT_CPU)?.f_reshape([10, 1])?;
    let data = InMemory::pair(&input, &input)?;
    Ok(DataLoader::builder(data).batch_size(2).build()?)
}

/// Steps at which a metric was logged.
fn steps(host: &MockHost, name: &str) -> Vec<i64> {
    let metrics = host.metrics().into_iter();
    metrics
        .filter(|(key, ..)| key == name)
        .map(|(_, step, _)| step)
        .collect()
}

/// Two nets that play against each other, each with an optimiser.
struct Gan {
    generator: nn::Linear,
    discriminator: nn::Linear,
}

impl Gan {
    fn score(&self, samples: &Tensor, wanted: f64) -> Result<Tensor> {
        let scores = samples.apply(&self.discriminator);
        let wanted = scores.f_full_like(wanted)?;
        Ok(scores.f_binary_cross_entropy_with_logits(
            &wanted,
            None::<Tensor>,
            None::<Tensor>,
            Reduction::Mean,
        )?)
    }
}

impl Learner for Gan {
    fn training_step(&mut self, batch: &Batch, trainer: &mut Trainer<'_>) -> Result<Tensor> {
        let real = batch.get("input")?;
        let noise = Tensor::f_randn([real.size()[0], 2], kind::FLOAT_CPU)?;
        let fake = noise.apply(&self.generator);
        let loss = self.score(real, 1.0)? + self.score(&fake.f_detach()?, 0.0)?;
        trainer.backward(&loss)?;
        trainer.step("discriminator")?;
        trainer.model("discriminator")?.freeze();
        let fooled = self.score(&fake, 1.0)?;
        trainer.backward(&fooled)?;
        trainer.step("generator")?;
        trainer.model("discriminator")?.unfreeze();
        Ok(loss)
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut Trainer<'_>) -> Result<Tensor> {
        let fake = Tensor::f_ones([8, 2], kind::FLOAT_CPU)?.apply(&self.generator);
        let real = batch.get("input")?;
        Ok((fake.f_mean(Kind::Float)? - real.f_mean(Kind::Float)?).f_square()?)
    }
}

fn gan(ctx: &TrainingContext, max_steps: u64) -> Result<TrainingResult> {
    let (g, d) = (VarStore::new(ctx.device()), VarStore::new(ctx.device()));
    let mut learner = Gan {
        generator: nn::linear(g.root(), 2, 1, nn::LinearConfig::default()),
        discriminator: nn::linear(d.root(), 1, 1, nn::LinearConfig::default()),
    };
    let adam = |vs: &VarStore| Optimizer::new(nn::Adam::default(), vs, 0.05);
    let (adam_g, adam_d) = (adam(&g)?, adam(&d)?);
    let several = TrainerConfig {
        max_steps: Some(max_steps),
        accumulate: 2,
        ..TrainerConfig::default()
    };
    let mut trainer = Trainer::builder(several)
        .model("generator", g)
        .model("discriminator", d)
        .optimizer("generator", adam_g)
        .optimizer("discriminator", adam_d)
        .schedule("generator", Exponential::new(0.99))
        .callback(GradientNorm::new(5))
        .build(ctx)?;
    let fitted = trainer.fit(&mut learner, &mut loader()?, Some(&mut loader()?))?;
    let sum =
        |linear: &nn::Linear| -> Result<f64> { Ok(f64::try_from(linear.ws.f_sum(Kind::Double)?)?) };
    Ok(fitted
        .result()?
        .metric("g", sum(&learner.generator)?)
        .metric("d", sum(&learner.discriminator)?))
}

#[test]
fn two_models_with_two_optimisers_train_and_go_on_exactly() {
    let gan = |dir: &std::path::Path, steps| {
        let host = MockHost::default();
        let outcome = host.run(&context(dir, json!({})), |ctx| gan(ctx, steps));
        let Outcome::Ok(result) = outcome else {
            panic!("{outcome:?}")
        };
        (result, host)
    };
    let dir = tempfile::tempdir().unwrap();
    let (whole, host) = gan(dir.path(), 13);
    assert_eq!(steps(&host, "grad_norm_generator"), [5, 10]);
    assert_eq!(steps(&host, "grad_norm_discriminator"), [5, 10]);
    let dir = tempfile::tempdir().unwrap();
    let mut last = None;
    for steps in 1..=13 {
        let (result, _) = gan(dir.path(), steps);
        if let Some((g, d)) = last {
            assert_ne!((result.metrics["g"], result.metrics["d"]), (g, d));
        }
        last = Some((result.metrics["g"], result.metrics["d"]));
    }
    // The checkpoints are of two optimisers.
    let outcome = MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
        let mut vs = VarStore::new(ctx.device());
        let mut optimizer = Optimizer::new(nn::Adam::default(), &vs, 0.05)?;
        let _resumed = ctx.checkpoints().resume(&mut vs, &mut optimizer)?;
        Ok(TrainingResult::new(0.0))
    });
    let Outcome::Err(error) = outcome else {
        panic!("{outcome:?}")
    };
    let wanted =
        "it is of the optimisers discriminator, generator, this training has one optimiser";
    assert!(error.message.ends_with(wanted), "{}", error.message);
    assert_eq!(last, Some((whole.metrics["g"], whole.metrics["d"])));
}
