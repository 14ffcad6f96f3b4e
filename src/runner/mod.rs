//! The orchestrator: takes a configuration, starts workers, sees them
//! through, and decides what their end means.
//!
//! A [`Request`] becomes a `Plan` (what runs, on what, from which code), the
//! plan a run in the store, and the run one or more attempts, each a worker
//! process under supervision. What happens goes out as
//! [`RunEvent`]s; what it means comes back as a
//! [`RunOutcome`]. Decisions are pure functions ([`limits`], [`classify`]);
//! effects are at the edges ([`spawn`], [`output`]).
//!
//! Promises kept here: nothing survives the orchestrator (P5), a worker that
//! dies takes nobody with it and its end has a name (P6), a rerun continues
//! what was interrupted.

mod attempt;
mod classify;
mod command;
mod error;
mod in_process;
mod job;
mod launch;
mod libtorch;
mod limits;
mod oom;
mod outcome;
mod output;
mod plan;
mod plugin_crate;
mod provenance;
mod python;
mod resources;
mod resume;
mod run;
mod session;
mod spawn;
mod stop;
mod template;

pub use error::RunError;
pub(crate) use libtorch::has_cuda;
pub use libtorch::{PAIRS, Pair, find as find_libtorch};
pub use outcome::RunOutcome;
pub use plan::{Code, Plan, Request};
pub use python::{PythonError, PythonFunction};
pub use resources::Granted;
pub use resume::Resume;
pub use run::run;
pub use stop::{Stop, StopReason};

pub(crate) use attempt::oom_kills;
pub(crate) use classify::by_signal;
pub(crate) use job::Job;
pub(crate) use launch::Launch;
pub(crate) use provenance::Origin;
pub(crate) use resources::{Jobs, Slots, slots};
pub(crate) use run::{NEED_MB, check_space, free_bytes, ship_rest, wait_for_server};
pub(crate) use session::{Company, Session, checkpoints};
pub(crate) use spawn::Spawn;
pub(crate) use stop::StopLevel;
pub(crate) use template::{Loads, Template};

use crate::Error;
use crate::report::RunEvent;
use crate::store::{RunId, Store, StoreError};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where events go.
type Sink<'s> = dyn FnMut(RunEvent) + 's;

/// Marks runs whose explr was killed as interrupted (promise P3), ends what
/// is left of their processes, and returns their ids.
pub fn reconcile(store: &Store) -> Result<Vec<RunId>, StoreError> {
    let crashed = store.reconcile()?;
    for run in &crashed {
        spawn::end_strays(run.as_str());
    }
    Ok(crashed)
}

/// Does `work` on a thread of its own, which lives until it is done: workers
/// are forked there, and the kernel's parent-death signal is tied to the
/// forking thread.
pub(crate) fn on_own_thread<T: Send>(
    work: impl AsyncFnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(RunError::EventLoop)?;
            runtime.block_on(work())
        });
        match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

static WORKERS_ARE_SERVED: AtomicBool = AtomicBool::new(false);

/// This program called [`worker::serve`](crate::worker::serve), so starting it
/// again gives a worker.
pub(crate) fn note_that_workers_are_served() {
    WORKERS_ARE_SERVED.store(true, Ordering::Relaxed);
}

fn workers_are_served() -> bool {
    WORKERS_ARE_SERVED.load(Ordering::Relaxed)
}
