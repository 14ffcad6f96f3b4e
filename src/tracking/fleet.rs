use super::engine::{Engine, Outcome};
use super::shared::Shared;
use super::ship::RunShip;
use crate::store::RunDir;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many runs are open at once. Each holds two files and a buffer.
const OPEN: usize = 32;

/// The runs that go on, shipped in turns: the first one, which is the study's
/// if there is a study, and those that were added.
#[derive(Debug)]
pub(super) struct Fleet {
    shared: Arc<Shared>,
    first: RunShip,
    /// In the order of their turns.
    open: VecDeque<RunShip>,
    /// Live runs for which there was no room yet.
    waiting: VecDeque<RunDir>,
    /// Runs of an earlier process, for when no live one waits.
    backlog: VecDeque<RunDir>,
}

impl Fleet {
    pub(super) fn new(shared: Arc<Shared>, first: RunShip) -> Self {
        let fleet = Self {
            shared,
            first,
            open: VecDeque::new(),
            waiting: VecDeque::new(),
            backlog: VecDeque::new(),
        };
        fleet.shared.show(None, &fleet.first, None);
        fleet
    }

    /// Takes runs in that nobody works on.
    pub(super) fn add_backlog(&mut self, runs: VecDeque<RunDir>) {
        self.backlog.extend(self.shared.take_in(runs));
    }

    /// Gives each run one turn. `CaughtUp` is never the answer.
    ///
    /// With `last`, no journal grows any more: a run that has no more to send
    /// is done.
    pub(super) async fn turn(&mut self, engine: &mut Engine, last: bool) -> Outcome {
        self.waiting.extend(self.shared.take_added());
        let mut more = match engine.step(&mut self.first).await {
            Outcome::Sent => true,
            Outcome::CaughtUp => last,
            Outcome::Idle => false,
            trouble => return self.report(engine, trouble),
        };
        self.shared.show(engine.base(), &self.first, None);
        more |= self.open_waiting();
        for _ in 0..self.open.len() {
            let Some(mut ship) = self.open.pop_front() else {
                break;
            };
            let outcome = engine.step(&mut ship).await;
            self.shared.count(&ship);
            match outcome {
                Outcome::Sent => more = true,
                Outcome::CaughtUp => more |= last,
                Outcome::Idle if last || ship.is_over() => {
                    self.shared.close(ship.run());
                    // There is room for the next.
                    more = true;
                    continue;
                }
                Outcome::Idle => {}
                Outcome::Broken(error) if engine.base().is_some() => {
                    self.shared.give_up(ship.run(), &error);
                    more = true;
                    continue;
                }
                trouble => {
                    // At the end of the queue it holds up nobody.
                    self.open.push_back(ship);
                    return self.report(engine, trouble);
                }
            }
            self.open.push_back(ship);
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
            self.shared.show(engine.base(), &self.first, reason);
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
            match RunShip::open(run.clone(), self.first.server()) {
                Ok(Some(ship)) => self.open.push_back(ship),
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
            let run = self.open.pop_front().map(|ship| ship.run().clone());
            self.waiting.extend(run);
        }
    }
}
