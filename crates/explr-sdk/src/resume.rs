use crate::host::{Host, HostError};
use explr_protocol::Event;
#[cfg(feature = "torch")]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the worker, once, from where a later attempt lives again.
///
/// The worker uses it to leave out metrics that the journal has from the
/// attempt before, so it must be told before the first metric: with the
/// checkpoint's place in the journal, or 0 when there is none.
#[derive(Debug)]
pub(crate) struct ResumeNote {
    due: AtomicBool,
}

impl ResumeNote {
    pub(crate) fn new(attempt: u32) -> Self {
        Self {
            due: AtomicBool::new(attempt > 1),
        }
    }

    /// Says that everything is lived again, unless something was said before.
    pub(crate) fn tell_start(&self, host: &Host) -> Result<(), HostError> {
        if self.due.load(Ordering::Relaxed) && self.due.swap(false, Ordering::Relaxed) {
            return host.log_event(&Event::Resumed {
                seq_of_checkpoint: 0,
                checkpoint: None,
            });
        }
        Ok(())
    }

    /// Says from which checkpoint it continues.
    #[cfg(feature = "torch")]
    pub(crate) fn tell_checkpoint(
        &self,
        host: &Host,
        seq_of_checkpoint: u64,
        checkpoint: PathBuf,
    ) -> Result<(), HostError> {
        self.due.store(false, Ordering::Relaxed);
        host.log_event(&Event::Resumed {
            seq_of_checkpoint,
            checkpoint: Some(checkpoint),
        })
    }
}
