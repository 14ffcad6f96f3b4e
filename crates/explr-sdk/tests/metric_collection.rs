//! A collection gathers once what several metrics share, and takes in metrics
//! that a plugin's author writes.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::metrics::{
    Accuracy, Average, ClassScore, ConfusionMatrix, Curve, Metric, MetricCollection, MetricError,
    State, Store, Task,
};
use explr_sdk::tch::{Device, Kind, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest difference, by the list of all of them, with its updates
/// counted.
struct Largest {
    store: Store,
    updates: Arc<AtomicUsize>,
}

impl Largest {
    fn new(updates: &Arc<AtomicUsize>) -> Self {
        Self {
            store: Store::new().rows("differences"),
            updates: Arc::clone(updates),
        }
    }
}

impl Metric for Largest {
    fn state_name(&self) -> String {
        "differences".to_owned()
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        self.updates.fetch_add(1, Ordering::Relaxed);
        let difference = predictions.f_sub(targets)?.f_abs()?.f_flatten(0, -1)?;
        self.store.add("differences", &difference)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let all = store.get("differences")?;
        Ok(all.map_or_else(|| Ok(Tensor::from(f64::NAN)), |all| all.f_max())?)
    }
}

fn collection(classes: i64) -> MetricCollection {
    let task = Task::multi_class(classes);
    MetricCollection::new()
        .with("accuracy", Accuracy::new(task))
        .with("precision", ClassScore::precision(task, Average::Macro))
        .with("recall", ClassScore::recall(task, Average::Weighted))
        .with("f1", ClassScore::f1(task, Average::Macro))
        .with("f1 by class", ClassScore::f1(task, Average::PerClass))
        .with("matrix", ConfusionMatrix::new(task))
        .with("auroc", Curve::auroc(task, Average::Macro))
        .with("ap", Curve::average_precision(task, Average::Macro))
}

fn batch(seed: i64, rows: i64) -> (Tensor, Tensor) {
    explr_sdk::tch::manual_seed(seed);
    let options = (Kind::Float, Device::Cpu);
    let target = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(5);
    (Tensor::rand([rows, 5], options), target)
}

#[test]
fn what_metrics_share_is_gathered_once() {
    let updates = Arc::new(AtomicUsize::new(0));
    let mut metrics = MetricCollection::new()
        .with("largest", Largest::new(&updates))
        .with("the same", Largest::new(&updates));
    for value in [1.0, 4.0, 2.0] {
        let zero = Tensor::from_slice(&[0.0]);
        metrics
            .update(&Tensor::from_slice(&[value]), &zero)
            .unwrap();
    }
    assert_eq!(
        metrics.values().unwrap(),
        [("largest", 4.0), ("the same", 4.0)]
    );
    assert_eq!(updates.load(Ordering::Relaxed), 3);
    metrics.reset();
    assert!(metrics.values().unwrap().iter().all(|(_, v)| v.is_nan()));

    let state = collection(5).state().unwrap();
    let names: Vec<_> = state.states().iter().map(State::metric).collect();
    assert_eq!(
        names,
        [
            "accuracy of 5 classes",
            "confusion matrix of 5 classes",
            "scores of 5 classes"
        ]
    );
}

#[test]
fn a_collection_has_the_values_of_its_metrics_alone() {
    let task = Task::multi_class(5);
    let mut together = collection(5);
    let mut alone: [Box<dyn Metric>; 4] = [
        Box::new(ClassScore::precision(task, Average::Macro)),
        Box::new(ClassScore::recall(task, Average::Weighted)),
        Box::new(ConfusionMatrix::new(task)),
        Box::new(Curve::average_precision(task, Average::Macro)),
    ];
    for seed in 0..3 {
        let (score, target) = batch(seed, 20);
        together.update(&score, &target).unwrap();
        for metric in &mut alone {
            metric.update(&score, &target).unwrap();
        }
    }
    let values = together.compute().unwrap();
    for (metric, name) in alone.iter().zip(["precision", "recall", "matrix", "ap"]) {
        let (_, found) = values.iter().find(|(other, _)| *other == name).unwrap();
        assert!(found.equal(&metric.compute().unwrap()), "{name}");
    }
    let numbers: Vec<_> = together.values().unwrap();
    let names: Vec<_> = numbers.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["accuracy", "precision", "recall", "f1", "auroc", "ap"]
    );
}

#[test]
fn a_saved_collection_goes_on_to_the_same_bits() {
    let mut one = collection(5);
    let (score, target) = batch(1, 20);
    one.update(&score, &target).unwrap();
    let text = serde_json::to_string(&one.state().unwrap()).unwrap();
    let mut other = collection(5);
    other
        .restore(&serde_json::from_str(&text).unwrap())
        .unwrap();
    let (score, target) = batch(2, 15);
    for metrics in [&mut one, &mut other] {
        metrics.update(&score, &target).unwrap();
    }
    for ((name, a), (_, b)) in one.compute().unwrap().iter().zip(other.compute().unwrap()) {
        assert!(a.equal(&b), "{name}");
    }
    // A state of which only the second part does not fit changes nothing.
    let task = Task::multi_class(5);
    let mut changed = MetricCollection::new()
        .with("accuracy", Accuracy::new(task))
        .with("f1", ClassScore::f1(Task::multi_class(4), Average::Macro));
    let error = changed.restore(&one.state().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the saved state of a metric: it has nothing of `confusion matrix of 4 classes`"
    );
    assert!(changed.values().unwrap()[0].1.is_nan());

    let mut text = serde_json::to_value(one.state().unwrap()).unwrap();
    text[1]["tensors"]["counts"] = text[0]["tensors"]["counts"].clone();
    let damaged = serde_json::from_value(text).unwrap();
    let mut whole = collection(5);
    let error = whole.merge(&damaged).unwrap_err().to_string();
    assert!(
        error.contains("`counts` is [4] of Int64, not [27]"),
        "{error}"
    );
    assert!(whole.values().unwrap()[0].1.is_nan());
}

#[test]
fn a_damaged_state_is_refused() {
    let state = serde_json::to_value(collection(5).state().unwrap()).unwrap();
    let read = |state: serde_json::Value| {
        serde_json::from_value::<explr_sdk::metrics::CollectionState>(state)
    };
    assert!(read(state.clone()).is_ok());
    for (field, value, problem) in [
        (
            "shape",
            serde_json::json!([5]),
            "32 bytes are no tensor of the shape [5] of I64",
        ),
        (
            "shape",
            serde_json::json!([-4]),
            "are no tensor of the shape",
        ),
        ("kind", serde_json::json!("I65"), "unknown kind `I65`"),
        ("data", serde_json::json!("§"), "Invalid symbol"),
    ] {
        let mut damaged = state.clone();
        damaged[0]["tensors"]["counts"][field] = value;
        let error = read(damaged).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_later_metric_of_the_same_name_takes_its_place() {
    let task = Task::multi_class(5);
    let mut metrics = MetricCollection::new()
        .with("score", ClassScore::f1(task, Average::Macro))
        .with("precision", ClassScore::precision(task, Average::Macro))
        .with("score", Accuracy::new(task));
    let (score, target) = batch(3, 25);
    metrics.update(&score, &target).unwrap();
    let mut accuracy = Accuracy::new(task);
    accuracy.update(&score, &target).unwrap();
    let values = metrics.values().unwrap();
    assert_eq!(values.len(), 2);
    assert_eq!(values[1], ("score", accuracy.value().unwrap()));
}
