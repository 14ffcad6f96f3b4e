use super::schedule::{require, require_factor};
use super::{Group, PerGroup, ScheduleError, Scheduler};
use explr_protocol::Direction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much better a metric must be than the best one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// By this part of the best one.
    Relative(f64),
    /// By this much.
    Absolute(f64),
}

/// Lowers the rates when a metric has stopped getting better.
///
/// Give it the metric with [`Schedule::observe`](super::Schedule::observe),
/// once for each validation. [`Schedule::step`](super::Schedule::step) leaves
/// the rates as they are, so that it can stand behind a warm-up in a
/// [`Sequential`](super::Sequential), which PyTorch does not allow.
#[derive(Debug, Clone)]
pub struct Plateau {
    direction: Direction,
    factor: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    min_lr: PerGroup,
    eps: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct State {
    #[serde(with = "explr_protocol::number")]
    best: f64,
    bad: u64,
    cooldown: u64,
}

impl Plateau {
    /// Multiplies the rates by `factor`, below 1, after more than `patience`
    /// metrics in a row that were not better. The rest is PyTorch's defaults.
    pub fn new(direction: Direction, factor: f64, patience: u64) -> Self {
        let best = match direction {
            Direction::Minimize => f64::INFINITY,
            Direction::Maximize => f64::NEG_INFINITY,
        };
        Self {
            direction,
            factor,
            patience,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            min_lr: PerGroup::All(0.0),
            eps: 1e-8,
            state: State {
                best,
                bad: 0,
                cooldown: 0,
            },
        }
    }

    /// A relative 0.0001 unless told.
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.threshold = threshold;
        self
    }

    /// Takes no note of this many metrics after the rates were lowered; 0
    /// unless told.
    pub fn cooldown(mut self, cooldown: u64) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Never below these rates; 0 unless told.
    pub fn min_lr(mut self, min_lr: impl Into<PerGroup>) -> Self {
        self.min_lr = min_lr.into();
        self
    }

    /// Leaves a rate that would change by no more than this; 1e-8 unless told.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    fn is_better(&self, metric: f64) -> bool {
        let best = self.state.best;
        match (self.direction, self.threshold) {
            (Direction::Minimize, Threshold::Relative(t)) => metric < best * (1.0 - t),
            (Direction::Minimize, Threshold::Absolute(t)) => metric < best - t,
            (Direction::Maximize, Threshold::Relative(t)) => metric > best * (t + 1.0),
            (Direction::Maximize, Threshold::Absolute(t)) => metric > best + t,
        }
    }
}

impl Scheduler for Plateau {
    fn update(&mut self, _step: u64, _groups: &mut [Group]) {}

    fn observe(&mut self, _step: u64, metric: f64, groups: &mut [Group]) {
        if self.is_better(metric) {
            self.state.best = metric;
            self.state.bad = 0;
        } else {
            self.state.bad += 1;
        }
        if self.state.cooldown > 0 {
            self.state.cooldown -= 1;
            self.state.bad = 0;
        }
        if self.state.bad > self.patience {
            for (group, min) in groups.iter_mut().zip(self.min_lr.values()) {
                let lower = (group.lr * self.factor).max(min);
                if group.lr - lower > self.eps {
                    group.lr = lower;
                }
            }
            self.state.cooldown = self.cooldown;
            self.state.bad = 0;
        }
    }

    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        require_factor("factor", self.factor)?;
        require(self.factor < 1.0, "factor", self.factor, "below 1")?;
        self.min_lr.check("least rate", groups)
    }

    fn state(&self) -> Value {
        serde_json::json!({
            "best": explr_protocol::number::to_value(self.state.best),
            "bad": self.state.bad,
            "cooldown": self.state.cooldown,
        })
    }

    fn restore(&mut self, state: &Value) -> Result<(), ScheduleError> {
        self.state = State::deserialize(state)
            .map_err(|error| ScheduleError::State(format!("not one of a plateau, {error}")))?;
        Ok(())
    }
}
