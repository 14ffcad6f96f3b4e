//! Optimisers against the values of `torch.optim`, which
//! `reference/optimizers.py` wrote down, and what they refuse.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::float_cmp, reason = "equal bits are meant")]

use explr_sdk::scheduler::{OneCycle, Schedule};
use explr_sdk::tch::nn::{self, VarStore};
use explr_sdk::tch::{Device, Kind, Reduction, TchError, Tensor};
use explr_sdk::{Adagrad, Algorithm, Lbfgs, Optimizer, groups};
use serde::Deserialize;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Deserialize)]
struct Reference {
    steps: usize,
    rate: f64,
    bias_rate: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    optimizer: String,
    settings: Value,
    points: Vec<(usize, Vec<f64>)>,
    norms: Vec<f64>,
    losses: Vec<f64>,
}

/// The arguments of all of PyTorch's optimisers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    dampening: f64,
    #[serde(default)]
    nesterov: bool,
    #[serde(default)]
    weight_decay: f64,
    betas: Option<(f64, f64)>,
    eps: Option<f64>,
    #[serde(default)]
    amsgrad: bool,
    alpha: Option<f64>,
    #[serde(default)]
    centered: bool,
    #[serde(default)]
    lr_decay: f64,
    #[serde(default)]
    initial_accumulator_value: f64,
    max_iter: Option<u32>,
    history_size: Option<u32>,
    line_search_fn: Option<String>,
    #[serde(rename = "clip")]
    _clip: Option<f64>,
    #[serde(rename = "one_cycle")]
    _one_cycle: Option<f64>,
}

impl Case {
    fn algorithm(&self) -> Algorithm {
        let s: Settings = serde_json::from_value(self.settings.clone()).unwrap();
        let (beta1, beta2) = s.betas.unwrap_or((0.9, 0.999));
        let wd = s.weight_decay;
        match self.optimizer.as_str() {
            "SGD" => nn::sgd(s.momentum, s.dampening, wd, s.nesterov).into(),
            "Adam" => nn::Adam {
                beta1,
                beta2,
                wd,
                eps: s.eps.unwrap_or(1e-8),
                amsgrad: s.amsgrad,
            }
            .into(),
            "AdamW" => nn::AdamW {
                beta1,
                beta2,
                wd,
                eps: s.eps.unwrap_or(1e-8),
                amsgrad: s.amsgrad,
            }
            .into(),
            "RMSprop" => {
                let alpha = s.alpha.unwrap_or(0.99);
                nn::rms_prop(alpha, 1e-8, wd, s.momentum, s.centered).into()
            }
            "Adagrad" => Adagrad {
                lr_decay: s.lr_decay,
                wd,
                initial: s.initial_accumulator_value,
                eps: s.eps.unwrap_or(1e-10),
            }
            .into(),
            "LBFGS" => Lbfgs {
                max_iter: s.max_iter.unwrap(),
                history_size: s.history_size.unwrap_or(100),
                strong_wolfe: s.line_search_fn.is_some(),
                ..Lbfgs::default()
            }
            .into(),
            other => panic!("no optimiser for `{other}`"),
        }
    }
}

fn grid(rows: i64, columns: i64, value: impl Fn(i64, i64) -> f64) -> Tensor {
    let values: Vec<f64> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| value(row, column))
        .collect();
    Tensor::from_slice(&values).reshape([rows, columns])
}

fn numbers(tensors: &[&Tensor]) -> Vec<f64> {
    tensors
        .iter()
        .flat_map(|tensor| Vec::<f64>::try_from(tensor.flatten(0, -1)).unwrap())
        .collect()
}

fn number(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

fn distance(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs()).max(1e-3)
}

