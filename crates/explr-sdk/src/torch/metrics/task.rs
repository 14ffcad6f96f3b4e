use super::MetricError;
use tch::{Kind, TchError, Tensor};

/// What a classifier decides, and so what the tensors of a metric mean.
///
/// | task | predictions | targets |
/// |---|---|---|
/// | binary | scores, `(N, ...)` | 0 or 1, the same shape |
/// | multi-class | scores, `(N, classes, ...)`, or labels, `(N, ...)` | labels, `(N, ...)` |
/// | multi-label | scores, `(N, labels, ...)` | 0 or 1, the same shape |
///
/// Predictions of an integer or boolean kind are labels already.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    pub(super) shape: Shape,
    ignored: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Binary { threshold: f64 },
    MultiClass { classes: i64 },
    MultiLabel { labels: i64, threshold: f64 },
}

/// How the values of several classes become one.
///
/// A binary task has one class, the positive one: every average is its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The value over the decisions of all classes together.
    Micro,
    /// The mean over the classes. Classes of a multi-class task that occur
    /// neither as target nor as prediction are left out.
    Macro,
    /// The mean over the classes, weighted by how often each is the target.
    Weighted,
    /// No average: one value for each class.
    PerClass,
}

/// Targets as integers, and which of them count.
pub(super) struct Targets {
    pub(super) labels: Tensor,
    pub(super) ignored: Tensor,
    pub(super) invalid: Tensor,
}

impl Targets {
    /// Puts `spare` in the place of what is ignored, and `spare + 1` in that
    /// of what is no class.
    pub(super) fn place(&self, index: &Tensor, spare: i64) -> Result<Tensor, TchError> {
        index
            .f_masked_fill(&self.invalid, spare + 1)?
            .f_masked_fill(&self.ignored, spare)
    }
}

impl Task {
    /// Yes or no. Yes is a score above the threshold: 0.5 for probabilities,
    /// 0 for logits.
    pub fn binary(threshold: f64) -> Self {
        Self::new(Shape::Binary { threshold })
    }

    /// One of several classes: the one with the highest score, and the first
    /// of them where several have it.
    pub fn multi_class(classes: i64) -> Self {
        Self::new(Shape::MultiClass { classes })
    }

    /// Several labels, each yes or no by the threshold of
    /// [`binary`](Task::binary).
    pub fn multi_label(labels: i64, threshold: f64) -> Self {
        Self::new(Shape::MultiLabel { labels, threshold })
    }

    /// Leaves out what has this target, such as -100 for padding.
    pub fn ignoring(mut self, target: i64) -> Self {
        self.ignored = Some(target);
        self
    }

    fn new(shape: Shape) -> Self {
        Self {
            shape,
            ignored: None,
        }
    }

    /// How many classes or labels; one for a binary task.
    pub(super) fn classes(self) -> i64 {
        match self.shape {
            Shape::Binary { .. } => 1,
            Shape::MultiClass { classes } => classes,
            Shape::MultiLabel { labels, .. } => labels,
        }
    }

    /// For names of states, without the threshold.
    pub(super) fn kind_name(self) -> String {
        let ignored = self
            .ignored
            .map_or_else(String::new, |target| format!(", ignoring {target}"));
        match self.shape {
            Shape::Binary { .. } => format!("binary{ignored}"),
            Shape::MultiClass { classes } => format!("{classes} classes{ignored}"),
            Shape::MultiLabel { labels, .. } => format!("{labels} labels{ignored}"),
        }
    }

    /// For names of states.
    pub(super) fn name(self) -> String {
        match self.shape {
            Shape::Binary { threshold } | Shape::MultiLabel { threshold, .. } => {
                format!("{}, threshold {threshold}", self.kind_name())
            }
            Shape::MultiClass { .. } => self.kind_name(),
        }
    }

    /// Whether the shapes are those of the task.
    pub(super) fn check(
        self,
        metric: &str,
        predictions: &Tensor,
        targets: &Tensor,
    ) -> Result<(), MetricError> {
        let (given, wanted) = (predictions.size(), targets.size());
        let same = given == wanted;
        let fits = match self.shape {
            Shape::MultiClass { classes } if is_score(predictions) => {
                given.len() == wanted.len() + 1
                    && given.len() > 1
                    && given[1] == classes
                    && given[0] == wanted[0]
                    && given[2..] == wanted[1..]
            }
            Shape::Binary { .. } | Shape::MultiClass { .. } => same,
            Shape::MultiLabel { labels, .. } => same && given.get(1) == Some(&labels),
        };
        if fits {
            return Ok(());
        }
        let should = match self.shape {
            Shape::Binary { .. } => "both have the same shape".to_owned(),
            Shape::MultiClass { classes } => format!(
                "scores are (N, {classes}, ...) and targets (N, ...), or both are labels (N, ...)"
            ),
            Shape::MultiLabel { labels, .. } => format!("both are (N, {labels}, ...)"),
        };
        Err(MetricError::Input {
            metric: metric.to_owned(),
            problem: format!(
                "predictions of the shape {given:?} with targets of the shape {wanted:?}; {should}"
            ),
        })
    }

    /// The targets, which may be of any kind.
    pub(super) fn targets(self, targets: &Tensor) -> Result<Targets, TchError> {
        let classes = match self.shape {
            Shape::MultiClass { classes } => classes,
            _ => 2,
        };
        let labels = targets.f_to_kind(Kind::Int64)?;
        let mut ignored = match self.ignored {
            Some(target) => labels.f_eq(target)?,
            None => labels.f_zeros_like()?.f_to_kind(Kind::Bool)?,
        };
        let mut invalid = outside(&labels, classes)?;
        if is_score(targets) {
            let whole = labels.f_eq_tensor(targets)?;
            ignored = ignored.f_logical_and(&whole)?;
            invalid = invalid.f_logical_or(&whole.f_logical_not()?)?;
        }
        Ok(Targets {
            labels,
            ignored,
            invalid,
        })
    }

    /// What was predicted, as labels with the shape of the targets.
    pub(super) fn predicted(self, predictions: &Tensor) -> Result<Tensor, TchError> {
        if !is_score(predictions) {
            return predictions.f_to_kind(Kind::Int64);
        }
        match self.shape {
            Shape::Binary { threshold } | Shape::MultiLabel { threshold, .. } => {
                predictions.f_gt(threshold)?.f_to_kind(Kind::Int64)
            }
            Shape::MultiClass { .. } => predictions.f_argmax(1, false),
        }
    }
}

/// Which labels are none of `classes` classes.
pub(super) fn outside(labels: &Tensor, classes: i64) -> Result<Tensor, TchError> {
    labels.f_lt(0)?.f_logical_or(&labels.f_ge(classes)?)
}

/// Whether a tensor holds scores, not labels.
pub(super) fn is_score(tensor: &Tensor) -> bool {
    matches!(
        tensor.kind(),
        Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double
    )
}
