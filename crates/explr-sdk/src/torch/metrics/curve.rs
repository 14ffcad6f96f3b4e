use super::confusion::weighted;
use super::histogram::{Area, Histogram};
use super::task::{Shape, is_score};
use super::{Average, Metric, MetricError, Store, Task};
use tch::{Device, Kind, TchError, Tensor};

const SCORES: &str = "scores";
const TARGETS: &str = "targets";
const BINS: &str = "bins";

/// The area under the ROC curve, or the average precision: how well scores
/// order what belongs to a class before what does not, at any threshold.
///
/// A task with several classes has a curve for each against the rest. Ties
/// count as scikit-learn counts them, and the area is of whole numbers until
/// its last division. [`Average::Macro`] is the mean over all classes, also
/// those that never occur.
///
/// All scores are kept on their device, so that the value is exact;
/// [`binned`](Curve::binned) bounds the memory.
#[derive(Debug)]
pub struct Curve {
    area: Area,
    task: Task,
    average: Average,
    bins: Option<i64>,
    store: Store,
}

/// A batch as rows of one score a class.
struct Rows {
    scores: Tensor,
    /// Of the same shape, or with one column for a multi-class task. What is
    /// ignored has the number of classes, what is no class one more.
    targets: Tensor,
}

impl Curve {
    /// The area under the ROC curve. Not a number where everything belongs to
    /// the class, or nothing does.
    pub fn auroc(task: Task, average: Average) -> Self {
        Self::new(Area::Roc, task, average)
    }

    /// The mean of the precisions at each threshold, weighted by the recall
    /// gained. 0 where nothing belongs to the class.
    pub fn average_precision(task: Task, average: Average) -> Self {
        Self::new(Area::AveragePrecision, task, average)
    }

    fn new(area: Area, task: Task, average: Average) -> Self {
        Self {
            area,
            task,
            average,
            bins: None,
            store: Store::new().rows(SCORES).rows(TARGETS),
        }
    }

    /// Keeps counts in `bins` bins of the same width, at least one, and no
    /// scores. The value is the exact one for scores that are rounded down to
    /// a multiple of `1 / bins`. Scores must be probabilities: what is below 0
    /// counts in the first bin, what is above 1 in the last.
    pub fn binned(mut self, bins: u32) -> Self {
        let bins = i64::from(bins.max(1));
        self.bins = Some(bins);
        self.store = Store::new().sum(BINS, &[self.cells(bins) + 3], Kind::Int64);
        self
    }

    fn cells(&self, bins: i64) -> i64 {
        self.task.classes() * 2 * bins
    }

    /// The target of what is ignored.
    fn spare(&self) -> i64 {
        self.task.classes().max(2)
    }

    fn rows(&self, predictions: &Tensor, targets: &Tensor) -> Result<Rows, MetricError> {
        self.task.check(&self.state_name(), predictions, targets)?;
        if !is_score(predictions) {
            return Err(MetricError::Input {
                metric: self.state_name(),
                problem: format!("it needs scores, not {:?}", predictions.kind()),
            });
        }
        let targets = self
            .task
            .targets(&targets.f_to_device(predictions.device())?)?;
        let targets = targets.place(&targets.labels, self.spare())?;
        let classes = self.task.classes();
        let by_class = |tensor: &Tensor| match self.task.shape {
            Shape::Binary { .. } => tensor.f_reshape([-1, 1]),
            _ => tensor.f_movedim(1, -1)?.f_reshape([-1, classes]),
        };
        Ok(Rows {
            scores: by_class(predictions)?,
            targets: match self.task.shape {
                Shape::MultiClass { .. } => targets.f_reshape([-1, 1])?,
                _ => by_class(&targets)?,
            },
        })
    }

    /// Which elements of the targets, one column a class, belong to the class.
    fn positive(&self, targets: &Tensor) -> Result<Tensor, TchError> {
        match self.task.shape {
            Shape::MultiClass { classes } => {
                targets.f_eq_tensor(&Tensor::f_arange(classes, (Kind::Int64, targets.device()))?)
            }
            _ => targets.f_eq(1),
        }
    }

    fn count(&mut self, rows: &Rows, bins: i64) -> Result<(), MetricError> {
        let Rows { scores, targets } = rows;
        let cells = self.cells(bins);
        let missing = scores.f_isnan()?;
        let bin = scores
            .f_to_kind(Kind::Double)?
            .f_masked_fill(&missing, 0.0)?
            .f_mul_scalar(bins)?
            .f_floor()?
            .f_clamp(0, bins - 1)?
            .f_to_kind(Kind::Int64)?;
        let classes = Tensor::f_arange(self.task.classes(), (Kind::Int64, scores.device()))?;
        let index = classes
            .f_mul_scalar(2)?
            .f_add(&self.positive(targets)?.f_to_kind(Kind::Int64)?)?
            .f_mul_scalar(bins)?
            .f_add(&bin)?
            .f_masked_fill(&missing, cells + 2)?
            .f_masked_fill(&targets.f_eq(self.spare() + 1)?, cells + 1)?
            .f_masked_fill(&targets.f_eq(self.spare())?, cells)?;
        self.store.count(BINS, &index)
    }

