//! Learning rates that follow a schedule, with PyTorch's values.
//!
//! A [`Schedule`] drives one [`Scheduler`] for the parameter groups of an
//! optimiser. It needs no libtorch and knows nothing of epochs: a step is
//! whatever you call [`step`](Schedule::step) for.
//!
//! ```
//! use explr_sdk::scheduler::{Cosine, Group, Linear, Schedule, Sequential};
//!
//! # fn main() -> Result<(), explr_sdk::scheduler::ScheduleError> {
//! // Five steps of warm-up, then a cosine down to 0 over 95.
//! let warm_up = Linear::new(0.1, 1.0, 5);
//! let scheduler = Sequential::new(warm_up).then(5, Cosine::new(95));
//! let mut schedule = Schedule::new(scheduler, vec![Group::new(1e-3)])?;
//! assert_eq!(schedule.groups()[0].lr, 1e-4);
//! for _ in 0..5 {
//!     schedule.step();
//! }
//! assert_eq!(schedule.groups()[0].lr, 1e-3);
//! # Ok(())
//! # }
//! ```
//!
//! | here | in `torch.optim.lr_scheduler` |
//! |---|---|
//! | [`Step`], [`MultiStep`], [`Exponential`] | `StepLR`, `MultiStepLR`, `ExponentialLR` |
//! | [`Polynomial`] | `PolynomialLR` |
//! | [`Constant`], [`Linear`] | `ConstantLR`, `LinearLR` |
//! | [`Cosine`], [`CosineWarmRestarts`] | `CosineAnnealingLR`, `CosineAnnealingWarmRestarts` |
//! | [`OneCycle`] | `OneCycleLR` |
//! | [`Plateau`] | `ReduceLROnPlateau` |
//! | [`Lambda`] | `LambdaLR` |
//! | [`Sequential`], [`Chained`] | `SequentialLR`, `ChainedScheduler` |
//!
//! As in PyTorch 2.10, most schedulers turn the rate of the step before into
//! the next one, so that they can be chained. Each page says where it differs.

mod compose;
mod cosine;
mod decay;
mod one_cycle;
mod plateau;
mod ramp;
mod schedule;

pub use compose::{Chained, Sequential};
pub use cosine::{Cosine, CosineWarmRestarts};
pub use decay::{Exponential, Lambda, MultiStep, Polynomial, Step};
pub use one_cycle::{Anneal, OneCycle};
pub use plateau::{Plateau, Threshold};
pub use ramp::{Constant, Linear};
pub use schedule::{Schedule, ScheduleError, ScheduleState};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a schedule changes of one parameter group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The learning rate now.
    #[serde(with = "explr_protocol::number")]
    pub lr: f64,
    /// The learning rate that the schedule began with.
    #[serde(with = "explr_protocol::number")]
    pub base_lr: f64,
    /// The momentum, or Adam's first beta; `None` for an optimiser without.
    pub momentum: Option<f64>,
}

impl Group {
    /// A group with this rate, and no momentum.
    pub fn new(lr: f64) -> Self {
        Self {
            lr,
            base_lr: lr,
            momentum: None,
        }
    }

    /// With a momentum that a schedule may change.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = Some(momentum);
        self
    }
}

/// A rule for the rates of the parameter groups.
///
/// ```
/// use explr_sdk::scheduler::{Group, Scheduler};
///
/// /// Half the rate after every step.
/// #[derive(Debug)]
/// struct Halve;
///
/// impl Scheduler for Halve {
///     fn update(&mut self, step: u64, groups: &mut [Group]) {
///         if step > 0 {
///             groups.iter_mut().for_each(|group| group.lr *= 0.5);
///         }
///     }
/// }
/// ```
pub trait Scheduler: fmt::Debug + Send {
    /// Sets the rates of step `step`, where `groups` has those of the step
    /// before. It is called for 0, before the first step, then 1, 2 and so on.
    fn update(&mut self, step: u64, groups: &mut [Group]);

    /// Takes note of a metric, such as the loss of a validation, at step
    /// `step`. Only [`Plateau`] makes use of it.
    fn observe(&mut self, step: u64, metric: f64, groups: &mut [Group]) {
        let _ = (step, metric, groups);
    }

    /// Whether the settings make sense, and for this number of groups.
    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        let _ = groups;
        Ok(())
    }

    /// What it remembers besides the step: nothing, for most.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Takes over what [`state`](Self::state) gave.
    fn restore(&mut self, state: &Value) -> Result<(), ScheduleError> {
        let _ = state;
        Ok(())
    }
}

impl<S: Scheduler + ?Sized> Scheduler for Box<S> {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        (**self).update(step, groups);
    }

    fn observe(&mut self, step: u64, metric: f64, groups: &mut [Group]) {
        (**self).observe(step, metric, groups);
    }

    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        (**self).check(groups)
    }

    fn state(&self) -> Value {
        (**self).state()
    }

    fn restore(&mut self, state: &Value) -> Result<(), ScheduleError> {
        (**self).restore(state)
    }
}

/// A setting that is the same for all parameter groups, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub enum PerGroup {
    /// The same for all.
    All(f64),
    /// One for each group, in their order.
    Each(Vec<f64>),
}

impl From<f64> for PerGroup {
    fn from(value: f64) -> Self {
        Self::All(value)
    }
}

impl From<Vec<f64>> for PerGroup {
    fn from(values: Vec<f64>) -> Self {
        Self::Each(values)
    }
}

impl<const N: usize> From<[f64; N]> for PerGroup {
    fn from(values: [f64; N]) -> Self {
        Self::Each(values.to_vec())
    }
}

impl PerGroup {
    /// One value for each of the groups, as many as there are.
    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let (all, each) = match self {
            Self::All(value) => (Some(*value), [].as_slice()),
            Self::Each(values) => (None, values.as_slice()),
        };
        each.iter().copied().chain(all.into_iter().cycle())
    }

    fn check(&self, what: &'static str, groups: usize) -> Result<(), ScheduleError> {
        match self {
            Self::Each(values) if values.len() != groups => Err(ScheduleError::Groups {
                what,
                given: values.len(),
                groups,
            }),
            Self::All(_) | Self::Each(_) => Ok(()),
        }
    }
}
