use super::schedule::{require_factor, require_steps};
use super::{Group, ScheduleError, Scheduler};
use std::f64::consts::PI;

/// Takes the rates down to a least one along half a cosine; should training go
/// on, up again along the other half.
///
/// From Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm
/// Restarts* (2017), without the restarts.
#[derive(Debug, Clone)]
pub struct Cosine {
    steps: u64,
    min_lr: f64,
}

impl Cosine {
    /// Down to 0 in `steps` steps, PyTorch's `T_max`.
    pub fn new(steps: u64) -> Self {
        Self { steps, min_lr: 0.0 }
    }

    /// Down to this rate, PyTorch's `eta_min`.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }
}

impl Scheduler for Cosine {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step == 0 {
            return;
        }
        let min = self.min_lr;
        let height = |step: u64| 1.0 + (PI * step as f64 / self.steps as f64).cos();
        // The rate before is the least one: nothing is left to multiply.
        let from_min = (step - 1) % self.steps.saturating_mul(2) == self.steps;
        for group in groups {
            group.lr = if from_min {
                let rise = 1.0 - (PI / self.steps as f64).cos();
                group.lr + (group.base_lr - min) * rise / 2.0
            } else {
                height(step) / height(step - 1) * (group.lr - min) + min
            };
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("number of steps", self.steps)?;
        require_factor("least rate", self.min_lr)
    }
}

/// Takes the rates down along half a cosine, and begins again at the base
/// rates, with periods that may become longer.
///
/// From Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm
/// Restarts* (2017).
#[derive(Debug, Clone)]
pub struct CosineWarmRestarts {
    period: u64,
    growth: u64,
    min_lr: f64,
}

impl CosineWarmRestarts {
    /// The first period has `period` steps, PyTorch's `T_0`.
    pub fn new(period: u64) -> Self {
        Self {
            period,
            growth: 1,
            min_lr: 0.0,
        }
    }

    /// Each period is so many times as long as the one before, PyTorch's `T_mult`.
    pub fn growth(mut self, growth: u64) -> Self {
        self.growth = growth;
        self
    }

    /// Down to this rate, PyTorch's `eta_min`.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }
}

impl Scheduler for CosineWarmRestarts {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        let (mut at, mut period) = (step, self.period);
        if self.growth == 1 {
            at %= period;
        }
        while at >= period {
            at -= period;
            period = period.saturating_mul(self.growth);
        }
        let height = 1.0 + (PI * at as f64 / period as f64).cos();
        for group in groups {
            group.lr = self.min_lr + (group.base_lr - self.min_lr) * height / 2.0;
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("first period", self.period)?;
        require_steps("growth of the periods", self.growth)?;
        require_factor("least rate", self.min_lr)
    }
}
