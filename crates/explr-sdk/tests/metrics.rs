//! Metrics have scikit-learn's values, whatever the batches, and go through a
//! saved state unchanged. The reference is made by `reference/metrics.py`.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::metrics::{
    Accuracy, Average, ClassScore, ConfusionMatrix, Curve, ExactMatch, Mean, Metric, MetricError,
    Perplexity, Regression, State, Task,
};
use explr_sdk::tch::{Kind, Tensor};
use serde::Deserialize;
use std::collections::BTreeMap;

type Values = BTreeMap<String, serde_json::Value>;

#[derive(Deserialize)]
struct Reference {
    classification: Vec<Classification>,
    regression: Vec<Numbers>,
    perplexity: Vec<Tokens>,
}

#[derive(Deserialize)]
struct Classification {
    name: String,
    task: String,
    classes: i64,
    shape: Vec<i64>,
    score: Vec<f32>,
    target_shape: Vec<i64>,
    target: Vec<i64>,
    ignore: Option<i64>,
    values: Values,
}

#[derive(Deserialize)]
struct Numbers {
    name: String,
    prediction: Vec<f64>,
    target: Vec<f64>,
    values: Values,
}

#[derive(Deserialize)]
struct Tokens {
    name: String,
    shape: Vec<i64>,
    logits: Vec<f64>,
    target: Vec<i64>,
    ignore: Option<i64>,
    value: f64,
}

impl Classification {
    fn task(&self) -> Task {
        let task = match self.task.as_str() {
            "binary" => Task::binary(0.5),
            "multi_class" => Task::multi_class(self.classes),
            _ => Task::multi_label(self.classes, 0.5),
        };
        match self.ignore {
            Some(target) => task.ignoring(target),
            None => task,
        }
    }

    fn tensors(&self) -> (Tensor, Tensor) {
        (
            Tensor::from_slice(&self.score).reshape(&self.shape),
            Tensor::from_slice(&self.target).reshape(&self.target_shape),
        )
    }

    /// The metric that a value of the reference is of.
    fn metric(&self, value: &str) -> Box<dyn Metric> {
        let task = self.task();
        let average = || match value.split_once('_').unwrap().1 {
            "micro" => Average::Micro,
            "macro" => Average::Macro,
            "weighted" => Average::Weighted,
            "per_class" => Average::PerClass,
            other => panic!("no average {other}"),
        };
        match value {
            "accuracy" => Box::new(Accuracy::new(task)),
            "exact" => Box::new(ExactMatch::new(task)),
            "confusion" => Box::new(ConfusionMatrix::new(task)),
            "top2" => Box::new(Accuracy::new(task).top_k(2)),
            "top3" => Box::new(Accuracy::new(task).top_k(3)),
            "auroc_binned" => Box::new(Curve::auroc(task, Average::Macro).binned(16)),
            "ap_binned" => Box::new(Curve::average_precision(task, Average::Macro).binned(16)),
            _ if value.starts_with("precision") => Box::new(ClassScore::precision(task, average())),
            _ if value.starts_with("recall") => Box::new(ClassScore::recall(task, average())),
            _ if value.starts_with("f1") => Box::new(ClassScore::f1(task, average())),
            _ if value.starts_with("auroc") => Box::new(Curve::auroc(task, average())),
            _ if value.starts_with("ap") => Box::new(Curve::average_precision(task, average())),
            other => panic!("no metric for {other}"),
        }
    }
}

