use super::schedule::{require_factor, require_steps};
use super::{Group, ScheduleError, Scheduler};
use std::fmt;

/// Multiplies the rates by `gamma` every `every` steps.
#[derive(Debug, Clone)]
pub struct Step {
    every: u64,
    gamma: f64,
}

impl Step {
    /// PyTorch's `step_size` and `gamma`.
    pub fn new(every: u64, gamma: f64) -> Self {
        Self { every, gamma }
    }
}

impl Scheduler for Step {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step > 0 && step.is_multiple_of(self.every) {
            scale(groups, self.gamma);
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("step size", self.every)?;
        require_factor("gamma", self.gamma)
    }
}

/// Multiplies the rates by `gamma` at each milestone.
#[derive(Debug, Clone)]
pub struct MultiStep {
    milestones: Vec<u64>,
    gamma: f64,
}

impl MultiStep {
    /// The milestones are steps, in any order; one that is there twice counts
    /// twice.
    pub fn new(milestones: impl Into<Vec<u64>>, gamma: f64) -> Self {
        Self {
            milestones: milestones.into(),
            gamma,
        }
    }
}

impl Scheduler for MultiStep {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        let times = self.milestones.iter().filter(|&&m| m == step).count();
        if times > 0 {
            scale(groups, self.gamma.powf(times as f64));
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_factor("gamma", self.gamma)
    }
}

/// Multiplies the rates by `gamma` every step.
#[derive(Debug, Clone)]
pub struct Exponential {
    gamma: f64,
}

impl Exponential {
    /// PyTorch's `gamma`.
    pub fn new(gamma: f64) -> Self {
        Self { gamma }
    }
}

impl Scheduler for Exponential {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step > 0 {
            scale(groups, self.gamma);
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_factor("gamma", self.gamma)
    }
}

/// Takes the rates down to 0 in `steps` steps, along a power of the steps
/// that are left; then they stay.
#[derive(Debug, Clone)]
pub struct Polynomial {
    steps: u64,
    power: f64,
}

impl Polynomial {
    /// PyTorch's `total_iters` and `power`.
    pub fn new(steps: u64, power: f64) -> Self {
        Self { steps, power }
    }
}

impl Scheduler for Polynomial {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step > 0 && step <= self.steps {
            let left = |step: u64| 1.0 - step as f64 / self.steps as f64;
            scale(groups, (left(step) / left(step - 1)).powf(self.power));
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("number of steps", self.steps)?;
        require_factor("power", self.power)
    }
}

/// Multiplies the base rates by a function of the step.
pub struct Lambda {
    factor: Box<dyn Fn(usize, u64) -> f64 + Send>,
}

impl Lambda {
    /// The same function for all groups.
    pub fn new(factor: impl Fn(u64) -> f64 + Send + 'static) -> Self {
        Self::per_group(move |_, step| factor(step))
    }

    /// A function of the group's index and the step.
    pub fn per_group(factor: impl Fn(usize, u64) -> f64 + Send + 'static) -> Self {
        Self {
            factor: Box::new(factor),
        }
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Lambda").finish_non_exhaustive()
    }
}

impl Scheduler for Lambda {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        for (index, group) in groups.iter_mut().enumerate() {
            group.lr = group.base_lr * (self.factor)(index, step);
        }
    }
}

/// Multiplies all rates by a factor.
pub(super) fn scale(groups: &mut [Group], factor: f64) {
    for group in groups {
        group.lr *= factor;
    }
}
