//! The C table of a host: numbers, text and JSON in, calls of [`Host`] out.

use super::{Host, lock};
use explr_protocol::Outcome;
use explr_protocol::abi::{ABI_VERSION, Bytes, HostTable, RawMetric, Status, TakeAnswer};
use explr_protocol::control::FromWorker;
use std::cell::RefCell;
use std::ffi::c_void;

impl Host {
    /// The C table of this host, valid as long as the host is.
    pub(crate) fn table(&self) -> HostTable {
        HostTable {
            abi_version: ABI_VERSION,
            host: std::ptr::from_ref(self).cast(),
            log_metrics,
            log_event,
            progress,
            finish,
            ask,
            stop_requested,
            journal_len,
            last_error,
        }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a call of the table: no panic may cross into the plugin.
fn guarded(call: impl FnOnce() -> Result<(), String>) -> Status {
    let message = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(Ok(())) => return 0,
        Ok(Err(message)) => message,
        Err(_) => "a bug in explr's worker: see its log".to_owned(),
    };
    LAST_ERROR.with_borrow_mut(|last| *last = message);
    1
}

/// # Safety
/// `host` is what [`Host::table`] put into the table, and the host lives.
unsafe fn host_of<'a>(host: *const c_void) -> &'a Host {
    // SAFETY: the caller's promise.
    unsafe { &*host.cast::<Host>() }
}

/// # Safety
/// As for [`Bytes::as_slice`].
unsafe fn text<'a>(bytes: Bytes) -> Result<&'a str, String> {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { bytes.as_slice() }).map_err(|_| "text is not UTF-8".to_owned())
}

unsafe extern "C" fn log_metrics(
    host: *const c_void,
    metrics: *const RawMetric,
    count: usize,
    step: i64,
) -> Status {
    guarded(|| {
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the table's contract: `metrics` points to `count` metrics
        // that live during the call, as do the keys.
        let (host, metrics) =
            unsafe { (host_of(host), std::slice::from_raw_parts(metrics, count)) };
        for metric in metrics {
            // SAFETY: as above.
            unsafe { text(metric.key) }?;
        }
        let named = metrics.iter().map(|metric| {
            // SAFETY: as above, and the loop has checked that it is UTF-8.
            let key = unsafe { std::str::from_utf8_unchecked(metric.key.as_slice()) };
            (key, metric.value)
        });
        host.log_metrics(named, step).map_err(|e| e.to_string())
    })
}

unsafe extern "C" fn log_event(host: *const c_void, event: Bytes) -> Status {
    guarded(|| {
        // SAFETY: the table's contract.
        let (host, event) = unsafe { (host_of(host), event.as_slice()) };
        let event = serde_json::from_slice(event).map_err(|e| format!("not an event: {e}"))?;
        host.log_event(&event).map_err(|e| e.to_string())
    })
}

unsafe extern "C" fn progress(host: *const c_void, progress: Bytes) -> Status {
    guarded(|| {
        // SAFETY: the table's contract.
        let (host, progress) = unsafe { (host_of(host), progress.as_slice()) };
        let progress =
            serde_json::from_slice(progress).map_err(|e| format!("not a progress: {e}"))?;
        host.show(progress);
        Ok(())
    })
}

unsafe extern "C" fn finish(host: *const c_void, outcome: Bytes) -> Status {
    guarded(|| {
        // SAFETY: the table's contract.
        let (host, outcome) = unsafe { (host_of(host), outcome.as_slice()) };
        let outcome =
            serde_json::from_slice(outcome).map_err(|e| format!("not an outcome: {e}"))?;
        // A plugin built with `panic = "abort"` has no later moment to tell.
        if let Outcome::Err(_) = &outcome {
            host.send(FromWorker::Finished {
                outcome: Outcome::clone(&outcome),
            });
        }
        host.finish(outcome);
        Ok(())
    })
}

unsafe extern "C" fn ask(
    host: *const c_void,
    question: Bytes,
    take: TakeAnswer,
    sink: *mut c_void,
) -> Status {
    guarded(|| {
        // SAFETY: the table's contract.
        let (host, question) = unsafe { (host_of(host), question.as_slice()) };
        let question =
            serde_json::from_slice(question).map_err(|e| format!("not a question: {e}"))?;
        let answer = serde_json::to_vec(&host.ask(question)).map_err(|e| e.to_string())?;
        // SAFETY: the table's contract: `take` may be called once with `sink`.
        unsafe { take(sink, Bytes::new(&answer)) };
        Ok(())
    })
}

unsafe extern "C" fn stop_requested(host: *const c_void) -> i32 {
    // SAFETY: the table's contract.
    let host = unsafe { host_of(host) };
    i32::from(host.stop_requested())
}

unsafe extern "C" fn journal_len(host: *const c_void) -> u64 {
    // SAFETY: the table's contract.
    let host = unsafe { host_of(host) };
    lock(&host.journal).writer.len()
}

unsafe extern "C" fn last_error(_: *const c_void, buffer: *mut u8, capacity: usize) -> usize {
    LAST_ERROR.with_borrow(|message| {
        let copied = message.len().min(capacity);
        if copied > 0 {
            // SAFETY: the table's contract: `buffer` has room for `capacity`
            // bytes, and it is not ours.
            unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), buffer, copied) };
        }
        message.len()
    })
}
