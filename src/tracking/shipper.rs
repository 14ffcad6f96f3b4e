use super::cursor::Cursor;
use super::engine::{Engine, Outcome};
use super::ship::RunShip;
use super::status::{Report, ServerStatus, Status};
use super::{Settings, TrackingError};
use crate::config::Mlflow;
use crate::store::{RunDir, Store};
use serde::Deserialize;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pause between two looks at a journal that grows: about one request a second
/// however little is logged at a time.
const TRICKLE: Duration = Duration::from_secs(1);
/// Longest pause before a server is tried again at the end of a run.
const IMPATIENT: Duration = Duration::from_secs(2);
/// How often whoever waits for the end is told how it goes.
const PROGRESS: Duration = Duration::from_millis(50);
/// How long the end of a run waits for a server that doesn't answer.
const OUT_OF_REACH: Duration = Duration::from_secs(15);
/// How long the end of a run ships what other runs left behind.
const OTHERS: Duration = Duration::from_secs(10);

/// Ships a run while it goes on, in a thread of its own.
///
/// Nothing here ever waits for it except [`finish`](Self::finish). Dropped, it
/// stops at once; the cursor lets `explr sync` go on from there.
#[derive(Debug)]
pub struct Shipper {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The run goes on.
    Live,
    /// The run has ended: ship the rest.
    Finish,
    /// Leave off.
    Stop,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    set_aside: u64,
    /// Why this run can't be shipped.
    error: Option<String>,
    /// Nothing more will be sent.
    done: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shipper {
    /// Ships this run's journal while it grows, and then what other runs of
    /// the store left behind. Starts the server if need be; returns at once.
    pub fn start(settings: Settings, store: Store, run: RunDir) -> Self {
        let shared = Arc::new(Shared::default());
        let (phase, receiver) = watch::channel(Phase::Live);
        let worker = Worker {
            shared: Arc::clone(&shared),
            settings,
            store,
            run,
        };
        let thread = std::thread::Builder::new()
            .name("mlflow".to_owned())
            .spawn(move || worker.run(receiver));
        if let Err(error) = &thread {
            let mut state = shared.lock();
            state.error = Some(format!("no thread for tracking: {error}"));
            state.done = true;
        }
        Self {
            shared,
            phase,
            thread: thread.ok(),
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// Waits until all is shipped, or `limit` has passed, or the server proves
    /// to be out of reach, or `on_progress` has had enough.
    pub fn finish(
        mut self,
        limit: Duration,
        mut on_progress: impl FnMut(&Status) -> ControlFlow<()>,
    ) -> Report {
        let until = Instant::now() + limit;
        let _ = self.phase.send(Phase::Finish);
        while !self.shared.lock().done && Instant::now() < until {
            if on_progress(&self.status()).is_break() {
                break;
            }
            std::thread::sleep(PROGRESS.min(until.saturating_duration_since(Instant::now())));
        }
        self.stop();
        let state = self.shared.lock();
        let _ = on_progress(&state.status);
        let left = state.status.total - state.status.shipped;
        let down = match &state.status.server {
            ServerStatus::Down { reason } => Some(reason.clone()),
            ServerStatus::Starting => Some("the server has not answered yet".to_owned()),
            ServerStatus::Up { .. } => Some("the time for it was over".to_owned()),
        };
        Report {
            left,
            set_aside: state.set_aside,
            run_url: state.status.run_url.clone(),
            error: state.error.clone().or(down.filter(|_| left > 0)),
        }
    }

    fn stop(&mut self) {
        let _ = self.phase.send(Phase::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread does.
struct Worker {
    shared: Arc<Shared>,
    settings: Settings,
    store: Store,
    run: RunDir,
}

impl Worker {
    fn run(self, mut phase: watch::Receiver<Phase>) {
        let mut stop = phase.clone();
        let work = async {
            if let Err(error) = self.work(&mut phase).await {
                self.fail(&error);
            }
        };
        match runtime() {
            // A request that is under way is dropped: it will be repeated.
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stop.wait_for(|phase| *phase == Phase::Stop) => {}
                }
            }),
            Err(error) => self.fail(&error),
        }
        self.shared.lock().done = true;
    }

    async fn work(&self, phase: &mut watch::Receiver<Phase>) -> Result<(), TrackingError> {
        let server = self.settings.identity()?;
        let Some(mut own) = RunShip::open(self.run.clone(), &server)? else {
            return Err(TrackingError::Busy {
                run: self.run.id().short().to_owned(),
            });
        };
        let mut engine = Engine::new(self.settings.clone());
        self.show(&engine, &own, None);
        let mut others: Option<VecDeque<RunDir>> = None;
        let mut other: Option<RunShip> = None;
        let mut finished: Option<Instant> = None;
        loop {
            let finishing = *phase.borrow() == Phase::Finish;
            let outcome = engine.step(&mut own).await;
            match outcome {
                Outcome::Sent => self.show(&engine, &own, None),
                Outcome::CaughtUp if finishing => self.show(&engine, &own, None),
                // To look again at once would make a request of every metric.
                Outcome::CaughtUp | Outcome::Idle => {
                    self.show(&engine, &own, None);
                    // `finishing` was asked before the journal was: its end is
                    // the end.
                    if finishing {
                        let since = *finished.get_or_insert_with(Instant::now);
                        if since.elapsed() > OTHERS {
                            return Ok(());
                        }
                    }
                    let left = others.get_or_insert_with(|| self.left_behind(&server));
                    match self
                        .ship_other(&mut engine, &server, left, &mut other)
                        .await
                    {
                        Others::More => {}
                        Others::None if finishing => return Ok(()),
                        Others::None => pause(phase, TRICKLE).await,
                    }
                }
                Outcome::Later {
                    pause: time,
                    reason,
                } => {
                    self.show(&engine, &own, Some(reason));
                    let hopeless = engine.down_for().is_some_and(|time| time > OUT_OF_REACH);
                    if finishing && hopeless {
                        return Ok(());
                    }
                    let impatient = finishing && engine.down_for().is_some();
                    let time = if impatient { time.min(IMPATIENT) } else { time };
                    pause(phase, time).await;
                }
                Outcome::Broken(error) => return Err(error),
            }
        }
    }

    /// One step for the runs that others left.
    async fn ship_other(
        &self,
        engine: &mut Engine,
        server: &str,
        left: &mut VecDeque<RunDir>,
        current: &mut Option<RunShip>,
    ) -> Others {
        if current.is_none() {
            let Some(run) = left.pop_front() else {
                return Others::None;
            };
            // One that can't be opened is for `explr sync` to complain about.
            *current = RunShip::open(run, server).ok().flatten();
        }
        let Some(ship) = current else {
            return Others::More;
        };
        match engine.step(ship).await {
            Outcome::Sent | Outcome::CaughtUp => {}
            Outcome::Idle | Outcome::Broken(_) => *current = None,
            // The server has trouble; our own run will notice.
            Outcome::Later { .. } => {
                left.extend(current.take().map(|ship| ship.run().clone()));
                return Others::None;
            }
        }
        Others::More
    }

    /// The other runs of the store that were meant for this server, and are
    /// not all there, and that no process works on.
    fn left_behind(&self, server: &str) -> VecDeque<RunDir> {
        // First, they end: what nobody works on any more is not running (P3).
        let _ = self.store.reconcile();
        let runs = self.store.runs().unwrap_or_default();
        runs.into_iter()
            .filter(|run| run.id() != self.run.id())
            .filter(|run| !run.is_locked().unwrap_or(true))
            .filter(|run| is_left_behind(run, server, &self.settings))
            .collect()
    }

    fn show(&self, engine: &Engine, ship: &RunShip, trouble: Option<String>) {
        let total = ship.total();
        let mut state = self.shared.lock();
        state.set_aside = ship.set_aside();
        let status = &mut state.status;
        status.shipped = ship.shipped();
        status.total = total;
        if let Some(base) = engine.base() {
            status.run_url = ship.url(base).or(status.run_url.take());
        }
        status.server = match (trouble, engine.base()) {
            (Some(reason), _) => ServerStatus::Down { reason },
            (None, Some(url)) => ServerStatus::Up {
                url: url.to_owned(),
            },
            (None, None) => ServerStatus::Starting,
        };
        status.warnings = ship.warnings().cloned().collect();
    }

    fn fail(&self, error: &TrackingError) {
        let reason = error.to_string();
        let total = super::journal_records(&self.run);
        let mut state = self.shared.lock();
        state.status.total = total.max(state.status.shipped);
        state.status.server = ServerStatus::Down {
            reason: reason.clone(),
        };
        state.error = Some(reason);
    }
}

/// Whether there is something of other runs to send.
enum Others {
    More,
    None,
}

/// Waits, but not past the end of the run.
async fn pause(phase: &mut watch::Receiver<Phase>, time: Duration) {
    let before = *phase.borrow();
    let _ = tokio::time::timeout(time, phase.wait_for(|now| *now != before)).await;
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, TrackingError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| TrackingError::Client(error.to_string()))
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

/// The MLflow settings in a stored config.
pub(super) fn mlflow_of(config: &serde_json::Value) -> Mlflow {
    let stored = &config["mlflow"];
    Mlflow::deserialize(stored).unwrap_or_else(|_| Mlflow {
        // `mlflow: off`, in whichever way it is written.
        enabled: stored.is_null() || stored.as_bool() == Some(true),
        ..Mlflow::default()
    })
}
