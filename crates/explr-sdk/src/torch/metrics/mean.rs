use super::confusion::refuse_labels;
use super::task::outside;
use super::{Metric, MetricError, Store};
use tch::{Kind, Tensor};

const SUM: &str = "sum";
const INVALID: &str = "invalid";

/// The weighted mean of numbers, such as of the losses of batches.
///
/// As a [`Metric`] it takes values in the place of predictions and their
/// weights in the place of targets.
#[derive(Debug)]
pub struct Mean {
    store: Store,
}

/// The exponential of the mean negative log-likelihood of the targets.
///
/// Predictions are logits, `(..., classes)` as a language model gives them,
/// targets are labels, `(...)`.
#[derive(Debug)]
pub struct Perplexity {
    ignored: Option<i64>,
    store: Store,
}

impl Default for Mean {
    fn default() -> Self {
        Self::new()
    }
}

impl Mean {
    /// Without any data.
    pub fn new() -> Self {
        Self {
            store: Store::new().sum(SUM, &[2], Kind::Double),
        }
    }

    /// Takes in values that all have the same weight, such as a loss with the
    /// size of its batch.
    pub fn add(&mut self, values: &Tensor, weight: f64) -> Result<(), MetricError> {
        let sum = values.f_sum(Kind::Double)?.f_mul_scalar(weight)?;
        let weights = sum.f_full_like(weight * values.numel() as f64)?;
        self.store.add(SUM, &Tensor::f_stack(&[sum, weights], 0)?)
    }
}

impl Metric for Mean {
    fn state_name(&self) -> String {
        "mean".to_owned()
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, values: &Tensor, weights: &Tensor) -> Result<(), MetricError> {
        let weights = weights
            .f_to_device(values.device())?
            .f_to_kind(Kind::Double)?
            .f_expand_as(values)?;
        let sum = values.f_to_kind(Kind::Double)?.f_mul(&weights)?;
        let sums = [sum.f_sum(Kind::Double)?, weights.f_sum(Kind::Double)?];
        self.store.add(SUM, &Tensor::f_stack(&sums, 0)?)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let sum = store.total(SUM)?;
        Ok(sum.f_select(0, 0)?.f_div(&sum.f_select(0, 1)?)?)
    }
}

impl Default for Perplexity {
    fn default() -> Self {
        Self::new()
    }
}

impl Perplexity {
    /// Without any data.
    pub fn new() -> Self {
        Self {
            ignored: None,
            store: Store::new()
                .sum(SUM, &[2], Kind::Double)
                .sum(INVALID, &[1], Kind::Int64),
        }
    }

    /// Leaves out what has this target, such as padding.
    pub fn ignoring(mut self, target: i64) -> Self {
        self.ignored = Some(target);
        self
    }
}

impl Metric for Perplexity {
    fn state_name(&self) -> String {
        match self.ignored {
            None => "perplexity".to_owned(),
            Some(target) => format!("perplexity, ignoring {target}"),
        }
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        let (given, wanted) = (logits.size(), targets.size());
        let Some((&classes, _)) = given.split_last().filter(|(_, rest)| *rest == wanted) else {
            return Err(MetricError::Input {
                metric: self.state_name(),
                problem: format!(
                    "logits of the shape {given:?} with targets of the shape {wanted:?}; the \
                     logits have one dimension more, the classes"
                ),
            });
        };
        let logits = match logits.kind() {
            Kind::Double => logits.f_detach()?,
            _ => logits.f_detach()?.f_to_kind(Kind::Float)?,
        };
        let targets = targets
            .f_to_device(logits.device())?
            .f_to_kind(Kind::Int64)?;
        let mut invalid = outside(&targets, classes)?;
        let mut left_out = invalid.shallow_clone();
        if let Some(ignored) = self.ignored {
            let ignored = targets.f_eq(ignored)?;
            left_out = left_out.f_logical_or(&ignored)?;
            invalid = invalid.f_logical_and(&ignored.f_logical_not()?)?;
        }
        let own = targets.f_masked_fill(&left_out, 0)?.f_unsqueeze(-1)?;
        let loss = logits
            .f_logsumexp(-1, false)?
            .f_sub(&logits.f_gather(-1, &own, false)?.f_squeeze_dim(-1)?)?
            .f_masked_fill(&left_out, 0.0)?
            .f_sum(Kind::Double)?;
        let count = left_out.f_logical_not()?.f_sum(Kind::Double)?;
        self.store.add(SUM, &Tensor::f_stack(&[loss, count], 0)?)?;
        let invalid = invalid.f_sum(Kind::Int64)?.f_view([1])?;
        self.store.add(INVALID, &invalid)
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        refuse_labels(&store.total(INVALID)?, 0, || self.state_name())?;
        let sum = store.total(SUM)?;
        Ok(sum.f_select(0, 0)?.f_div(&sum.f_select(0, 1)?)?.f_exp()?)
    }
}
