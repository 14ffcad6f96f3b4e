//! When a worker has had its time: pure decisions over instants.

use std::fmt;
use std::time::{Duration, Instant};

/// How long a worker that has delivered its outcome may take to exit.
const FAREWELL: Duration = Duration::from_secs(5);

/// The limits of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Longest time for the whole attempt.
    pub(crate) wall: Option<Duration>,
    /// Longest silence on the control socket.
    pub(crate) heartbeat: Duration,
    /// Longest time without a metric, a log line or a progress report.
    pub(crate) progress: Option<Duration>,
    /// From the request to stop to SIGKILL.
    pub(crate) grace: Duration,
}

/// A limit that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Wall(Duration),
    Heartbeat(Duration),
    Progress(Duration),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Wall(limit) => write!(f, "ran longer than {limit:?} (worker.timeout)"),
            Self::Heartbeat(limit) => write!(
                f,
                "gave no sign of life for {limit:?} (worker.heartbeat_timeout)"
            ),
            Self::Progress(limit) => write!(
                f,
                "made no progress for {limit:?} (worker.progress_timeout)"
            ),
        }
    }
}

/// What is to be done to a worker now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask it to stop, because a limit was passed.
    Ask(Limit),
    /// End its process group.
    Kill,
}

/// Watches one attempt.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Limits,
    began: Instant,
    sign_of_life: Instant,
    progress: Instant,
    asked: Option<Instant>,
    finished: Option<Instant>,
    killed: bool,
}

impl Watch {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            began: now,
            sign_of_life: now,
            progress: now,
            asked: None,
            finished: None,
            killed: false,
        }
    }

    /// The worker said something.
    pub(crate) fn saw_life(&mut self, now: Instant) {
        self.sign_of_life = now;
    }

    /// For how long the worker has said nothing.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sign_of_life)
    }

    /// The train function got further.
    pub(crate) fn saw_progress(&mut self, now: Instant) {
        self.progress = now;
    }

    /// The outcome is here.
    pub(crate) fn saw_outcome(&mut self, now: Instant) {
        self.finished.get_or_insert(now);
    }

    /// The worker has been asked to stop.
    pub(crate) fn asked_to_stop(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// The next instant at which [`Watch::due`] may have something to say.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        if self.killed {
            return None;
        }
        self.deadlines().into_iter().map(|(at, _)| at).min()
    }

    /// What is to be done now. Every action is given once.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Action> {
        if self.killed {
            return None;
        }
        let (_, action) = self
            .deadlines()
            .into_iter()
            .filter(|(at, _)| *at <= now)
            .min_by_key(|(at, _)| *at)?;
        match action {
            Action::Ask(_) => self.asked_to_stop(now),
            Action::Kill => self.killed = true,
        }
        Some(action)
    }

    fn deadlines(&self) -> Vec<(Instant, Action)> {
        if let Some(finished) = self.finished {
            return vec![(finished + FAREWELL, Action::Kill)];
        }
        if let Some(asked) = self.asked {
            return vec![(asked + self.limits.grace, Action::Kill)];
        }
        let limits = &self.limits;
        let heartbeat = Limit::Heartbeat(limits.heartbeat);
        let mut deadlines = vec![(self.sign_of_life + limits.heartbeat, Action::Ask(heartbeat))];
        if let Some(wall) = limits.wall {
            deadlines.push((self.began + wall, Action::Ask(Limit::Wall(wall))));
        }
        if let Some(progress) = limits.progress {
            let limit = Limit::Progress(progress);
            deadlines.push((self.progress + progress, Action::Ask(limit)));
        }
        deadlines
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Limit, Limits, Watch};
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    fn watch(begin: Instant) -> Watch {
        let limits = Limits {
            wall: Some(100 * SECOND),
            heartbeat: 10 * SECOND,
            progress: Some(30 * SECOND),
            grace: 5 * SECOND,
        };
        Watch::new(limits, begin)
    }

    #[test]
    fn a_silent_worker_is_asked_and_then_killed() {
        let begin = Instant::now();
        let mut watch = watch(begin);
        assert_eq!(watch.due(begin + 9 * SECOND), None);
        assert_eq!(watch.next_look(), Some(begin + 10 * SECOND));
        let silent = begin + 11 * SECOND;
        let heartbeat = Action::Ask(Limit::Heartbeat(10 * SECOND));
        assert_eq!(watch.due(silent), Some(heartbeat));
        assert_eq!(watch.due(silent + 4 * SECOND), None);
        assert_eq!(watch.due(silent + 5 * SECOND), Some(Action::Kill));
        assert_eq!(watch.due(silent + 50 * SECOND), None);
        assert_eq!(watch.next_look(), None);
    }

    #[test]
    fn a_heartbeat_is_no_progress() {
        let begin = Instant::now();
        let mut watch = watch(begin);
        for second in 0..30 {
            watch.saw_life(begin + second * SECOND);
        }
        let progress = Action::Ask(Limit::Progress(30 * SECOND));
        assert_eq!(watch.due(begin + 30 * SECOND), Some(progress));
    }

    #[test]
    fn the_wall_limit_holds_for_a_lively_worker() {
        let begin = Instant::now();
        let mut watch = watch(begin);
        watch.saw_life(begin + 99 * SECOND);
        watch.saw_progress(begin + 99 * SECOND);
        assert_eq!(watch.due(begin + 99 * SECOND), None);
        let wall = Action::Ask(Limit::Wall(100 * SECOND));
        assert_eq!(watch.due(begin + 100 * SECOND), Some(wall));
    }

    #[test]
    fn a_worker_with_an_outcome_has_no_limit_but_the_farewell() {
        let begin = Instant::now();
        let mut watch = watch(begin);
        watch.saw_outcome(begin + SECOND);
        assert_eq!(watch.due(begin + 5 * SECOND), None);
        assert_eq!(watch.due(begin + 6 * SECOND), Some(Action::Kill));
    }

    #[test]
    fn asking_again_does_not_extend_the_grace() {
        let begin = Instant::now();
        let mut watch = watch(begin);
        watch.asked_to_stop(begin);
        watch.asked_to_stop(begin + 4 * SECOND);
        assert_eq!(watch.due(begin + 5 * SECOND), Some(Action::Kill));
    }
}
