//! Ctrl-C and SIGTERM, turned into requests to stop, and the signal of file
//! size limits, turned into errors.

use explr::runner::{Stop, StopReason};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tokio::signal::unix::{SignalKind, signal};

/// Listens for the rest of the process's life.
pub(crate) fn listen(stop: Stop) -> std::io::Result<()> {
    // A file that may not grow is an error of the write, not the end of explr.
    // SAFETY: ignoring a signal installs no handler.
    unsafe {
        sigaction(
            Signal::SIGXFSZ,
            &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty()),
        )
    }?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let reason = tokio::select! {
                    _ = interrupt.recv() => StopReason::Interrupt,
                    _ = terminate.recv() => StopReason::Terminate,
                    _ = hangup.recv() => StopReason::Terminate,
                };
                stop.raise(reason);
            }
        });
    });
    Ok(())
}
