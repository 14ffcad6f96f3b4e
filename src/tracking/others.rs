use super::Settings;
use super::cursor::Cursor;
use super::engine::{Engine, Outcome};
use super::ship::RunShip;
use super::shipper::mlflow_of;
use crate::store::{RunDir, RunId, Store};
use std::collections::VecDeque;

/// What other runs of the store left behind, shipped one run after the other
/// while there is nothing better to do.
#[derive(Debug)]
pub(super) struct Others {
    server: String,
    left: VecDeque<RunDir>,
    current: Option<RunShip>,
}

impl Others {
    pub(super) fn new(server: &str, left: VecDeque<RunDir>) -> Self {
        Self {
            server: server.to_owned(),
            left,
            current: None,
        }
    }

    /// One request's worth. Tells whether there may be more to do now.
    pub(super) async fn step(&mut self, engine: &mut Engine) -> bool {
        if self.current.is_none() {
            let Some(run) = self.left.pop_front() else {
                return false;
            };
            // One that can't be opened is for `explr sync` to complain about.
            self.current = RunShip::open(run, &self.server).ok().flatten();
        }
        let Some(ship) = &mut self.current else {
            return true;
        };
        match engine.step(ship).await {
            Outcome::Sent | Outcome::CaughtUp => {}
            Outcome::Idle | Outcome::Broken(_) => self.current = None,
            // The server has trouble; our own runs will notice.
            Outcome::Later { .. } => {
                let run = self.current.take().map(|ship| ship.run().clone());
                self.left.extend(run);
                return false;
            }
        }
        true
    }
}

/// The runs of the store that were meant for a server, and are not all there,
/// and that no process works on.
#[derive(Debug)]
pub(super) struct LeftBehind {
    /// The trials of our own study.
    pub(super) of_study: VecDeque<RunDir>,
    pub(super) of_others: VecDeque<RunDir>,
}

impl LeftBehind {
    /// Looks through the store, but for the runs that are shipped already.
    pub(super) fn find(
        store: &Store,
        settings: &Settings,
        server: &str,
        study: &RunId,
        is_shipped: impl Fn(&RunId) -> bool,
    ) -> Self {
        // First, they end: what nobody works on any more is not running (P3).
        let _ = store.reconcile();
        let runs = store.runs().unwrap_or_default().into_iter();
        let (of_study, of_others) = runs
            .filter(|run| !is_shipped(run.id()))
            .filter(|run| !run.is_locked().unwrap_or(true))
            .filter(|run| is_left_behind(run, server, settings))
            .partition(|run| {
                let manifest = run.manifest();
                manifest.is_ok_and(|manifest| manifest.parent() == Some(study))
            });
        Self {
            of_study,
            of_others,
        }
    }
}

/// Whether the server lacks something of a run that was meant for it.
fn is_left_behind(run: &RunDir, server: &str, settings: &Settings) -> bool {
    let length = std::fs::metadata(run.journal_path()).map_or(0, |meta| meta.len());
    match Cursor::read(run) {
        Some(cursor) => cursor.is_for(server) && cursor.offset < length,
        None => {
            length > 0
                && run
                    .manifest()
                    .is_ok_and(|manifest| settings.fits(&mlflow_of(&manifest.config)))
        }
    }
}
