//! When a study starts trials and when it ends: pure decisions.

use crate::runner::StopReason;
use explr_protocol::Direction;
use explr_study::TrialState;

/// What a study is to reach, and what it may cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Goals {
    /// Trials in the whole study, failed ones included. None for as many as
    /// the sampler has.
    pub(crate) trials: Option<u64>,
    /// Failed trials at which this command gives up.
    pub(crate) max_fail: Option<u64>,
    /// Value of the first objective that is good enough.
    pub(crate) stop_at: Option<f64>,
}

/// Why a study came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has the trials that it was to have.
    Enough,
    /// The sampler has nothing left to try.
    Exhausted,
    /// An objective value was good enough.
    Goal,
    /// The time was up.
    Timeout,
    /// Too many trials failed.
    FailureBudget,
    /// Someone stopped it.
    Stopped(StopReason),
}

/// Counts what happens and decides what follows from it.
#[derive(Debug)]
pub(crate) struct Ledger {
    goals: Goals,
    direction: Direction,
    finished: u64,
    running: u64,
    failed_now: u64,
    end: Option<End>,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Enough => f.write_str("enough"),
            Self::Exhausted => f.write_str("exhausted"),
            Self::Goal => f.write_str("goal"),
            Self::Timeout => f.write_str("timeout"),
            Self::FailureBudget => f.write_str("failure_budget"),
            Self::Stopped(_) => f.write_str("stopped"),
        }
    }
}

impl Ledger {
    /// `finished` trials are in the study already.
    pub(crate) fn new(goals: Goals, direction: Direction, finished: u64) -> Self {
        Self {
            goals,
            direction,
            finished,
            running: 0,
            failed_now: 0,
            end: None,
        }
    }

    /// Whether another trial is to be started.
    pub(crate) fn wants_more(&self) -> bool {
        self.end.is_none()
            && self
                .goals
                .trials
                .is_none_or(|total| self.finished + self.running < total)
    }

    /// Trials of the whole study, once it is done.
    pub(crate) fn total(&self) -> Option<u64> {
        self.goals.trials
    }

    pub(crate) fn started(&mut self) {
        self.running += 1;
    }

    /// A trial is over. `value` is its first objective.
    pub(crate) fn finished(&mut self, state: TrialState, value: Option<f64>) {
        self.running -= 1;
        if !state.is_finished() {
            return;
        }
        self.finished += 1;
        if state == TrialState::Failed {
            self.failed_now += 1;
            if self
                .goals
                .max_fail
                .is_some_and(|most| self.failed_now >= most)
            {
                self.end.get_or_insert(End::FailureBudget);
            }
        }
        let reached = |value: f64, goal: f64| match self.direction {
            Direction::Minimize => value <= goal,
            Direction::Maximize => value >= goal,
        };
        if let (TrialState::Complete, Some(value), Some(goal)) = (state, value, self.goals.stop_at)
            && reached(value, goal)
        {
            self.end.get_or_insert(End::Goal);
        }
    }

    /// Something else ends the study. What came first counts.
    pub(crate) fn end_with(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Why the study ends, if something ends it before its trials are done.
    pub(crate) fn early_end(&self) -> Option<End> {
        self.end
    }

    /// Failed trials of this command, when they are within a budget that was
    /// given.
    pub(crate) fn failures_are_budgeted(&self) -> bool {
        self.goals
            .max_fail
            .is_some_and(|most| self.failed_now < most)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Goals, Ledger};
    use explr_protocol::Direction;
    use explr_study::TrialState::{Complete, Failed, Pruned, Waiting};

    fn ledger(goals: Goals, finished: u64) -> Ledger {
        Ledger::new(goals, Direction::Maximize, finished)
    }

    #[test]
    fn the_total_counts_what_was_there_before_and_what_runs() {
        let goals = Goals {
            trials: Some(5),
            ..Goals::default()
        };
        let mut ledger = ledger(goals, 3);
        for _ in 0..2 {
            assert!(ledger.wants_more());
            ledger.started();
        }
        assert!(!ledger.wants_more());
        ledger.finished(Waiting, None);
        assert!(ledger.wants_more(), "an interrupted trial is still to come");
        ledger.started();
        ledger.finished(Pruned, None);
        ledger.finished(Failed, None);
        assert!(!ledger.wants_more());
        assert_eq!(ledger.early_end(), None);
    }

    #[test]
    fn the_failure_that_uses_the_budget_up_ends_the_study() {
        let goals = Goals {
            max_fail: Some(2),
            ..Goals::default()
        };
        let mut ledger = ledger(goals, 0);
        for end in [None, Some(End::FailureBudget)] {
            ledger.started();
            ledger.finished(Failed, None);
            assert_eq!(ledger.early_end(), end);
        }
        assert!(!ledger.wants_more());
        assert!(!ledger.failures_are_budgeted());
    }

    #[test]
    fn a_good_value_ends_the_study_and_a_pruned_one_does_not() {
        let goals = Goals {
            stop_at: Some(0.9),
            ..Goals::default()
        };
        let mut ledger = ledger(goals, 0);
        for (state, value, end) in [
            (Complete, 0.8, None),
            (Pruned, 0.99, None),
            (Complete, 0.9, Some(End::Goal)),
        ] {
            ledger.started();
            ledger.finished(state, Some(value));
            assert_eq!(ledger.early_end(), end);
        }
    }

    #[test]
    fn what_ends_a_study_first_counts() {
        let mut ledger = ledger(Goals::default(), 0);
        ledger.end_with(End::Timeout);
        ledger.end_with(End::Exhausted);
        assert_eq!(ledger.early_end(), Some(End::Timeout));
    }
}
