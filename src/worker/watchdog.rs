//! The worker's own means to end with its orchestrator.

use super::control::Control;
use super::host::Host;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, getppid};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The signal that the kernel sends when the orchestrator dies. Its default
/// action ends a worker that has not come as far as [`start`].
pub(crate) const PARENT_DEATH_SIGNAL: Signal = Signal::SIGHUP;

const PARENT_CHECK: Duration = Duration::from_millis(250);

static TERMINATED: AtomicBool = AtomicBool::new(false);

/// Starts watching, for the rest of the process's life.
pub(crate) fn start(control: Arc<Control>, host: Arc<Host>) {
    // SAFETY: both handlers only do what is async-signal-safe: a kill system
    // call and an atomic store.
    unsafe {
        let _ = sigaction(PARENT_DEATH_SIGNAL, &action(on_parent_death));
        let _ = sigaction(Signal::SIGTERM, &action(on_terminate));
        // Ctrl-C in the terminal is the orchestrator's to hear, and a journal
        // that may not grow is an error of its write, not the worker's end.
        for ignored in [Signal::SIGINT, Signal::SIGXFSZ] {
            let _ = sigaction(
                ignored,
                &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty()),
            );
        }
    }
    let parent = getppid();
    let listener = Arc::clone(&host);
    std::thread::spawn(move || {
        control.listen(&listener);
        kill_group();
    });
    std::thread::spawn(move || {
        while getppid() == parent {
            if TERMINATED.load(Ordering::Relaxed) {
                host.request_stop();
            }
            std::thread::sleep(PARENT_CHECK);
        }
        kill_group();
    });
}

fn action(handler: extern "C" fn(i32)) -> SigAction {
    SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    )
}

extern "C" fn on_parent_death(_: i32) {
    kill_group();
}

extern "C" fn on_terminate(_: i32) {
    TERMINATED.store(true, Ordering::Relaxed);
}

/// Ends this process and every process that the train function started and
/// left in the group.
fn kill_group() {
    let _ = kill(Pid::from_raw(0), Signal::SIGKILL);
}
