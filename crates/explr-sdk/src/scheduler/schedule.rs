use super::{Group, Scheduler};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A scheduler at work: it counts the steps and has the groups' rates.
#[derive(Debug)]
pub struct Schedule {
    scheduler: Box<dyn Scheduler>,
    step: u64,
    groups: Vec<Group>,
}

/// Why a schedule can't be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A setting that no schedule can have.
    #[error("the schedule's {what} is {value}: it must be {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Another number of values than there are parameter groups.
    #[error(
        "the schedule has {given} values of {what}, but there are {groups} parameter groups: \
         give one value for all, or one for each"
    )]
    Groups {
        /// The setting.
        what: &'static str,
        /// How many values it has.
        given: usize,
        /// How many groups there are.
        groups: usize,
    },
    /// Steps at which something happens that don't come one after the other.
    #[error("the schedule's {what} {first} and {second} are not in order")]
    Order {
        /// The setting.
        what: &'static str,
        /// A step.
        first: u64,
        /// The one after it.
        second: u64,
    },
    /// The state is one of another schedule.
    #[error("the state is of another schedule: {0}")]
    State(String),
}

/// What a schedule goes on from exactly; see [`Schedule::state`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    step: u64,
    groups: Vec<Group>,
    scheduler: Value,
}

impl Schedule {
    /// Begins a schedule for these parameter groups, and sets their rates of
    /// the first step. `Optimizer::groups` gives those of an optimiser.
    pub fn new(
        scheduler: impl Scheduler + 'static,
        groups: Vec<Group>,
    ) -> Result<Self, ScheduleError> {
        scheduler.check(groups.len())?;
        let mut schedule = Self {
            scheduler: Box::new(scheduler),
            step: 0,
            groups,
        };
        schedule.scheduler.update(0, &mut schedule.groups);
        Ok(schedule)
    }

    /// Goes on to the next step, and gives its rates.
    pub fn step(&mut self) -> &[Group] {
        self.step += 1;
        self.scheduler.update(self.step, &mut self.groups);
        &self.groups
    }

    /// Tells a [`Plateau`](super::Plateau) the metric that it waits for, and
    /// gives the rates after that. For others it changes nothing.
    pub fn observe(&mut self, metric: f64) -> &[Group] {
        self.scheduler.observe(self.step, metric, &mut self.groups);
        &self.groups
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The rates now, in the order of the optimiser's parameter groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What to save in a checkpoint. The settings are not in it: they are in
    /// the code that makes the schedule again.
    pub fn state(&self) -> ScheduleState {
        ScheduleState {
            step: self.step,
            groups: self.groups.clone(),
            scheduler: self.scheduler.state(),
        }
    }

    /// Goes on from a state of a schedule with the same settings. On an error
    /// nothing has changed.
    pub fn restore(&mut self, state: &ScheduleState) -> Result<(), ScheduleError> {
        if state.groups.len() != self.groups.len() {
            return Err(ScheduleError::State(format!(
                "it has {} parameter groups, this one {}",
                state.groups.len(),
                self.groups.len()
            )));
        }
        let before = self.scheduler.state();
        if let Err(error) = self.scheduler.restore(&state.scheduler) {
            // One of several may have taken over its part already.
            self.scheduler.restore(&before)?;
            return Err(error);
        }
        self.step = state.step;
        self.groups.clone_from(&state.groups);
        Ok(())
    }
}

/// The error of a setting, unless it is right.
pub(super) fn require(
    right: bool,
    what: &'static str,
    value: f64,
    expected: &'static str,
) -> Result<(), ScheduleError> {
    if right {
        return Ok(());
    }
    Err(ScheduleError::Setting {
        what,
        value,
        expected,
    })
}

/// A number of steps that is divided by.
pub(super) fn require_steps(what: &'static str, steps: u64) -> Result<(), ScheduleError> {
    require(steps > 0, what, 0.0, "at least 1")
}

/// A factor of rates.
pub(super) fn require_factor(what: &'static str, factor: f64) -> Result<(), ScheduleError> {
    require(
        factor.is_finite() && factor >= 0.0,
        what,
        factor,
        "a number that is not negative",
    )
}
