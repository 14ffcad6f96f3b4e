use super::schedule::{require, require_factor, require_steps};
use super::{Group, PerGroup, ScheduleError, Scheduler};
use std::f64::consts::PI;

/// How [`OneCycle`] goes from one rate to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anneal {
    /// Along half a cosine.
    Cosine,
    /// In a straight line.
    Linear,
}

impl Anneal {
    fn between(self, start: f64, end: f64, part: f64) -> f64 {
        match self {
            Self::Cosine => end + (start - end) / 2.0 * ((PI * part).cos() + 1.0),
            Self::Linear => (end - start) * part + start,
        }
    }
}

/// Takes the rates up to a highest one and then far down, and the momentum the
/// other way.
///
/// From Smith and Topin, *Super-Convergence: Very Fast Training of Neural
/// Networks Using Large Learning Rates* (2019). The base rates have no part in
/// it. Once all steps are done the rates stay; PyTorch fails then.
#[derive(Debug, Clone)]
pub struct OneCycle {
    max_lr: PerGroup,
    steps: u64,
    rise: f64,
    anneal: Anneal,
    momentum: Option<(PerGroup, PerGroup)>,
    start_divisor: f64,
    end_divisor: f64,
    three_phases: bool,
}

impl OneCycle {
    /// A cycle of `steps` steps, PyTorch's `total_steps`, with its defaults.
    pub fn new(max_lr: impl Into<PerGroup>, steps: u64) -> Self {
        Self {
            max_lr: max_lr.into(),
            steps,
            rise: 0.3,
            anneal: Anneal::Cosine,
            momentum: Some((PerGroup::All(0.85), PerGroup::All(0.95))),
            start_divisor: 25.0,
            end_divisor: 1e4,
            three_phases: false,
        }
    }

    /// The part of the steps in which the rates rise, PyTorch's `pct_start`;
    /// 0.3 unless told.
    pub fn rise(mut self, part: f64) -> Self {
        self.rise = part;
        self
    }

    /// A cosine unless told.
    pub fn anneal(mut self, anneal: Anneal) -> Self {
        self.anneal = anneal;
        self
    }

    /// The least and the greatest momentum, PyTorch's `base_momentum` and
    /// `max_momentum`; 0.85 and 0.95 unless told.
    pub fn momentum(mut self, min: impl Into<PerGroup>, max: impl Into<PerGroup>) -> Self {
        self.momentum = Some((min.into(), max.into()));
        self
    }

    /// Leaves the momentum as it is.
    pub fn keep_momentum(mut self) -> Self {
        self.momentum = None;
        self
    }

    /// The first rate is the highest by `start`, the last one the first by
    /// `end`: PyTorch's `div_factor` and `final_div_factor`; 25 and 10,000
    /// unless told.
    pub fn divisors(mut self, start: f64, end: f64) -> Self {
        self.start_divisor = start;
        self.end_divisor = end;
        self
    }

    /// Down to the first rate in as many steps as up, and only then further.
    pub fn three_phases(mut self) -> Self {
        self.three_phases = true;
        self
    }

    /// The phase of a step, and the part of it that is done.
    fn phase(&self, step: u64) -> (Phase, f64) {
        let rise = self.rise * self.steps as f64;
        let last = self.steps as f64 - 1.0;
        let ends = if self.three_phases {
            vec![
                (Phase::Up, rise - 1.0),
                (Phase::Down, 2.0 * rise - 2.0),
                (Phase::Out, last),
            ]
        } else {
            vec![(Phase::Up, rise - 1.0), (Phase::DownAndOut, last)]
        };
        let step = (step as f64).min(last);
        let mut start = 0.0;
        for (phase, end) in ends {
            if step <= end {
                let length = end - start;
                let part = if length > 0.0 {
                    (step - start) / length
                } else {
                    1.0
                };
                return (phase, part);
            }
            start = end;
        }
        (Phase::Out, 1.0)
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Up,
    Down,
    DownAndOut,
    Out,
}

impl Scheduler for OneCycle {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        let (phase, part) = self.phase(step);
        for (group, max) in groups.iter_mut().zip(self.max_lr.values()) {
            let first = max / self.start_divisor;
            let last = first / self.end_divisor;
            let (from, to) = match phase {
                Phase::Up => (first, max),
                Phase::Down => (max, first),
                Phase::DownAndOut => (max, last),
                Phase::Out => (first, last),
            };
            group.lr = self.anneal.between(from, to, part);
        }
        let Some((min, max)) = &self.momentum else {
            return;
        };
        for ((group, min), max) in groups.iter_mut().zip(min.values()).zip(max.values()) {
            let (from, to) = match phase {
                Phase::Up => (max, min),
                Phase::Down | Phase::DownAndOut => (min, max),
                Phase::Out => (max, max),
            };
            if let Some(momentum) = &mut group.momentum {
                *momentum = self.anneal.between(from, to, part);
            }
        }
    }

    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        require_steps("number of steps", self.steps)?;
        let part = if self.three_phases { 0.5 } else { 1.0 };
        require(
            (0.0..=part).contains(&self.rise),
            "rising part",
            self.rise,
            "from 0 to 1, or to 0.5 with three phases",
        )?;
        for (what, divisor) in [
            ("start divisor", self.start_divisor),
            ("end divisor", self.end_divisor),
        ] {
            let right = divisor.is_finite() && divisor > 0.0;
            require(right, what, divisor, "above 0")?;
        }
        self.max_lr.check("highest rate", groups)?;
        for max in self.max_lr.values().take(groups) {
            require_factor("highest rate", max)?;
        }
        if let Some((min, max)) = &self.momentum {
            min.check("least momentum", groups)?;
            max.check("greatest momentum", groups)?;
        }
        Ok(())
    }
}
