//! The train function: resume, then per epoch train, validate, log, report,
//! save.

use crate::data::{self, Digits, Part};
use crate::{confusion, data::CLASSES};
use explr_sdk::tch::nn::{self, ModuleT, Path, SequentialT};
use explr_sdk::tch::{self, CModule, Kind, Tensor};
use explr_sdk::{Direction, Optimizer, Result, TrainingContext, TrainingResult, model};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The hyperparameters, with their defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Times that all training pictures are seen.
    pub epochs: u64,
    /// Pictures in one step.
    pub batch_size: i64,
    /// Learning rate at the start; it falls to 0 along a cosine.
    pub lr: f64,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Widths of the perceptron's hidden layers.
    pub hidden: Vec<i64>,
    /// Share of the hidden values that are dropped in training.
    pub dropout: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch_size: 32,
            lr: 2e-3,
            weight_decay: 1e-4,
            hidden: vec![512, 256],
            dropout: 0.5,
        }
    }
}

/// What goes on from a checkpoint besides model and optimiser.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Best {
    epoch: u64,
    loss: f64,
    accuracy: f64,
}

/// Mean loss and share of right answers.
struct Score {
    loss: f64,
    accuracy: f64,
}

/// Trains a network that `build` makes.
pub fn train(
    ctx: &TrainingContext,
    build: fn(&Path, &Params) -> SequentialT,
) -> Result<TrainingResult> {
    let params: Params = ctx.params()?;
    if params.batch_size < 1 {
        return Err("`batch_size` must be at least 1".into());
    }
    let tracker = ctx.tracker();
    let digits = Digits::load(ctx.device())?;
    tracker.log_dataset(data::description("training", &digits.train))?;
    tracker.log_dataset(data::description("validation", &digits.validation))?;
    tracker.log_dataset(data::description("test", &digits.test))?;

    let mut vs = nn::VarStore::new(ctx.device());
    let net = build(&vs.root(), &params);
    let adamw = nn::AdamW::default().wd(params.weight_decay);
    let mut optimizer = Optimizer::new(adamw, &vs, params.lr)?;

    let mut checkpoints = ctx.checkpoints().keep_best(Direction::Minimize);
    let resumed = checkpoints.resume(&mut vs, &mut optimizer)?;
    let mut best: Option<Best> = resumed.as_ref().map_or(Ok(None), |c| c.state())?;
    let mut step = resumed.as_ref().map_or(0, |c| c.step);
    let mut done = resumed.map_or(0, |c| c.epoch);
    for epoch in ctx.epochs(done..params.epochs) {
        optimizer.set_lr(cosine(params.lr, epoch, params.epochs))?;
        let train_loss = train_epoch(&net, &digits.train, &mut optimizer, params.batch_size)?;
        step += digits.train.batches(params.batch_size);
        let validation = evaluate(&net, &digits.validation)?;
        tracker.log_metrics(
            &[
                ("train_loss", train_loss),
                ("val_loss", validation.loss),
                ("val_accuracy", validation.accuracy),
                ("lr", optimizer.lr()?),
            ],
            epoch,
        )?;
        // Before the epoch counts as done: an interrupted trial reports again
        // rather than not at all.
        ctx.report(epoch, validation.loss)?;
        done = epoch + 1;
        if best.is_none_or(|best| validation.loss < best.loss) {
            best = Some(Best {
                epoch: done,
                loss: validation.loss,
                accuracy: validation.accuracy,
            });
        }
        checkpoints.save(done, step, Some(validation.loss), &vs, &optimizer, &best)?;
    }
    let (Some(best), Some(best_model)) = (best, checkpoints.best_model()) else {
        return Err("stopped before the first epoch was done".into());
    };

    model::load(&mut vs, &best_model)?;
    let test = evaluate(&net, &digits.test)?;
    ctx.info(format!(
        "best epoch {}: validation accuracy {:.4}, test accuracy {:.4}",
        best.epoch, best.accuracy, test.accuracy
    ));
    tracker.log_metrics(
        &[("test_loss", test.loss), ("test_accuracy", test.accuracy)],
        done,
    )?;
    log_results(ctx, &mut vs, &net, &digits.test)?;
    Ok(TrainingResult::new(best.loss)
        .metric("val_accuracy", best.accuracy)
        .metric("test_loss", test.loss)
        .metric("test_accuracy", test.accuracy)
        .best_model(best_model)
        .epochs(done)
        .stopped_early(done < params.epochs))
}

/// One pass over the training pictures, in an order of its own. Returns the
/// mean loss.
fn train_epoch(
    net: &SequentialT,
    part: &Part,
    optimizer: &mut Optimizer,
    batch_size: i64,
) -> Result<f64> {
    // On the CPU, whose generator every checkpoint holds.
    let order = Tensor::f_randperm(part.len(), (Kind::Int64, tch::Device::Cpu))?
        .f_to_device(part.digits.device())?;
    let mut sum = 0.0;
    for batch in order.f_split(batch_size, 0)? {
        let pictures = part.pictures.f_index_select(0, &batch)?;
        let digits = part.digits.f_index_select(0, &batch)?;
        let loss = net
            .forward_t(&pictures, true)
            .cross_entropy_for_logits(&digits);
        optimizer.backward_step(&loss)?;
        sum += loss.f_double_value(&[])? * batch.size()[0] as f64;
    }
    Ok(sum / part.len() as f64)
}

fn evaluate(net: &SequentialT, part: &Part) -> Result<Score> {
    let _guard = tch::no_grad_guard();
    let scores = net.forward_t(&part.pictures, false);
    Ok(Score {
        loss: scores
            .cross_entropy_for_logits(&part.digits)
            .f_double_value(&[])?,
        accuracy: scores
            .accuracy_for_logits(&part.digits)
            .f_double_value(&[])?,
    })
}

/// The artifacts: the model twice, for Rust and for Python, and the confusion
/// matrix of the test pictures.
fn log_results(
    ctx: &TrainingContext,
    vs: &mut nn::VarStore,
    net: &SequentialT,
    test: &Part,
) -> Result<()> {
    let tracker = ctx.tracker();
    model::log(tracker, vs, "model.safetensors")?;

    // Weights that still want gradients can't become a part of the graph.
    vs.freeze();
    let example = test.pictures.f_narrow(0, 0, 1)?;
    let module = CModule::create_by_tracing("Digits", "forward", &[example], &mut |inputs| {
        vec![net.forward_t(&inputs[0], false)]
    })?;
    model::log_torchscript(tracker, &module, "model")?;

    let predicted = net.forward_t(&test.pictures, false).f_argmax(1, false)?;
    let cells =
        (&test.digits * CLASSES + &predicted).f_bincount::<&Tensor>(None, CLASSES * CLASSES)?;
    let counts = Vec::<i64>::try_from(&cells.f_to_device(tch::Device::Cpu)?)?;
    tracker.log_figure("confusion_matrix.png", confusion::png(&counts)?)?;
    tracker.log_json(
        &counts.chunks(10).collect::<Vec<_>>(),
        "confusion_matrix.json",
    )?;
    Ok(())
}

/// The learning rate of an epoch: half a cosine from `lr` to 0.
fn cosine(lr: f64, epoch: u64, epochs: u64) -> f64 {
    lr * 0.5 * (1.0 + (PI * epoch as f64 / epochs as f64).cos())
}
