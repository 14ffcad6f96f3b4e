use super::engine::{Engine, Outcome};
use super::shared::Shared;
use super::ship::RunShip;
use crate::store::RunDir;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two looks at a journal that grows: about one request a second
/// and run, however little is logged at a time.
const TRICKLE: Duration = Duration::from_secs(1);
/// How many runs are open at once. Each holds two files and a buffer.
const OPEN: usize = 32;

/// The runs that go on, shipped in turns: the first one, which is the study's
/// if there is a study, and those that were added.
#[derive(Debug)]
pub(super) struct Fleet {
    shared: Arc<Shared>,
    first: Member,
    /// In the order of their turns.
    open: VecDeque<Member>,
    /// Live runs for which there was no room yet.
    waiting: VecDeque<RunDir>,
    /// Runs of an earlier process, for when no live one waits.
    backlog: VecDeque<RunDir>,
}

/// A run that is open.
#[derive(Debug)]
struct Member {
    ship: RunShip,
    /// It was at the end of its journal a moment ago.
    rest_until: Option<Instant>,
}

impl Member {
    fn new(ship: RunShip) -> Self {
        Self {
            ship,
            rest_until: None,
        }
    }

    fn rests(&self) -> bool {
        self.rest_until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&mut self) {
        self.rest_until = Some(Instant::now() + TRICKLE);
    }
}

impl Fleet {
    pub(super) fn new(shared: Arc<Shared>, first: RunShip) -> Self {
        let fleet = Self {
            shared,
            first: Member::new(first),
            open: VecDeque::new(),
            waiting: VecDeque::new(),
            backlog: VecDeque::new(),
        };
        fleet.shared.show(None, &fleet.first.ship, None);
        fleet
    }

    /// Takes runs in that nobody works on.
    pub(super) fn add_backlog(&mut self, runs: VecDeque<RunDir>) {
        self.backlog.extend(self.shared.take_in(runs));
    }

    /// Gives each run one turn. `CaughtUp` is never the answer.
    ///
    /// With `last`, no journal grows any more: no run rests, and one that has
    /// no more to send is done.
    pub(super) async fn turn(&mut self, engine: &mut Engine, last: bool) -> Outcome {
        self.waiting.extend(self.shared.take_added());
        let mut more = false;
        if last || !self.first.rests() {
            match engine.step(&mut self.first.ship).await {
                Outcome::Sent => more = true,
                Outcome::CaughtUp if last => more = true,
                Outcome::CaughtUp | Outcome::Idle => self.first.rest(),
                trouble => return self.report(engine, trouble),
            }
            self.shared.show(engine.base(), &self.first.ship, None);
        }
        more |= self.open_waiting();
        for _ in 0..self.open.len() {
            let Some(mut member) = self.open.pop_front() else {
                break;
            };
            if !last && member.rests() {
                self.open.push_back(member);
                continue;
            }
            let outcome = engine.step(&mut member.ship).await;
            self.shared.count(&member.ship);
            let run = member.ship.run();
            match outcome {
                Outcome::Sent => more = true,
                Outcome::CaughtUp if last => more = true,
                Outcome::Idle if last || member.ship.is_over() => {
                    self.shared.close(run);
                    // There is room for the next.
                    more = true;
                    continue;
                }
                Outcome::CaughtUp | Outcome::Idle => member.rest(),
                Outcome::Broken(error) if engine.base().is_some() => {
                    self.shared.give_up(run, &error);
                    more = true;
                    continue;
                }
                trouble => {
                    // At the end of the queue it holds up nobody.
                    self.open.push_back(member);
                    return self.report(engine, trouble);
                }
            }
            self.open.push_back(member);
        }
        if more {
            return Outcome::Sent;
        }
        self.make_room();
        Outcome::Idle
    }

    fn report(&self, engine: &Engine, trouble: Outcome) -> Outcome {
        if let Outcome::Later { reason, .. } = &trouble {
            let reason = Some(reason.clone());
            self.shared.show(engine.base(), &self.first.ship, reason);
        }
        trouble
    }

    /// Opens as many runs as there is room for. Tells whether any was.
    fn open_waiting(&mut self) -> bool {
        let before = self.open.len();
        let mut busy = Vec::new();
        while self.open.len() < OPEN
            && let Some(run) = (self.waiting.pop_front()).or_else(|| self.backlog.pop_front())
        {
            match RunShip::open(run.clone(), self.first.ship.server()) {
                Ok(Some(ship)) => self.open.push_back(Member::new(ship)),
                // An `explr sync` that is soon done with it.
                Ok(None) => busy.push(run),
                Err(error) => self.shared.give_up(&run, &error),
            }
        }
        self.waiting.extend(busy);
        self.open.len() > before
    }

    /// Lets the runs that wait take the places of others that have nothing to
    /// send now.
    fn make_room(&mut self) {
        if self.open.len() < OPEN {
            return;
        }
        for _ in 0..self.waiting.len().min(OPEN) {
            let run = self.open.pop_front();
            let run = run.map(|member| member.ship.run().clone());
            self.waiting.extend(run);
        }
    }
}
