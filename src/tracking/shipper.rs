use super::engine::{Engine, Outcome};
use super::fleet::Fleet;
use super::others::{LeftBehind, Others};
use super::shared::Shared;
use super::ship::RunShip;
use super::status::{Report, Status};
use super::{Settings, TrackingError};
use crate::config::Mlflow;
use crate::store::{RunDir, RunId, Store};
use serde::Deserialize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pause between two looks at whether there are new runs, or more of old ones.
const LOOK: Duration = Duration::from_millis(250);
/// Longest pause before a server is tried again at the end of a run.
const IMPATIENT: Duration = Duration::from_secs(2);
/// How often whoever waits for the end is told how it goes.
const PROGRESS: Duration = Duration::from_millis(50);
/// How long the end of a run waits for a server that doesn't answer.
const OUT_OF_REACH: Duration = Duration::from_secs(15);
/// How long the end of a run ships what other runs left behind.
const OTHERS: Duration = Duration::from_secs(10);

/// Ships runs while they go on, in a thread of its own: one, or a study and
/// its trials.
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
    /// The runs go on.
    Live,
    /// The runs have ended: ship the rest.
    Finish,
    /// Leave off.
    Stop,
}

impl Shipper {
    /// Ships this run's journal while it grows, and then what other runs of
    /// the store left behind. Starts the server if need be; returns at once.
    ///
    /// For a study this is the study's own run. It is served first, because
    /// its trials are nested under it.
    pub fn start(settings: Settings, store: Store, run: RunDir) -> Self {
        let shared = Arc::new(Shared::new(&run));
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
            shared.fail(format!("no thread for tracking: {error}"));
            shared.done();
        }
        Self {
            shared,
            phase,
            thread: thread.ok(),
        }
    }

    /// Ships one more run while its journal grows, at any time before
    /// [`finish`](Self::finish); one that goes on after its end may be added
    /// again. Returns at once.
    ///
    /// The run should be locked as long as it goes on: one with a final state
    /// that nobody has locked is done with, once all of it is at the server.
    pub fn add(&self, run: RunDir) {
        self.shared.enqueue(run);
    }

    /// How it stands, over all runs.
    pub fn status(&self) -> Status {
        self.shared.status()
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
        while !self.shared.is_done() && Instant::now() < until {
            if on_progress(&self.status()).is_break() {
                break;
            }
            std::thread::sleep(PROGRESS.min(until.saturating_duration_since(Instant::now())));
        }
        self.stop();
        let (status, report) = self.shared.report();
        let _ = on_progress(&status);
        report
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
                self.shared.fail(error.to_string());
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
            Err(error) => self.shared.fail(error.to_string()),
        }
        self.shared.done();
    }

    async fn work(&self, phase: &mut watch::Receiver<Phase>) -> Result<(), TrackingError> {
        let server = self.settings.identity()?;
        self.shared.known_as(&server);
        let Some(first) = RunShip::open(self.run.clone(), &server)? else {
            return Err(TrackingError::Busy {
                run: self.run.id().short().to_owned(),
            });
        };
        let mut engine = Engine::new(self.settings.clone());
        let mut fleet = Fleet::new(Arc::clone(&self.shared), first);
        let mut others = None;
        loop {
            // Asked before the journals are: their end is the end.
            let finishing = *phase.borrow() == Phase::Finish;
            match fleet.turn(&mut engine, finishing).await {
                Outcome::Sent | Outcome::CaughtUp => {}
                Outcome::Idle => {
                    let Some(others) = &mut others else {
                        let left = self.left_behind(&server);
                        fleet.add_backlog(left.of_study);
                        others = Some(Others::new(&server, left.of_others));
                        continue;
                    };
                    let time = if finishing { OTHERS } else { LOOK };
                    ship_others(&mut engine, others, phase, time).await;
                    if finishing {
                        return Ok(());
                    }
                }
                Outcome::Later { pause: time, .. } => {
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

    fn left_behind(&self, server: &str) -> LeftBehind {
        let is_ours = |run: &RunId| self.shared.holds(run);
        LeftBehind::find(&self.store, &self.settings, server, self.run.id(), is_ours)
    }
}

/// Ships what others left until it is time to look after our own runs again.
async fn ship_others(
    engine: &mut Engine,
    others: &mut Others,
    phase: &mut watch::Receiver<Phase>,
    time: Duration,
) {
    let before = *phase.borrow();
    let until = Instant::now() + time;
    while Instant::now() < until && *phase.borrow() == before {
        if !others.step(engine).await {
            if before == Phase::Live {
                pause(phase, until.saturating_duration_since(Instant::now())).await;
            }
            return;
        }
    }
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

/// The MLflow settings in a stored config.
pub(super) fn mlflow_of(config: &serde_json::Value) -> Mlflow {
    let stored = &config["mlflow"];
    Mlflow::deserialize(stored).unwrap_or_else(|_| Mlflow {
        // `mlflow: off`, in whichever way it is written.
        enabled: stored.is_null() || stored.as_bool() == Some(true),
        ..Mlflow::default()
    })
}
