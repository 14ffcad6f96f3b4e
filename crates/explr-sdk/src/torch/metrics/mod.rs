//! Metrics that are exact, gather on the device, and can be saved and merged.
//!
//! A [`Metric`] sees one batch after the other and then gives its value over
//! all of them: the same as if they had been one batch.
//!
//! ```
//! use explr_sdk::metrics::{Accuracy, Average, ClassScore, MetricCollection, Task};
//! use explr_sdk::tch::Tensor;
//!
//! # fn main() -> Result<(), explr_sdk::metrics::MetricError> {
//! let task = Task::multi_class(3);
//! let mut metrics = MetricCollection::new()
//!     .with("accuracy", Accuracy::new(task))
//!     .with("f1", ClassScore::f1(task, Average::Macro));
//! let scores = Tensor::from_slice2(&[[0.1, 0.7, 0.2], [0.8, 0.1, 0.1]]);
//! metrics.update(&scores, &Tensor::from_slice(&[1_i64, 2]))?;
//! for (name, value) in metrics.values()? {
//!     println!("{name} {value}"); // accuracy 0.5, f1 0.333
//! }
//! metrics.reset();
//! # Ok(())
//! # }
//! ```
//!
//! [`Metric::update`] only queues work on the device of its tensors, and never
//! waits for a result. So a target that is no class can't be an error there:
//! it is counted, and [`Metric::compute`] is the error. Counts are integers
//! and sums are `f64`, whatever the precision of the model.
//!
//! The values are those of scikit-learn 1.9, in its degenerate cases too: a
//! precision of nothing is 0, an area under the ROC curve of one class is not
//! a number. Where scikit-learn gives an error because there is no data, the
//! value is not a number.

mod accuracy;
mod collection;
mod confusion;
mod curve;
mod error;
mod histogram;
mod mean;
mod regression;
mod state;
mod store;
mod task;

pub use accuracy::{Accuracy, ExactMatch};
pub use collection::{CollectionState, MetricCollection};
pub use confusion::{ClassScore, ConfusionMatrix};
pub use curve::Curve;
pub use error::MetricError;
pub use mean::{Mean, Perplexity};
pub use regression::Regression;
pub use state::State;
pub use store::Store;
pub use task::{Average, Task};

use tch::{Kind, Tensor};

/// What is gathered over batches and has a value in the end.
///
/// A metric of your own has a [`Store`] with what it gathers, an
/// [`update`](Metric::update) that adds to it, and a
/// [`compute_from`](Metric::compute_from) that makes the value of it. The rest
/// is there.
pub trait Metric: Send {
    /// What the store holds. Metrics of the same state name have the same
    /// fields and the same [`update`](Metric::update), so that a collection
    /// keeps one store for all of them, and a saved state fits them all.
    fn state_name(&self) -> String;

    /// What was gathered.
    fn store(&self) -> &Store;

    /// What was gathered, to change it.
    fn store_mut(&mut self) -> &mut Store;

    /// Takes in a batch. Does not wait for the device.
    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError>;

    /// The value of what a store of this metric's kind has gathered.
    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError>;

    /// The value over all batches since the last reset: a scalar, one value
    /// for each class, or a matrix.
    fn compute(&self) -> Result<Tensor, MetricError> {
        self.compute_from(self.store())
    }

    /// The value as a number; an error where it is more than one.
    fn value(&self) -> Result<f64, MetricError> {
        number(&self.compute()?, &self.state_name())
    }

    /// Forgets all batches.
    fn reset(&mut self) {
        self.store_mut().reset();
    }

    /// Takes in what the same metric has gathered elsewhere, such as in
    /// another process.
    fn merge(&mut self, other: &State) -> Result<(), MetricError> {
        let name = self.state_name();
        self.store_mut().merge(other.of(&name)?)
    }

    /// What was gathered, to be saved or sent. Waits for the device.
    fn state(&self) -> Result<State, MetricError> {
        Ok(State::new(self.state_name(), self.store().tensors()?))
    }

    /// Puts a saved state in the place of what was gathered.
    fn restore(&mut self, state: &State) -> Result<(), MetricError> {
        let name = self.state_name();
        self.store_mut().replace(state.of(&name)?)
    }
}

/// The one element of a tensor.
fn number(value: &Tensor, of: &str) -> Result<f64, MetricError> {
    if value.numel() != 1 {
        return Err(MetricError::NotOneNumber {
            metric: of.to_owned(),
            shape: value.size(),
        });
    }
    Ok(value.f_to_kind(Kind::Double)?.f_double_value(&[])?)
}
