//! Ctrl-C and SIGTERM, turned into requests to stop.

use explr::runner::{Stop, StopReason};
use tokio::signal::unix::{SignalKind, signal};

/// Listens for the rest of the process's life.
pub(crate) fn listen(stop: Stop) -> std::io::Result<()> {
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
