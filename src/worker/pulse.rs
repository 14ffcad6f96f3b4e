//! Tells the orchestrator that the worker lives and how far it is.
//!
//! A thread of its own, so that the train function never waits for whoever
//! reads the other end.

use super::host::Host;
use explr_protocol::control::FromWorker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_secs(1);
const REFRESH: Duration = Duration::from_millis(100);

/// The running thread.
pub(crate) struct Pulse {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pulse {
    /// Sends what is left and ends the thread.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// Starts sending what changes in `host`.
pub(crate) fn start(host: Arc<Host>) -> Pulse {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut beaten = None::<Instant>;
        loop {
            let last_round = stopped.load(Ordering::Relaxed);
            for message in host.take_news() {
                host.send(message);
            }
            if beaten.is_none_or(|at| at.elapsed() >= BEAT) {
                host.send(FromWorker::Heartbeat);
                beaten = Some(Instant::now());
            }
            if last_round {
                break;
            }
            std::thread::park_timeout(REFRESH);
        }
    });
    Pulse { stop, thread }
}
