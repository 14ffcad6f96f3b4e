use super::decay::scale;
use super::schedule::{require, require_steps};
use super::{Group, ScheduleError, Scheduler};

/// Multiplies the rates by a factor for the first steps: a constant warm-up.
#[derive(Debug, Clone)]
pub struct Constant {
    factor: f64,
    steps: u64,
}

impl Constant {
    /// PyTorch's `factor`, above 0 and at most 1, and `total_iters`.
    pub fn new(factor: f64, steps: u64) -> Self {
        Self { factor, steps }
    }
}

impl Scheduler for Constant {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step == 0 {
            scale(groups, self.factor);
        } else if step == self.steps {
            scale(groups, 1.0 / self.factor);
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("number of steps", self.steps)?;
        require_fraction("factor", self.factor)
    }
}

/// Takes the rates from one factor to another in a straight line: a linear
/// warm-up or decay. After that they stay.
#[derive(Debug, Clone)]
pub struct Linear {
    start: f64,
    end: f64,
    steps: u64,
}

impl Linear {
    /// PyTorch's `start_factor`, above 0 and at most 1, `end_factor`, from 0
    /// to 1, and `total_iters`.
    pub fn new(start: f64, end: f64, steps: u64) -> Self {
        Self { start, end, steps }
    }
}

impl Scheduler for Linear {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        if step == 0 {
            scale(groups, self.start);
        } else if step <= self.steps {
            let rise = self.end - self.start;
            let before = self.steps as f64 * self.start + (step - 1) as f64 * rise;
            scale(groups, 1.0 + rise / before);
        }
    }

    fn check(&self, _groups: usize) -> Result<(), ScheduleError> {
        require_steps("number of steps", self.steps)?;
        require_fraction("start factor", self.start)?;
        let right = (0.0..=1.0).contains(&self.end);
        require(right, "end factor", self.end, "from 0 to 1")
    }
}

fn require_fraction(what: &'static str, factor: f64) -> Result<(), ScheduleError> {
    let right = factor > 0.0 && factor <= 1.0;
    require(right, what, factor, "above 0 and at most 1")
}
