//! The worker's side of the table, as safe calls.

use explr_protocol::abi::{Bytes, HostTable, RawMetric, Status};
use explr_protocol::control::Progress;
use explr_protocol::{Answer, Ask, Event, Outcome};
use std::ffi::c_void;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Why a call to the worker did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// The worker's table is gone.
    #[error("the train function has returned; its tracker can log no more")]
    Closed,
    /// The worker's own words.
    #[error("{0}")]
    Refused(String),
}

/// The worker, as long as the train function runs.
///
/// The table lives as long as the call into the plugin, but clones of this
/// may live on in threads that the train function left behind. So the table
/// is taken away when the function returns, and later calls fail.
#[derive(Debug, Clone)]
pub(crate) struct Host(Arc<RwLock<Option<HostTable>>>);

impl Host {
    /// Takes over the worker's table.
    ///
    /// # Safety
    /// `table.host` stays valid until [`close`](Self::close).
    pub(crate) unsafe fn new(table: &HostTable) -> Self {
        Self(Arc::new(RwLock::new(Some(HostTable {
            abi_version: table.abi_version,
            host: table.host,
            log_metrics: table.log_metrics,
            log_event: table.log_event,
            progress: table.progress,
            finish: table.finish,
            ask: table.ask,
            stop_requested: table.stop_requested,
            journal_len: table.journal_len,
            last_error: table.last_error,
        }))))
    }

    /// Waits for the calls of other threads and refuses all later ones.
    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Appends metrics of one step to the journal. The keys are checked.
    pub(crate) fn log_metrics(&self, metrics: &[RawMetric], step: i64) -> Result<(), HostError> {
        self.with(|table| {
            // SAFETY: the table is open, and `metrics` borrows what it names.
            unsafe { (table.log_metrics)(table.host, metrics.as_ptr(), metrics.len(), step) }
        })
    }

    /// Appends an event to the journal.
    pub(crate) fn log_event(&self, event: &Event) -> Result<(), HostError> {
        let json = to_json(event)?;
        self.with(|table| {
            // SAFETY: the table is open, and `json` outlives the call.
            unsafe { (table.log_event)(table.host, Bytes::new(&json)) }
        })
    }

    /// Tells the display how far the function is.
    pub(crate) fn progress(&self, progress: &Progress) -> Result<(), HostError> {
        let json = to_json(progress)?;
        self.with(|table| {
            // SAFETY: as above.
            unsafe { (table.progress)(table.host, Bytes::new(&json)) }
        })
    }

    /// Hands over the outcome; the first one counts.
    pub(crate) fn finish(&self, outcome: &Outcome) -> Result<(), HostError> {
        let json = to_json(outcome)?;
        self.with(|table| {
            // SAFETY: as above.
            unsafe { (table.finish)(table.host, Bytes::new(&json)) }
        })
    }

    /// Asks the study, and waits for its answer.
    pub(crate) fn ask(&self, question: &Ask) -> Result<Answer, HostError> {
        let json = to_json(question)?;
        let mut answer: Vec<u8> = Vec::new();
        self.with(|table| {
            let sink = (&raw mut answer).cast();
            // SAFETY: the table is open, `json` and `answer` outlive the call,
            // and `take` makes of `sink` what it is here.
            unsafe { (table.ask)(table.host, Bytes::new(&json), take, sink) }
        })?;
        serde_json::from_slice(&answer)
            .map_err(|error| HostError::Refused(format!("the answer can't be read: {error}")))
    }

    /// Whether the function should end soon. True also when it has returned.
    pub(crate) fn stop_requested(&self) -> bool {
        self.read().as_ref().is_none_or(|table| {
            // SAFETY: the table is open.
            unsafe { (table.stop_requested)(table.host) != 0 }
        })
    }

    /// Number of records in the journal.
    #[cfg(feature = "torch")]
    pub(crate) fn journal_len(&self) -> Result<u64, HostError> {
        let guard = self.read();
        let table = guard.as_ref().ok_or(HostError::Closed)?;
        // SAFETY: the table is open.
        Ok(unsafe { (table.journal_len)(table.host) })
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<HostTable>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, call: impl FnOnce(&HostTable) -> Status) -> Result<(), HostError> {
        let guard = self.read();
        let table = guard.as_ref().ok_or(HostError::Closed)?;
        match call(table) {
            0 => Ok(()),
            _ => Err(HostError::Refused(last_error(table))),
        }
    }
}

/// Copies the worker's answer.
unsafe extern "C" fn take(sink: *mut c_void, answer: Bytes) {
    // SAFETY: `Host::ask` passed a vector that nothing else uses meanwhile,
    // and the worker's bytes live during this call.
    unsafe { (*sink.cast::<Vec<u8>>()).extend_from_slice(answer.as_slice()) }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, HostError> {
    serde_json::to_vec(value).map_err(|error| HostError::Refused(error.to_string()))
}

/// The calling thread's last error, in the worker's words.
fn last_error(table: &HostTable) -> String {
    let mut buffer = vec![0; 4096];
    // SAFETY: the buffer has the capacity that is passed.
    let length = unsafe { (table.last_error)(table.host, buffer.as_mut_ptr(), buffer.len()) };
    buffer.truncate(length);
    if buffer.is_empty() {
        return "the worker gave no reason".to_owned();
    }
    String::from_utf8_lossy(&buffer).into_owned()
}
