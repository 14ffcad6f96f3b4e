use super::{Group, ScheduleError, Scheduler};
use serde_json::Value;

/// One scheduler after the other, each from the base rates on.
///
/// As PyTorch's, but nothing of a scheduler takes effect before its turn: in
/// PyTorch, a `OneCycleLR` in the list changes base rates and momentum from
/// the very beginning.
#[derive(Debug)]
pub struct Sequential {
    /// With the step at which each begins.
    parts: Vec<(u64, Box<dyn Scheduler>)>,
}

impl Sequential {
    /// Begins with this one.
    pub fn new(first: impl Scheduler + 'static) -> Self {
        Self {
            parts: vec![(0, Box::new(first))],
        }
    }

    /// Goes over to this one at a step, PyTorch's milestone, which counts as
    /// its step 0.
    pub fn then(mut self, milestone: u64, next: impl Scheduler + 'static) -> Self {
        self.parts.push((milestone, Box::new(next)));
        self
    }

    /// The one whose turn it is, and the step at which it began.
    fn active(&mut self, step: u64) -> Option<&mut (u64, Box<dyn Scheduler>)> {
        self.parts.iter_mut().rev().find(|(from, _)| *from <= step)
    }
}

impl Scheduler for Sequential {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        let Some((from, scheduler)) = self.active(step) else {
            return;
        };
        if step == *from && step > 0 {
            for group in groups.iter_mut() {
                group.lr = group.base_lr;
            }
        }
        scheduler.update(step - *from, groups);
    }

    fn observe(&mut self, step: u64, metric: f64, groups: &mut [Group]) {
        if let Some((from, scheduler)) = self.active(step) {
            scheduler.observe(step - *from, metric, groups);
        }
    }

    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        for pair in self.parts.windows(2) {
            if let [(first, _), (second, _)] = pair
                && first >= second
            {
                return Err(ScheduleError::Order {
                    what: "milestones",
                    first: *first,
                    second: *second,
                });
            }
        }
        self.parts
            .iter()
            .try_for_each(|(_, part)| part.check(groups))
    }

    fn state(&self) -> Value {
        self.parts.iter().map(|(_, part)| part.state()).collect()
    }

    fn restore(&mut self, state: &Value) -> Result<(), ScheduleError> {
        restore(self.parts.iter_mut().map(|(_, part)| part), state)
    }
}

/// Several schedulers at once: each changes what the one before it gave.
#[derive(Debug)]
pub struct Chained {
    parts: Vec<Box<dyn Scheduler>>,
}

impl Chained {
    /// Begins with this one.
    pub fn new(first: impl Scheduler + 'static) -> Self {
        Self {
            parts: vec![Box::new(first)],
        }
    }

    /// And this one after it.
    pub fn and(mut self, next: impl Scheduler + 'static) -> Self {
        self.parts.push(Box::new(next));
        self
    }
}

impl Scheduler for Chained {
    fn update(&mut self, step: u64, groups: &mut [Group]) {
        for part in &mut self.parts {
            part.update(step, groups);
        }
    }

    fn observe(&mut self, step: u64, metric: f64, groups: &mut [Group]) {
        for part in &mut self.parts {
            part.observe(step, metric, groups);
        }
    }

    fn check(&self, groups: usize) -> Result<(), ScheduleError> {
        self.parts.iter().try_for_each(|part| part.check(groups))
    }

    fn state(&self) -> Value {
        self.parts.iter().map(Scheduler::state).collect()
    }

    fn restore(&mut self, state: &Value) -> Result<(), ScheduleError> {
        restore(self.parts.iter_mut(), state)
    }
}

fn restore<'a>(
    parts: impl ExactSizeIterator<Item = &'a mut Box<dyn Scheduler>>,
    state: &Value,
) -> Result<(), ScheduleError> {
    let states = state.as_array().map_or(&[][..], Vec::as_slice);
    if states.len() != parts.len() {
        return Err(ScheduleError::State(format!(
            "it is of {} schedulers, this one has {}",
            states.len(),
            parts.len()
        )));
    }
    parts
        .zip(states)
        .try_for_each(|(part, state)| part.restore(state))
}
