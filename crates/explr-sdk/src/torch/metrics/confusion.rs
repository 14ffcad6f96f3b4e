use super::task::{Shape, is_score, outside};
use super::{Average, Metric, MetricError, Store, Task};
use tch::{Kind, Tensor};

const COUNTS: &str = "counts";

/// How often each class was taken for each: rows are targets, columns are
/// predictions.
///
/// Its value is of `Int64`: `(classes, classes)` for a multi-class task,
/// `(2, 2)` for a binary one, `(labels, 2, 2)` for a multi-label one. It takes
/// the square of the number of classes in memory.
#[derive(Debug)]
pub struct ConfusionMatrix {
    task: Task,
    store: Store,
}

/// Precision, recall or F1 score, from the confusion matrix.
///
/// A ratio without a denominator, such as the precision of a class that was
/// never predicted, is 0; without any data every score is not a number.
#[derive(Debug)]
pub struct ClassScore {
    score: Score,
    average: Average,
    matrix: ConfusionMatrix,
}

#[derive(Debug, Clone, Copy)]
enum Score {
    Precision,
    Recall,
    F1,
}

impl ConfusionMatrix {
    /// Of a task, without any data.
    pub fn new(task: Task) -> Self {
        // Two more count what is ignored and what is no class.
        let store = Store::new().sum(COUNTS, &[cells(task) + 2], Kind::Int64);
        Self { task, store }
    }

    fn shape(&self) -> Vec<i64> {
        match self.task.shape {
            Shape::Binary { .. } => vec![2, 2],
            Shape::MultiClass { classes } => vec![classes, classes],
            Shape::MultiLabel { labels, .. } => vec![labels, 2, 2],
        }
    }
}

fn cells(task: Task) -> i64 {
    match task.shape {
        Shape::MultiClass { classes } => classes * classes,
        _ => task.classes() * 4,
    }
}

impl Metric for ConfusionMatrix {
    fn state_name(&self) -> String {
        format!("confusion matrix of {}", self.task.name())
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        let task = self.task;
        task.check(&self.state_name(), predictions, targets)?;
        let mut targets = task.targets(&targets.f_to_device(predictions.device())?)?;
        let predicted = task.predicted(predictions)?;
        let side = match task.shape {
            Shape::MultiClass { classes } => classes,
            _ => 2,
        };
        if !is_score(predictions) {
            let outside = outside(&predicted, side)?;
            targets.invalid = targets.invalid.f_logical_or(&outside)?;
        }
        let mut index = targets.labels.f_mul_scalar(side)?.f_add(&predicted)?;
        if let Shape::MultiLabel { labels, .. } = task.shape {
            let mut along = vec![1; index.dim()];
            along[1] = labels;
            let first = Tensor::f_arange(labels, (Kind::Int64, index.device()))?
                .f_mul_scalar(4)?
                .f_view(along.as_slice())?;
            index = index.f_add(&first)?;
        }
        self.store
            .count(COUNTS, &targets.place(&index, cells(task))?)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let counts = store.total(COUNTS)?;
        let cells = cells(self.task);
        refuse_labels(&counts, cells + 1, || self.state_name())?;
        Ok(counts
            .f_narrow_copy(0, 0, cells)?
            .f_view(self.shape().as_slice())?)
    }
}

/// The error for labels that are no classes, counted at `index`.
pub(super) fn refuse_labels(
    counts: &Tensor,
    index: i64,
    metric: impl Fn() -> String,
) -> Result<(), MetricError> {
    match counts.f_int64_value(&[index])? {
        0 => Ok(()),
        count => Err(MetricError::Labels {
            metric: metric(),
            count,
        }),
    }
}

impl ClassScore {
    /// How much of what was taken for a class belongs to it.
    pub fn precision(task: Task, average: Average) -> Self {
        Self::new(Score::Precision, task, average)
    }

    /// How much of a class was found.
    pub fn recall(task: Task, average: Average) -> Self {
        Self::new(Score::Recall, task, average)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(task: Task, average: Average) -> Self {
        Self::new(Score::F1, task, average)
    }

    fn new(score: Score, task: Task, average: Average) -> Self {
        Self {
            score,
            average,
            matrix: ConfusionMatrix::new(task),
        }
    }
}

impl Metric for ClassScore {
    fn state_name(&self) -> String {
        self.matrix.state_name()
    }

    fn store(&self) -> &Store {
        self.matrix.store()
    }

    fn store_mut(&mut self) -> &mut Store {
        self.matrix.store_mut()
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        self.matrix.update(predictions, targets)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let matrix = self.matrix.compute_from(store)?;
        let multi_class = matches!(self.matrix.task.shape, Shape::MultiClass { .. });
        // One element a class: found, predicted, and there to be found.
        let (hits, predicted, actual) = if multi_class {
            (
                matrix.f_diagonal(0, 0, 1)?,
                matrix.f_sum_dim_intlist(0, false, Kind::Int64)?,
                matrix.f_sum_dim_intlist(1, false, Kind::Int64)?,
            )
        } else {
            let matrix = matrix.f_view([-1, 2, 2])?;
            let yes = |dim| matrix.f_select(dim, 1);
            (
                yes(1)?.f_select(1, 1)?,
                yes(2)?.f_sum_dim_intlist(1, false, Kind::Int64)?,
                yes(1)?.f_sum_dim_intlist(1, false, Kind::Int64)?,
            )
        };
        let [hits, predicted, actual] = if self.average == Average::Micro {
            [
                hits.f_sum(Kind::Int64)?,
                predicted.f_sum(Kind::Int64)?,
                actual.f_sum(Kind::Int64)?,
            ]
        } else {
            [hits, predicted, actual]
        };
        let (above, below) = match self.score {
            Score::Precision => (hits, predicted.shallow_clone()),
            Score::Recall => (hits, actual.shallow_clone()),
            Score::F1 => (hits.f_mul_scalar(2)?, predicted.f_add(&actual)?),
        };
        let above = above.f_to_kind(Kind::Double)?;
        let scores = above.f_div(&below.f_clamp_min(1)?)?;
        let value = match self.average {
            Average::Micro | Average::PerClass => scores,
            Average::Weighted => weighted(&scores, &actual)?,
            Average::Macro if multi_class => {
                weighted(&scores, &predicted.f_add(&actual)?.f_gt(0)?)?
            }
            Average::Macro => scores.f_mean(Kind::Double)?,
        };
        let empty = matrix.f_sum(Kind::Int64)?.f_eq(0)?;
        Ok(value.f_masked_fill(&empty, f64::NAN)?)
    }
}

/// The weighted mean over the classes; 0 without any weight. A value without
/// a weight has no say, even if it is not a number.
pub(super) fn weighted(values: &Tensor, weights: &Tensor) -> Result<Tensor, MetricError> {
    let weights = weights.f_to_kind(Kind::Double)?;
    let weighted = values.f_mul(&weights)?;
    let sum = weighted
        .f_masked_fill(&weights.f_eq(0.0)?, 0.0)?
        .f_sum(Kind::Double)?;
    Ok(sum.f_div(&weights.f_sum(Kind::Double)?.f_clamp_min(1.0)?)?)
}
