//! What a panic says, and where it happened.
//!
//! `catch_unwind` gives the message but not the place, and in a plugin built
//! with `panic = "abort"` there is nothing to catch. So a hook notes both
//! while the panic happens, and hands the outcome over itself when the
//! process is about to abort.

use crate::error::{classify, without_cpp_trace};
use crate::host::Host;
use explr_protocol::{Event, FailureClass, LogLevel, Outcome, TrainError};
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

/// The train functions that run now, with their threads. More than one only
/// where a program runs closures of its own in several threads.
static RUNNING: Mutex<Vec<(ThreadId, Host)>> = Mutex::new(Vec::new());

thread_local! {
    /// The last panic of this thread.
    static LAST: RefCell<Option<TrainError>> = const { RefCell::new(None) };
}

/// Watches a train function on the current thread for panics.
#[derive(Debug)]
pub(crate) struct Watch(ThreadId);

impl Watch {
    pub(crate) fn new(host: &Host) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                note(info);
                previous(info);
            }));
        });
        LAST.take();
        let id = thread::current().id();
        running().push((id, host.clone()));
        Self(id)
    }

    /// The panic that was just caught on this thread.
    pub(crate) fn last_panic() -> TrainError {
        LAST.take().unwrap_or_else(|| TrainError {
            class: FailureClass::Panic,
            // `resume_unwind` calls no hook.
            message: "the train function panicked without a message".to_owned(),
            location: None,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        running().retain(|(id, _)| *id != self.0);
    }
}

fn running() -> std::sync::MutexGuard<'static, Vec<(ThreadId, Host)>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(info: &PanicHookInfo) {
    let id = thread::current().id();
    let hosts = running().clone();
    if hosts.is_empty() {
        return;
    }
    let error = describe(info);
    if cfg!(panic = "abort") {
        // The process ends when the hook returns: nobody else will tell.
        for (_, host) in &hosts {
            let _ = host.finish(&Outcome::Err(error.clone()));
        }
    } else if hosts.iter().any(|(running, _)| *running == id) {
        LAST.set(Some(error));
    } else {
        // A thread of the train function's own. Whoever joins it only learns
        // that it panicked, so the reason goes to the log.
        let place = error.location.as_deref().unwrap_or("an unknown place");
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        let event = Event::Log {
            level: LogLevel::Error,
            message: format!("thread {name} panicked at {place}: {}", error.message),
        };
        // Nothing tells whose thread it is when several functions run.
        for (_, host) in &hosts {
            let _ = host.log_event(&event);
        }
    }
}

fn describe(info: &PanicHookInfo) -> TrainError {
    let message = info
        .payload_as_str()
        .unwrap_or("panic of another type than text");
    let message = without_cpp_trace(&unescape(message));
    let place = info.location().map(ToString::to_string);
    TrainError {
        class: classify(&message).unwrap_or(FailureClass::Panic),
        location: match place {
            Some(place) if is_library(&place) => {
                user_frame(&Backtrace::force_capture().to_string()).or(Some(place))
            }
            place => place,
        },
        message,
    }
}

/// libtorch's message out of the panic of tch's methods without `f_`, which
/// show it quoted: `called ... on an `Err` value: Torch("...\nException ...")`.
fn unescape(message: &str) -> String {
    let quoted = message
        .split_once(": Torch(\"")
        .and_then(|(_, rest)| rest.strip_suffix("\")"));
    match quoted {
        Some(quoted) => quoted
            .replace("\\n", "\n")
            .replace("\\\"", "\"")
            .replace("\\'", "'"),
        None => message.to_owned(),
    }
}

/// Whether a place is in the standard library or a dependency.
fn is_library(place: &str) -> bool {
    ["/rustc/", "/rustlib/", "/registry/src/", "/git/checkouts/"]
        .iter()
        .any(|part| place.contains(part))
        || place.starts_with("library/")
}

/// The innermost place of a backtrace that is the user's own code: tch's
/// methods panic inside tch, where nobody looks for a mistake of theirs.
fn user_frame(backtrace: &str) -> Option<String> {
    // Places below the current folder are shown relative to it.
    let own =
        |place: &str| place.contains("/explr-sdk/src/") || place.starts_with("./src/panics.rs:");
    backtrace
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("at "))
        .find(|place| !is_library(place) && !own(place) && !place.contains(".cpp:"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{is_library, unescape, user_frame};
    use crate::error::without_cpp_trace;

    #[test]
    fn a_panic_of_tch_shows_libtorchs_own_words() {
        let message = "called `Result::unwrap()` on an `Err` value: Torch(\"The size of tensor a \
                       (3) must match\\nException raised from infer_size at x.cpp:1\\nframe #0\")";
        assert_eq!(
            without_cpp_trace(&unescape(message)),
            "The size of tensor a (3) must match"
        );
        assert_eq!(unescape("index out of range"), "index out of range");
    }

    #[test]
    fn the_users_own_frame_is_found_below_those_of_libraries() {
        let backtrace = "   0: describe\n             at ./src/panics.rs:1:2\n   \
                         0: std::panicking\n             at /rustc/abc/library/std/src/p.rs:1:2\n   \
                         1: tch::add\n             at /home/u/.cargo/registry/src/i/tch-0.23.0/src/w.rs:5:6\n   \
                         2: plugin::train\n             at ./src/lib.rs:12:7\n";
        assert_eq!(user_frame(backtrace).as_deref(), Some("./src/lib.rs:12:7"));
        assert!(!is_library("src/lib.rs:1:1"));
    }
}