fn regression(value: &str) -> Regression {
    match value {
        "mse" => Regression::mse(),
        "rmse" => Regression::rmse(),
        "mae" => Regression::mae(),
        _ => Regression::r2(),
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/metrics.json")).unwrap()
}

/// Numbers of the reference, `null` as not a number.
fn expected(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(values) => values.iter().flat_map(expected).collect(),
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten(0, -1).to_kind(Kind::Double);
    Vec::<f64>::try_from(flat).unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64, what: &str) {
    let same = |(a, b): (&f64, &f64)| {
        (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0)
    };
    assert!(
        found.len() == wanted.len() && found.iter().zip(wanted).all(same),
        "{what}: {found:?} is not {wanted:?}"
    );
}

fn update_in_batches(metric: &mut dyn Metric, score: &Tensor, target: &Tensor, size: i64) {
    for (score, target) in score.split(size, 0).iter().zip(target.split(size, 0)) {
        metric.update(score, &target).unwrap();
    }
}

/// A state that went through text.
fn as_saved(metric: &dyn Metric) -> State {
    let text = serde_json::to_string(&metric.state().unwrap()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Checks a value in one batch, in small ones, over a saved state in the
/// middle, and merged from two halves.
fn check(
    make: &dyn Fn() -> Box<dyn Metric>,
    (score, target): (&Tensor, &Tensor),
    wanted: &[f64],
    tolerance: f64,
    what: &str,
) {
    let rows = score.size()[0];
    let mut metric = make();
    metric.update(score, target).unwrap();
    let value = |metric: &dyn Metric| numbers(&metric.compute().unwrap());
    assert_close(&value(&*metric), wanted, tolerance, what);

    for size in [1, 7] {
        metric.reset();
        update_in_batches(&mut *metric, score, target, size);
        let what = format!("{what} in batches of {size}");
        assert_close(&value(&*metric), wanted, tolerance, &what);
    }

    let half = rows / 2;
    let (first, second) = (score.narrow(0, 0, half), score.narrow(0, half, rows - half));
    let (first_target, second_target) = (
        target.narrow(0, 0, half),
        target.narrow(0, half, rows - half),
    );
    let mut one = make();
    one.update(&first, &first_target).unwrap();
    let mut other = make();
    other.restore(&as_saved(&*one)).unwrap();
    one.update(&second, &second_target).unwrap();
    other.update(&second, &second_target).unwrap();
    let bits = |metric: &dyn Metric| {
        let value = metric.compute().unwrap();
        numbers(&value)
            .iter()
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&*one), bits(&*other), "{what} after a restore");
    assert_eq!(
        serde_json::to_string(&one.state().unwrap()).unwrap().len(),
        serde_json::to_string(&other.state().unwrap())
            .unwrap()
            .len(),
    );

    let mut halves = make();
    halves.update(&first, &first_target).unwrap();
    let mut rest = make();
    rest.update(&second, &second_target).unwrap();
    halves.merge(&as_saved(&*rest)).unwrap();
    assert_close(
        &value(&*halves),
        wanted,
        tolerance,
        &format!("{what}, merged"),
    );
}

#[test]
fn classification_has_the_values_of_scikit_learn() {
    let mut checked = 0;
    for case in reference().classification {
        let (score, target) = case.tensors();
        for (name, value) in &case.values {
            let what = format!("{}: {name}", case.name);
            let make = || case.metric(name);
            check(&make, (&score, &target), &expected(value), 1e-12, &what);
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn regression_has_the_values_of_scikit_learn() {
    for case in reference().regression {
        let prediction = Tensor::from_slice(&case.prediction);
        let target = Tensor::from_slice(&case.target);
        for (name, value) in &case.values {
            let make = || -> Box<dyn Metric> { Box::new(regression(name)) };
            // Means near 1e9 are multiples of 1e-7: so much is left of the variance.
            let tolerance = if case.name == "large values" {
                1e-8
            } else {
                1e-12
            };
            let what = format!("{}: {name}", case.name);
            check(
                &make,
                (&prediction, &target),
                &expected(value),
                tolerance,
                &what,
            );
        }
    }
}

#[test]
fn perplexity_is_that_of_the_definition() {
    for case in reference().perplexity {
        let make = || -> Box<dyn Metric> {
            Box::new(match case.ignore {
                Some(target) => Perplexity::new().ignoring(target),
                None => Perplexity::new(),
            })
        };
        let logits = Tensor::from_slice(&case.logits).reshape(&case.shape);
        let target = Tensor::from_slice(&case.target).reshape(&case.shape[..2]);
        check(&make, (&logits, &target), &[case.value], 1e-12, &case.name);
    }
}

#[test]
fn a_weighted_mean_is_one() {
    let (values, weights) = ([1.0_f32, 2.0, 4.0], [1.0_f64, 0.0, 3.0]);
    let make = || -> Box<dyn Metric> { Box::new(Mean::new()) };
    let (values, weights) = (Tensor::from_slice(&values), Tensor::from_slice(&weights));
    check(&make, (&values, &weights), &[13.0 / 4.0], 1e-15, "mean");

    let mut losses = Mean::new();
    losses.add(&Tensor::from(3.0_f32), 2.0).unwrap();
    losses.add(&Tensor::from(6.0_f32), 1.0).unwrap();
    assert_close(&[losses.value().unwrap()], &[4.0], 1e-15, "losses");
}

#[test]
fn predicted_labels_are_taken_as_they_are() {
    for case in reference().classification {
        if case.task == "multi_label" {
            continue;
        }
        let (score, target) = case.tensors();
        let labels = match case.task.as_str() {
            "binary" => score.gt(0.5),
            _ => score.argmax(1, false),
        };
        let mut metric = ConfusionMatrix::new(case.task());
        metric.update(&labels, &target).unwrap();
        let found = numbers(&metric.compute().unwrap());
        assert_eq!(found, expected(&case.values["confusion"]), "{}", case.name);
    }
}

#[test]
fn without_data_no_metric_has_a_value() {
    for case in reference().classification {
        let (score, target) = case.tensors();
        for name in case.values.keys().filter(|name| *name != "confusion") {
            let mut metric = case.metric(name);
            let nothing = |metric: &dyn Metric| {
                let values = numbers(&metric.compute().unwrap());
                values.iter().all(|value| value.is_nan())
            };
            assert!(nothing(&*metric), "{}: {name}", case.name);
            metric
                .update(&score.narrow(0, 0, 0), &target.narrow(0, 0, 0))
                .unwrap();
            assert!(nothing(&*metric), "{}: {name}, an empty batch", case.name);
            metric.update(&score, &target).unwrap();
            metric.reset();
            assert!(nothing(&*metric), "{}: {name}, after a reset", case.name);
        }
    }
    for metric in ["mse", "rmse", "mae", "r2"].map(regression) {
        assert!(metric.value().unwrap().is_nan());
    }
    assert!(Perplexity::new().value().unwrap().is_nan());
    assert!(Mean::new().value().unwrap().is_nan());
}

#[test]
fn equal_scores_rank_by_the_number_of_their_class() {
    let score = Tensor::from_slice2(&[[0.5_f32, 0.5, 0.5, 0.0]; 4]);
    let target = Tensor::from_slice(&[0_i64, 1, 2, 3]);
    for k in 1..=4 {
        for class in 0..4 {
            let mut metric = Accuracy::new(Task::multi_class(4)).top_k(k);
            let (score, target) = (score.narrow(0, class, 1), target.narrow(0, class, 1));
            metric.update(&score, &target).unwrap();
            let right = f64::from(u8::from(class < k));
            assert_close(
                &[metric.value().unwrap()],
                &[right],
                0.0,
                &format!("{class}, top {k}"),
            );
        }
    }
    let missing = Tensor::from_slice2(&[[f32::NAN; 4]; 4]);
    let mut metric = Accuracy::new(Task::multi_class(4)).top_k(2);
    metric.update(&missing, &target).unwrap();
    assert_close(&[metric.value().unwrap()], &[0.0], 0.0, "no numbers");
}

#[test]
fn labels_that_are_no_class_are_an_error_in_the_end() {
    let score = Tensor::from_slice2(&[[0.1_f32, 0.9], [0.6, 0.4], [0.3, 0.7]]);
    let task = Task::multi_class(2);
    let metrics: [Box<dyn Metric>; 6] = [
        Box::new(Accuracy::new(task)),
        Box::new(Accuracy::new(task).top_k(2)),
        Box::new(ClassScore::f1(task, Average::Macro)),
        Box::new(Curve::auroc(task, Average::Macro)),
        Box::new(Curve::auroc(task, Average::Macro).binned(8)),
        Box::new(Perplexity::new()),
    ];
    for mut metric in metrics {
        let target = Tensor::from_slice(&[1_i64, 2, -1]);
        metric.update(&score, &target).unwrap();
        let error = metric.compute().unwrap_err();
        assert!(
            matches!(error, MetricError::Labels { count: 2, .. }),
            "{error}"
        );
        metric.reset();
        metric
            .update(&score, &Tensor::from_slice(&[1_i64, 0, 1]))
            .unwrap();
        assert!(metric.value().unwrap() > 0.0);
    }
}

#[test]
fn targets_may_be_of_any_kind() {
    let score = Tensor::from_slice(&[0.1_f32, 0.9, 0.8, 0.7]);
    let target = Tensor::from_slice(&[0_i64, 1, 0, 1]);
    let value = |target: &Tensor| {
        let mut matrix = ConfusionMatrix::new(Task::binary(0.5).ignoring(-100));
        matrix.update(&score, target).unwrap();
        matrix.compute().map(|value| numbers(&value))
    };
    for kind in [
        Kind::Bool,
        Kind::Uint8,
        Kind::Int,
        Kind::BFloat16,
        Kind::Double,
    ] {
        assert_eq!(
            value(&target.to_kind(kind)).unwrap(),
            [1.0, 1.0, 0.0, 2.0],
            "{kind:?}"
        );
    }
    // 156 is -100 in eight bits, and a half is no label.
    assert!(value(&Tensor::from_slice(&[0_u8, 1, 0, 156])).is_err());
    assert!(value(&Tensor::from_slice(&[0.0_f32, 1.0, 0.5, 1.0])).is_err());
}

#[test]
fn a_score_at_the_threshold_is_no() {
    let target = Tensor::from_slice(&[1_i64, 1]);
    let mut recall = ClassScore::recall(Task::binary(0.5), Average::Macro);
    let score = Tensor::from_slice(&[0.5_f32, 0.5001]);
    recall.update(&score, &target).unwrap();
    assert_close(&[recall.value().unwrap()], &[0.5], 0.0, "recall");
}

#[test]
fn scores_of_half_precision_have_the_values_of_the_same_numbers() {
    for case in reference().classification {
        let (score, target) = case.tensors();
        for kind in [Kind::Half, Kind::BFloat16] {
            let half = score.to_kind(kind).set_requires_grad(true);
            let same = half.to_kind(Kind::Double);
            for name in case.values.keys() {
                let value = |score: &Tensor| {
                    let mut metric = case.metric(name);
                    metric.update(score, &target).unwrap();
                    numbers(&metric.compute().unwrap())
                };
                let what = format!("{}: {name} of {kind:?}", case.name);
                assert_close(&value(&half), &value(&same), 0.0, &what);
            }
        }
    }
}

#[test]
fn scores_that_are_no_numbers_have_no_curve() {
    let task = Task::binary(0.5).ignoring(-1);
    for mut metric in [
        Curve::auroc(task, Average::Macro),
        Curve::auroc(task, Average::Macro).binned(8),
    ] {
        let score = Tensor::from_slice(&[0.1_f32, f32::NAN, 0.7, f32::NAN]);
        // The last one is ignored.
        let target = Tensor::from_slice(&[0_i64, 1, 1, -1]);
        metric.update(&score, &target).unwrap();
        let error = metric.compute().unwrap_err();
        assert!(
            matches!(error, MetricError::NotANumber { count: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn the_state_of_another_metric_is_refused() {
    let accuracy = Accuracy::new(Task::multi_class(3));
    let state = accuracy.state().unwrap();
    let error = Accuracy::new(Task::multi_class(4)).restore(&state);
    assert_eq!(
        error.unwrap_err().to_string(),
        "this is the state of `accuracy of 3 classes`, not of `accuracy of 4 classes`"
    );
    let name = accuracy.state_name();
    let short = BTreeMap::from([("counts".to_owned(), Tensor::from_slice(&[1_i64]))]);
    let short = State::new(name, short);
    let mut accuracy = accuracy;
    accuracy
        .update(&Tensor::from_slice(&[1_i64]), &Tensor::from_slice(&[1_i64]))
        .unwrap();
    assert!(accuracy.restore(&short).is_err());
    let error = accuracy.merge(&short).unwrap_err().to_string();
    assert!(error.contains("`counts` is [1] of Int64"), "{error}");
    assert_close(&[accuracy.value().unwrap()], &[1.0], 0.0, "still there");
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_what_would() {
    let mut metric = Accuracy::new(Task::multi_class(3));
    let score = Tensor::zeros([4, 2], (Kind::Float, explr_sdk::tch::Device::Cpu));
    let error = metric.update(&score, &Tensor::from_slice(&[0_i64; 4]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "accuracy of 3 classes: predictions of the shape [4, 2] with targets of the shape [4]; \
         scores are (N, 3, ...) and targets (N, ...), or both are labels (N, ...)"
    );
}

#[test]
fn what_was_taken_in_does_not_change_with_its_tensor() {
    let mut score = Tensor::from_slice(&[0.1_f32, 0.9]);
    let target = Tensor::from_slice(&[0_i64, 1]);
    let mut metric = Curve::auroc(Task::binary(0.5), Average::Macro);
    metric.update(&score, &target).unwrap();
    let _ = score.fill_(0.5);
    assert_close(&[metric.value().unwrap()], &[1.0], 0.0, "as it was");

    let mut matrix = ConfusionMatrix::new(Task::binary(0.5));
    matrix.update(&score, &target).unwrap();
    let before = matrix.compute().unwrap();
    matrix.update(&score, &target).unwrap();
    assert_eq!(numbers(&before), [1.0, 0.0, 1.0, 0.0]);
}
