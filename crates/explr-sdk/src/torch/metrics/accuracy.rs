use super::confusion::refuse_labels;
use super::task::{Shape, Targets, is_score, outside};
use super::{Metric, MetricError, Store, Task};
use tch::{Kind, TchError, Tensor};

const COUNTS: &str = "counts";

/// The places in the counts. Before them are wrong and right ones.
const IGNORED: i64 = 2;
const INVALID: i64 = 3;

/// How much of what was predicted is right, in any number of classes: it
/// keeps four counters.
///
/// Each label of a multi-label task counts for itself; [`ExactMatch`] wants
/// all of an example right.
#[derive(Debug)]
pub struct Accuracy {
    task: Task,
    top_k: i64,
    store: Store,
}

/// The share of examples of a multi-label task that have every label right.
/// An ignored label is right; an example with no other label is left out.
#[derive(Debug)]
pub struct ExactMatch {
    task: Task,
    store: Store,
}

fn counters() -> Store {
    Store::new().sum(COUNTS, &[4], Kind::Int64)
}

/// Counts predictions that are right (1) or wrong (0).
fn count(store: &mut Store, right: &Tensor, targets: &Targets) -> Result<(), MetricError> {
    let index = targets.place(&right.f_to_kind(Kind::Int64)?, IGNORED)?;
    store.count(COUNTS, &index)
}

/// Right ones among right and wrong ones.
fn share(store: &Store, name: impl Fn() -> String) -> Result<Tensor, MetricError> {
    let counts = store.total(COUNTS)?;
    refuse_labels(&counts, INVALID, name)?;
    let counts = counts.f_narrow(0, 0, 2)?.f_to_kind(Kind::Double)?;
    Ok(counts.f_select(0, 1)?.f_div(&counts.f_sum(Kind::Double)?)?)
}

impl Accuracy {
    /// Of a task, without any data.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            top_k: 1,
            store: counters(),
        }
    }

    /// A multi-class prediction is right when fewer than `k` classes come
    /// before the target: they have a higher score, or the same score and a
    /// lower number. A score that is not a number is never right.
    pub fn top_k(mut self, k: i64) -> Self {
        self.top_k = k;
        self
    }

    /// Which predictions are right.
    fn right(&self, predictions: &Tensor, targets: &Targets) -> Result<Tensor, MetricError> {
        if self.top_k == 1 {
            let predicted = self.task.predicted(predictions)?;
            return Ok(predicted.f_eq_tensor(&targets.labels)?);
        }
        let classes = match self.task.shape {
            Shape::MultiClass { classes } if is_score(predictions) => classes,
            _ => {
                return Err(self.refuse("`top_k` needs the scores of a multi-class task"));
            }
        };
        if !(1..=classes).contains(&self.top_k) {
            return Err(self.refuse(&format!("`top_k` must be 1 to {classes}")));
        }
        let labels = targets
            .place(&targets.labels, 0)?
            .f_clamp_max(classes - 1)?;
        Ok(among_first(predictions, &labels, self.top_k)?)
    }

    fn refuse(&self, problem: &str) -> MetricError {
        MetricError::Input {
            metric: self.state_name(),
            problem: problem.to_owned(),
        }
    }
}

/// Which labels are among the first `k` by the scores along dimension 1.
fn among_first(scores: &Tensor, labels: &Tensor, k: i64) -> Result<Tensor, TchError> {
    let labels = labels.f_unsqueeze(1)?;
    let own = scores.f_gather(1, &labels, false)?;
    let mut along = vec![1; scores.dim()];
    along[1] = scores.size()[1];
    let classes =
        Tensor::f_arange(along[1], (Kind::Int64, scores.device()))?.f_view(along.as_slice())?;
    let tied_before = scores
        .f_eq_tensor(&own)?
        .f_logical_and(&classes.f_less_tensor(&labels)?)?;
    let before = scores
        .f_greater_tensor(&own)?
        .f_logical_or(&tied_before)?
        .f_sum_dim_intlist(1, false, Kind::Int64)?;
    let is_number = own.f_eq_tensor(&own)?.f_squeeze_dim(1)?;
    before.f_lt(k)?.f_logical_and(&is_number)
}

impl Metric for Accuracy {
    fn state_name(&self) -> String {
        match self.top_k {
            1 => format!("accuracy of {}", self.task.name()),
            k => format!("top-{k} accuracy of {}", self.task.name()),
        }
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        self.task.check(&self.state_name(), predictions, targets)?;
        let targets = self
            .task
            .targets(&targets.f_to_device(predictions.device())?)?;
        let right = self.right(predictions, &targets)?;
        count(&mut self.store, &right, &targets)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        share(store, || self.state_name())
    }
}

impl ExactMatch {
    /// Of a multi-label task, without any data.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            store: counters(),
        }
    }
}

impl Metric for ExactMatch {
    fn state_name(&self) -> String {
        format!("exact match of {}", self.task.name())
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        if !matches!(self.task.shape, Shape::MultiLabel { .. }) {
            return Err(MetricError::Input {
                metric: self.state_name(),
                problem: "it needs a multi-label task".to_owned(),
            });
        }
        self.task.check(&self.state_name(), predictions, targets)?;
        let targets = self
            .task
            .targets(&targets.f_to_device(predictions.device())?)?;
        let predicted = self.task.predicted(predictions)?;
        let right = predicted
            .f_eq_tensor(&targets.labels)?
            .f_logical_or(&targets.ignored)?
            .f_all_dim(1, false)?;
        let not_ignored = targets.ignored.f_logical_not()?;
        let wrong_label = if is_score(predictions) {
            targets.invalid
        } else {
            targets.invalid.f_logical_or(&outside(&predicted, 2)?)?
        };
        let examples = Targets {
            labels: right.shallow_clone(),
            ignored: targets.ignored.f_all_dim(1, false)?,
            invalid: wrong_label
                .f_logical_and(&not_ignored)?
                .f_any_dim(1, false)?,
        };
        count(&mut self.store, &right, &examples)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        share(store, || self.state_name())
    }
}