/// Trains as `reference/optimizers.py` does, and gives how far the values are
/// from there.
fn compare(reference: &Reference, case: &Case) -> f64 {
    let input = grid(16, 5, |i, j| ((i * 7 + j * 13) % 11 - 5) as f64 / 5.0);
    let target = grid(16, 3, |i, j| ((i * 3 + j * 5) % 7 - 3) as f64 / 3.0);
    let mut vs = VarStore::new(Device::Cpu);
    vs.set_kind(Kind::Double);
    let begin = grid(5, 3, |i, j| ((i * 3 + j) % 5 - 2) as f64 / 4.0);
    let weight = vs.root().var_copy("weight", &begin);
    let bias = vs
        .root()
        .var_copy("bias", &grid(1, 3, |_, j| j as f64 / 10.0).squeeze());
    let is_lbfgs = case.optimizer == "LBFGS";
    if !is_lbfgs {
        groups::split_decay(&vs);
    }
    let mut optimizer = Optimizer::new(case.algorithm(), &vs, reference.rate).unwrap();
    if !is_lbfgs {
        let bias = groups::NO_DECAY;
        optimizer.set_lr_group(bias, reference.bias_rate).unwrap();
        optimizer.set_weight_decay_group(bias, 0.0).unwrap();
    }
    let mut schedule = case.settings["one_cycle"].as_f64().map(|max| {
        let cycle = OneCycle::new(max, reference.steps as u64 + 1);
        Schedule::new(cycle, optimizer.groups().unwrap()).unwrap()
    });
    if let Some(schedule) = &schedule {
        optimizer.set_groups(schedule.groups()).unwrap();
    }
    let loss = || (input.matmul(&weight) + &bias).f_mse_loss(&target, Reduction::Mean);

    let mut worst: f64 = 0.0;
    let mut points = case.points.iter();
    for step in 0..reference.steps {
        let lost = if let Some(max) = case.settings["clip"].as_f64() {
            let loss = loss().unwrap();
            let norm = optimizer.backward_step_clip_norm(&loss, max).unwrap();
            worst = worst.max(distance(number(&norm), case.norms[step]));
            loss
        } else if is_lbfgs || step % 2 == 0 {
            optimizer.backward_step_with(loss).unwrap()
        } else {
            let loss = loss().unwrap();
            optimizer.backward_step(&loss).unwrap();
            loss
        };
        worst = worst.max(distance(number(&lost), case.losses[step]));
        if let Some(schedule) = &mut schedule {
            optimizer.set_groups(schedule.step()).unwrap();
        }
        if case.points.iter().any(|(at, _)| *at == step) {
            let (_, expected) = points.next().unwrap();
            for (ours, theirs) in numbers(&[&weight, &bias]).into_iter().zip(expected) {
                worst = worst.max(distance(ours, *theirs));
            }
        }
    }
    worst
}

#[test]
fn every_optimiser_goes_where_pytorchs_goes() {
    let reference: Reference =
        serde_json::from_str(include_str!("reference/optimizers.json")).unwrap();
    for case in &reference.cases {
        let worst = compare(&reference, case);
        println!("{} {:?}: {worst:e}", case.optimizer, case.settings);
        assert!(
            worst < 1e-9,
            "{} {:?}: {worst:e}",
            case.optimizer,
            case.settings
        );
    }
}

/// A variable `x` of two elements, and its loss: the sum of its squares.
fn two() -> (VarStore, Tensor) {
    let vs = VarStore::new(Device::Cpu);
    let x = vs
        .root()
        .var_copy("x", &Tensor::from_slice(&[3.0_f32, 4.0]));
    (vs, x)
}

fn squares(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_square()?.f_sum(Kind::Float)
}

fn sgd() -> nn::Sgd {
    nn::Sgd::default()
}

#[test]
fn the_norm_before_clipping_is_given_and_the_gradients_are_shorter() {
    let (vs, x) = two();
    let mut optimizer = Optimizer::new(sgd(), &vs, 1.0).unwrap();
    assert_eq!(number(&optimizer.clip_grad_norm(1.0).unwrap()), 0.0);
    squares(&x).unwrap().backward();
    assert_eq!(
        number(&optimizer.clip_grad_norm(f64::INFINITY).unwrap()),
        10.0
    );
    assert_eq!(numbers(&[&x.grad()]), [6.0, 8.0]);
    assert_eq!(number(&optimizer.clip_grad_norm(20.0).unwrap()), 10.0);
    assert_eq!(numbers(&[&x.grad()]), [6.0, 8.0]);
    assert_eq!(number(&optimizer.clip_grad_norm(5.0).unwrap()), 10.0);
    let norm = number(&optimizer.clip_grad_norm(5.0).unwrap());
    assert!((norm - 5.0).abs() < 1e-5, "{norm}");
    optimizer.clip_grad_value(3.5).unwrap();
    assert_eq!(x.grad().double_value(&[1]), 3.5);
    for max in [0.0, -1.0, f64::NAN] {
        let error = optimizer.clip_grad_norm(max).unwrap_err().to_string();
        assert!(error.contains("it must be above 0"), "{error}");
    }
}