    /// The histograms of the classes, or the one of all together.
    fn histograms(&self, store: &Store) -> Result<Vec<Histogram>, MetricError> {
        if let Some(bins) = self.bins {
            let counts = store.total(BINS)?;
            let cells = self.cells(bins);
            let columns = self.task.classes();
            let labels = counts.f_int64_value(&[cells + 1])?;
            let per_label = match self.task.shape {
                Shape::MultiClass { .. } => columns.max(1),
                _ => 1,
            };
            self.refuse(labels / per_label, counts.f_int64_value(&[cells + 2])?)?;
            let mut counts = counts.f_narrow(0, 0, cells)?.f_view([columns, 2, bins])?;
            if self.average == Average::Micro {
                counts = counts.f_sum_dim_intlist(0, true, Kind::Int64)?;
            }
            return (0..counts.size()[0])
                .map(|class| {
                    let counts = counts.f_select(0, class)?;
                    Ok(Histogram {
                        positive: counts.f_select(0, 1)?,
                        negative: counts.f_select(0, 0)?,
                    })
                })
                .collect();
        }
        let (Some(scores), Some(targets)) = (store.get(SCORES)?, store.get(TARGETS)?) else {
            return Ok(Vec::new());
        };
        let ignored = targets.f_eq(self.spare())?;
        let invalid = targets.f_eq(self.spare() + 1)?;
        let missing = scores
            .f_isnan()?
            .f_logical_and(&ignored.f_logical_or(&invalid)?.f_logical_not()?)?;
        self.refuse(sum(&invalid)?, sum(&missing)?)?;
        let positive = self.positive(&targets)?;
        let kept = ignored.f_logical_not()?.f_expand_as(&scores)?;
        if self.average == Average::Micro {
            return Ok(vec![Histogram::of(&scores, &positive, &kept)?]);
        }
        (0..self.task.classes())
            .map(|class| {
                let column = |tensor: &Tensor| tensor.f_select(1, class);
                let (scores, positive) = (column(&scores)?, column(&positive)?);
                Ok(Histogram::of(&scores, &positive, &column(&kept)?)?)
            })
            .collect()
    }

    fn refuse(&self, labels: i64, missing: i64) -> Result<(), MetricError> {
        let metric = || self.state_name();
        if labels > 0 {
            return Err(MetricError::Labels {
                metric: metric(),
                count: labels,
            });
        }
        if missing > 0 {
            return Err(MetricError::NotANumber {
                metric: metric(),
                count: missing,
            });
        }
        Ok(())
    }
}

fn sum(mask: &Tensor) -> Result<i64, TchError> {
    mask.f_sum(Kind::Int64)?.f_int64_value(&[])
}

impl Metric for Curve {
    fn state_name(&self) -> String {
        let task = self.task.kind_name();
        match self.bins {
            None => format!("scores of {task}"),
            Some(bins) => format!("scores of {task} in {bins} bins"),
        }
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        let rows = self.rows(&predictions.f_detach()?, targets)?;
        if let Some(bins) = self.bins {
            return self.count(&rows, bins);
        }
        let compact = match self.task.shape {
            Shape::MultiClass { .. } => Kind::Int,
            _ => Kind::Uint8,
        };
        self.store.add(SCORES, &rows.scores)?;
        self.store.add(TARGETS, &rows.targets.f_to_kind(compact)?)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let histograms = self.histograms(store)?;
        if histograms.is_empty() {
            let shape: &[i64] = match self.average {
                Average::PerClass => &[self.task.classes()],
                _ => &[],
            };
            return Ok(Tensor::f_full(
                shape,
                f64::NAN,
                (Kind::Double, Device::Cpu),
            )?);
        }
        let stack = |of: &dyn Fn(&Histogram) -> Result<Tensor, TchError>| {
            let values = histograms.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            Tensor::f_stack(&values, 0)
        };
        let values = stack(&|histogram| histogram.area(self.area))?;
        let positive = stack(&|histogram| histogram.positive.f_sum(Kind::Int64))?;
        let negative = stack(&|histogram| histogram.negative.f_sum(Kind::Int64))?;
        let value = match self.average {
            Average::PerClass => values,
            Average::Micro | Average::Macro => values.f_mean(Kind::Double)?,
            Average::Weighted => weighted(&values, &positive)?,
        };
        let empty = positive.f_add(&negative)?.f_sum(Kind::Int64)?.f_eq(0)?;
        Ok(value.f_masked_fill(&empty, f64::NAN)?)
    }
}
