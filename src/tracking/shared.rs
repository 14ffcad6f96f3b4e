use super::ship::RunShip;
use super::status::{Report, ServerStatus, Status};
use super::tally::{Count, Tally};
use super::{TrackingError, journal_records};
use crate::store::{RunDir, RunId};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Different warnings that are kept.
const WARNINGS: usize = 20;

/// What a [`Shipper`](super::Shipper) and its thread have in common. No lock
/// is held while anything is waited for.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Added, and not seen by the thread yet.
    added: Vec<RunDir>,
    tally: Tally,
    /// What cursors call the server, once it is known.
    server_identity: Option<String>,
    server: ServerStatus,
    run_url: Option<String>,
    warnings: BTreeSet<String>,
    /// Why a run can't be shipped.
    error: Option<String>,
    /// Nothing more will be sent.
    done: bool,
}

impl Shared {
    pub(super) fn new(first: &RunDir) -> Self {
        let mut state = State::default();
        state.tally.add(first, journal_records(first));
        Self {
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enqueue(&self, run: RunDir) {
        self.lock().added.push(run);
    }

    /// The runs that were enqueued since, but for those that are being shipped
    /// already.
    pub(super) fn take_added(&self) -> Vec<RunDir> {
        let added = std::mem::take(&mut self.lock().added);
        self.take_in(added)
    }

    /// Those of the runs that are not being shipped already.
    pub(super) fn take_in<T>(&self, runs: T) -> T
    where
        T: IntoIterator<Item = RunDir> + FromIterator<RunDir>,
    {
        let is_new = |run: &RunDir| {
            let records = journal_records(run);
            self.lock().tally.add(run, records)
        };
        runs.into_iter().filter(is_new).collect()
    }

    /// Whether a run is among those to ship.
    pub(super) fn holds(&self, run: &RunId) -> bool {
        let state = self.lock();
        state.tally.holds(run) || state.added.iter().any(|added| added.id() == run)
    }

    pub(super) fn known_as(&self, server: &str) {
        self.lock().server_identity = Some(server.to_owned());
    }

    /// How the server stands, after a step of the first run.
    pub(super) fn show(&self, base: Option<&str>, first: &RunShip, trouble: Option<String>) {
        self.count(first);
        let mut state = self.lock();
        if let Some(base) = base {
            state.run_url = first.url(base).or(state.run_url.take());
        }
        state.server = match (trouble, base) {
            (Some(reason), _) => ServerStatus::Down { reason },
            (None, Some(url)) => ServerStatus::Up {
                url: url.to_owned(),
            },
            (None, None) => ServerStatus::Starting,
        };
    }

    /// How far a run is.
    pub(super) fn count(&self, ship: &RunShip) {
        let count = Count {
            shipped: ship.shipped(),
            total: ship.total(),
            set_aside: ship.set_aside(),
        };
        let mut state = self.lock();
        state.tally.set(ship.run(), count);
        for warning in ship.warnings() {
            state.warn(warning);
        }
    }

    /// All of a run is at the server.
    pub(super) fn close(&self, run: &RunDir) {
        self.lock().tally.close(run);
    }

    /// One run can't be shipped; the others can.
    pub(super) fn give_up(&self, run: &RunDir, error: &TrackingError) {
        let text = format!("run {}: {error}", run.id().short());
        let mut state = self.lock();
        state.warn(&text);
        state.error.get_or_insert(text);
    }

    /// Nothing can be shipped.
    pub(super) fn fail(&self, reason: String) {
        let mut state = self.lock();
        state.server = ServerStatus::Down {
            reason: reason.clone(),
        };
        state.error = Some(reason);
    }

    pub(super) fn done(&self) {
        self.lock().done = true;
    }

    pub(super) fn is_done(&self) -> bool {
        self.lock().done
    }

    pub(super) fn status(&self) -> Status {
        self.lock().status()
    }

    /// How it ended. To be asked when the thread is gone: counts what is left
    /// in the files themselves.
    pub(super) fn report(&self) -> (Status, Report) {
        let mut state = self.lock();
        for run in std::mem::take(&mut state.added) {
            state.tally.add(&run, 0);
        }
        let server = state.server_identity.take();
        state.tally.recount(server.as_deref());
        let (status, sum) = (state.status(), state.tally.sum());
        let left = sum.total - sum.shipped;
        let down = match &state.server {
            ServerStatus::Down { reason } => reason.clone(),
            ServerStatus::Starting => "the server has not answered yet".to_owned(),
            ServerStatus::Up { .. } => "the time for it was over".to_owned(),
        };
        let report = Report {
            left,
            set_aside: sum.set_aside,
            run_url: status.run_url.clone(),
            error: state.error.clone().or(Some(down).filter(|_| left > 0)),
        };
        (status, report)
    }
}

impl State {
    fn status(&self) -> Status {
        let sum = self.tally.sum();
        Status {
            server: self.server.clone(),
            run_url: self.run_url.clone(),
            shipped: sum.shipped,
            total: sum.total,
            warnings: self.warnings.iter().cloned().collect(),
        }
    }

    fn warn(&mut self, text: &str) {
        if self.warnings.len() < WARNINGS && !self.warnings.contains(text) {
            self.warnings.insert(text.to_owned());
        }
    }
}
