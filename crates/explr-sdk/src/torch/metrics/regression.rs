use super::{Metric, MetricError, Store};
use tch::{Kind, Tensor};

const ERRORS: &str = "errors";
const TARGETS: &str = "targets";

/// How far predictions are from the targets, over all elements of tensors of
/// the same shape.
#[derive(Debug)]
pub struct Regression {
    measure: Measure,
    store: Store,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Mse,
    Rmse,
    Mae,
    R2,
}

impl Regression {
    /// The mean of the squared errors.
    pub fn mse() -> Self {
        Self::new(Measure::Mse)
    }

    /// The root of the mean of the squared errors.
    pub fn rmse() -> Self {
        Self::new(Measure::Rmse)
    }

    /// The mean of the absolute errors.
    pub fn mae() -> Self {
        Self::new(Measure::Mae)
    }

    /// The share of the targets' variance that the predictions explain. Where
    /// there is none, 1 for predictions without an error and 0 for others;
    /// not a number for fewer than two targets.
    pub fn r2() -> Self {
        Self::new(Measure::R2)
    }

    fn new(measure: Measure) -> Self {
        let errors = Store::new().sum(ERRORS, &[2], Kind::Double);
        let store = match measure {
            Measure::R2 => errors.moments(TARGETS),
            _ => errors,
        };
        Self { measure, store }
    }
}

impl Metric for Regression {
    fn state_name(&self) -> String {
        match self.measure {
            Measure::Mse | Measure::Rmse => "squared errors",
            Measure::Mae => "absolute errors",
            Measure::R2 => "squared errors and variance",
        }
        .to_owned()
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        same_shape(&self.state_name(), predictions, targets)?;
        let predictions = predictions.f_detach()?.f_to_kind(Kind::Double)?;
        let targets = targets
            .f_to_device(predictions.device())?
            .f_to_kind(Kind::Double)?;
        let errors = predictions.f_sub(&targets)?;
        let errors = match self.measure {
            Measure::Mae => errors.f_abs()?,
            _ => errors.f_square()?,
        };
        self.store.add(ERRORS, &sum_and_count(&errors)?)?;
        if let Measure::R2 = self.measure {
            self.store.add(TARGETS, &targets)?;
        }
        Ok(())
    }

    fn compute_from(&self, store: &Store) -> Result<Tensor, MetricError> {
        let errors = store.total(ERRORS)?;
        let (sum, count) = (errors.f_select(0, 0)?, errors.f_select(0, 1)?);
        let mean = sum.f_div(&count)?;
        Ok(match self.measure {
            Measure::Mse | Measure::Mae => mean,
            Measure::Rmse => mean.f_sqrt()?,
            Measure::R2 => {
                let variance = store.total(TARGETS)?.f_select(0, 2)?;
                let constant = sum.f_eq(0.0)?.f_to_kind(Kind::Double)?;
                let explained = sum.f_div(&variance)?.f_rsub_scalar(1.0)?;
                constant
                    .f_where_self(&variance.f_eq(0.0)?, &explained)?
                    .f_masked_fill(&count.f_lt(2.0)?, f64::NAN)?
            }
        })
    }
}

/// The sum of the elements and their number.
fn sum_and_count(values: &Tensor) -> Result<Tensor, MetricError> {
    let sum = values.f_sum(Kind::Double)?;
    let count = sum.f_full_like(values.numel() as f64)?;
    Ok(Tensor::f_stack(&[sum, count], 0)?)
}

fn same_shape(metric: &str, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
    let (given, wanted) = (predictions.size(), targets.size());
    if given == wanted {
        return Ok(());
    }
    Err(MetricError::Input {
        metric: metric.to_owned(),
        problem: format!(
            "predictions of the shape {given:?} with targets of the shape {wanted:?}; both need \
             the same shape"
        ),
    })
}