#[test]
fn sparse_gradients_and_variables_without_one_are_stepped_too() {
    let step = |sparse: bool| {
        let vs = VarStore::new(Device::Cpu);
        let table = vs.root().ones("table", &[4, 2]);
        let idle = vs.root().ones("idle", &[2]);
        let mut optimizer = Optimizer::new(sgd(), &vs, 0.5).unwrap();
        let rows = Tensor::from_slice(&[1_i64, 3, 3]);
        let loss = Tensor::embedding(&table, &rows, -1, false, sparse).sum(Kind::Float);
        optimizer.backward_step(&loss).unwrap();
        assert_eq!(table.grad().is_sparse(), sparse);
        assert_eq!(numbers(&[&idle]), [1.0, 1.0]);
        numbers(&[&table])
    };
    assert_eq!(step(false), [1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(step(true), step(false));
}

#[test]
fn variables_made_later_are_stepped_too() {
    for algorithm in [
        Algorithm::from(nn::Adam::default()),
        nn::sgd(0.9, 0.0, 0.0, true).into(),
        Adagrad::default().into(),
        nn::RmsProp::default().into(),
    ] {
        let (vs, x) = two();
        let mut optimizer = Optimizer::new(algorithm, &vs, 0.1).unwrap();
        optimizer.backward_step(&squares(&x).unwrap()).unwrap();
        let y = vs.root().set_group(1).ones("y", &[2]);
        let before = numbers(&[&x, &y]);
        for _ in 0..2 {
            let loss = squares(&x).unwrap() + squares(&y).unwrap();
            optimizer.backward_step(&loss).unwrap();
        }
        for (before, after) in before.into_iter().zip(numbers(&[&x, &y])) {
            assert!(after < before, "{algorithm:?}");
        }
        assert_eq!(optimizer.groups().unwrap().len(), 2);
    }
}

#[test]
fn an_error_and_a_panic_of_the_loss_come_out_as_they_are() {
    for algorithm in [Algorithm::from(sgd()), Lbfgs::default().into()] {
        let (vs, x) = two();
        let mut optimizer = Optimizer::new(algorithm, &vs, 0.1).unwrap();
        let error = optimizer
            .backward_step_with(|| x.f_add(&Tensor::from_slice(&[1.0_f32; 3])))
            .unwrap_err();
        assert!(error.to_string().contains("must match"), "{error}");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            optimizer.backward_step_with(|| -> Result<Tensor, TchError> { panic!("no data") })
        }));
        let payload = panicked.unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "no data");
        // A loss of two elements has no gradient.
        let error = optimizer
            .backward_step_with(|| x.f_square())
            .unwrap_err()
            .to_string();
        assert!(error.contains("scalar outputs"), "{error}");
        assert_eq!(numbers(&[&x]), [3.0, 4.0]);
        // And it goes on.
        let loss = optimizer.backward_step_with(|| squares(&x)).unwrap();
        assert_eq!(number(&loss), 25.0);
        assert!(!loss.requires_grad());
        assert!(numbers(&[&x])[0] < 3.0);
    }
}

#[test]
fn lbfgs_calls_the_loss_as_often_as_it_needs_and_refuses_what_it_can_not_do() {
    let (vs, x) = two();
    let config = Lbfgs {
        strong_wolfe: true,
        ..Lbfgs::default()
    };
    let mut optimizer = Optimizer::new(config, &vs, 1.0).unwrap();
    let mut calls = 0;
    let first = optimizer.backward_step_with(|| {
        calls += 1;
        squares(&x)
    });
    assert_eq!(number(&first.unwrap()), 25.0);
    assert!(calls > 1);
    assert!(number(&squares(&x).unwrap()) < 1e-10);

    let message = |result: Result<(), TchError>| result.unwrap_err().to_string();
    let error = message(optimizer.step());
    assert!(error.contains("call `backward_step_with`"), "{error}");
    let loss = squares(&x).unwrap();
    assert!(message(optimizer.backward_step(&loss)).contains("backward_step_with"));
    let error = message(optimizer.set_weight_decay(0.1));
    assert!(error.contains("lbfgs has no weight decay"), "{error}");
    let error = message(optimizer.set_momentum(0.1));
    assert!(error.contains("lbfgs has no momentum"), "{error}");
    let _ = vs.root().set_group(1).ones("y", &[2]);
    let error = message(optimizer.zero_grad());
    assert!(error.contains("one parameter group"), "{error}");
}

#[test]
fn parameters_are_grouped_by_name() {
    let vs = VarStore::new(Device::Cpu);
    let root = vs.root();
    let _ = nn::linear(&root / "core", 4, 3, nn::LinearConfig::default());
    let _ = nn::layer_norm(&root / "norm", vec![3], nn::LayerNormConfig::default());
    let _ = nn::linear(&root / "head", 3, 2, nn::LinearConfig::default());
    let sorted = |group: usize| {
        let variables = vs.variables_.lock().unwrap();
        let trainable = &variables.trainable_variables;
        let group_of = |tensor: &Tensor| {
            let same = |place: &usize| trainable[*place].tensor.data_ptr() == tensor.data_ptr();
            (0..trainable.len())
                .find(same)
                .map(|place| trainable[place].group)
        };
        let mut names: Vec<String> = variables
            .named_variables
            .iter()
            .filter(|(_, tensor)| group_of(tensor) == Some(group))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    };
    groups::split_decay(&vs);
    assert_eq!(sorted(groups::DECAY), ["core.weight", "head.weight"]);
    assert_eq!(
        sorted(groups::NO_DECAY),
        ["core.bias", "head.bias", "norm.bias", "norm.weight"]
    );
    groups::assign(&vs, |name, _| usize::from(name.starts_with("head.")));
    assert_eq!(sorted(1), ["head.bias", "head.weight"]);

    let mut optimizer = Optimizer::new(nn::AdamW::default(), &vs, 1e-2).unwrap();
    optimizer.set_lr_group(1, 1e-1).unwrap();
    let rates: Vec<f64> = optimizer
        .groups()
        .unwrap()
        .iter()
        .map(|group| group.lr)
        .collect();
    assert_eq!(rates, [1e-2, 1e-1]);
    let error = optimizer.set_groups(&[]).unwrap_err().to_string();
    assert!(
        error.contains("0 parameter groups, but the optimiser has 2"),
        "{error}"
    );
}
