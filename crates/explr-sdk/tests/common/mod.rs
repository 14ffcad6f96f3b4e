//! A worker's side of the table that remembers what it was told.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_protocol::abi::{ABI_VERSION, Bytes, HostTable, RawMetric, Status, TakeAnswer};
use explr_protocol::{Answer, Ask, Device, Event, Outcome, RunContext, TrainFunction};
use explr_sdk::{Function, Result, TrainingContext, TrainingResult};
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the train function did.
#[derive(Default)]
pub(crate) struct MockHost {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) progress: Mutex<Vec<String>>,
    pub(crate) outcomes: Mutex<Vec<Outcome>>,
    /// What the study was asked.
    pub(crate) questions: Mutex<Vec<Ask>>,
    /// What it answers, the next one first; nothing more is a refusal.
    pub(crate) answers: Mutex<VecDeque<Answer>>,
    pub(crate) stop: AtomicBool,
    /// Refuse what is logged, as a full disk would.
    pub(crate) full: AtomicBool,
}

impl MockHost {
    /// Runs a function once.
    pub(crate) fn run(
        &self,
        context: &RunContext,
        function: impl Fn(&mut TrainingContext) -> Result<TrainingResult> + Send + Sync,
    ) -> Outcome {
        let context = serde_json::to_vec(context).unwrap();
        Function::new("train_model", function).call(&self.table(), &context);
        self.outcomes.lock().unwrap().remove(0)
    }

    pub(crate) fn table(&self) -> HostTable {
        HostTable {
            abi_version: ABI_VERSION,
            host: (&raw const *self).cast(),
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

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// The metrics, as name, step and bits of the value.
    pub(crate) fn metrics(&self) -> Vec<(String, i64, u64)> {
        let metric = |event| match event {
            Event::Metric { key, value, step } => Some((key, step, value.to_bits())),
            _ => None,
        };
        self.events().into_iter().filter_map(metric).collect()
    }

    fn status(&self) -> Status {
        Status::from(self.full.load(Ordering::Relaxed))
    }
}

/// A context with these hyperparameters and `dir` as its folder.
pub(crate) fn context(dir: &Path, hyperparameters: Value) -> RunContext {
    let folder = |name: &str| {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    RunContext {
        run_id: "run-1".into(),
        experiment: "test".into(),
        function: "train_model".into(),
        hyperparameters: serde_json::from_value(hyperparameters).unwrap(),
        seed: 7,
        device: Device::Cpu,
        threads: 1,
        checkpoint_dir: folder("checkpoints"),
        artifact_dir: folder("artifacts"),
        attempt: 1,
        time_budget: None,
        trial: None,
    }
}

fn mock<'a>(host: *const c_void) -> &'a MockHost {
    unsafe { &*host.cast() }
}

fn text(bytes: Bytes) -> String {
    String::from_utf8(unsafe { bytes.as_slice() }.to_vec()).unwrap()
}

unsafe extern "C" fn log_metrics(
    host: *const c_void,
    metrics: *const RawMetric,
    count: usize,
    step: i64,
) -> Status {
    let host = mock(host);
    let metrics = unsafe { std::slice::from_raw_parts(metrics, count) };
    if host.status() == 0 {
        host.events
            .lock()
            .unwrap()
            .extend(metrics.iter().map(|metric| Event::Metric {
                key: text(metric.key),
                value: metric.value,
                step,
            }));
    }
    host.status()
}

unsafe extern "C" fn log_event(host: *const c_void, event: Bytes) -> Status {
    let host = mock(host);
    if host.status() == 0 {
        let event = serde_json::from_str(&text(event)).unwrap();
        host.events.lock().unwrap().push(event);
    }
    host.status()
}

unsafe extern "C" fn progress(host: *const c_void, progress: Bytes) -> Status {
    mock(host).progress.lock().unwrap().push(text(progress));
    0
}

unsafe extern "C" fn finish(host: *const c_void, outcome: Bytes) -> Status {
    let outcome = serde_json::from_str(&text(outcome)).unwrap();
    mock(host).outcomes.lock().unwrap().push(outcome);
    0
}

unsafe extern "C" fn ask(
    host: *const c_void,
    question: Bytes,
    take: TakeAnswer,
    sink: *mut c_void,
) -> Status {
    let host = mock(host);
    let question = serde_json::from_str(&text(question)).unwrap();
    host.questions.lock().unwrap().push(question);
    let Some(answer) = host.answers.lock().unwrap().pop_front() else {
        return 1;
    };
    let answer = serde_json::to_vec(&answer).unwrap();
    unsafe { take(sink, Bytes::new(&answer)) };
    0
}

unsafe extern "C" fn stop_requested(host: *const c_void) -> i32 {
    mock(host).stop.load(Ordering::Relaxed).into()
}

unsafe extern "C" fn journal_len(host: *const c_void) -> u64 {
    mock(host).events.lock().unwrap().len() as u64
}

unsafe extern "C" fn last_error(_host: *const c_void, buffer: *mut u8, capacity: usize) -> usize {
    let message = b"the disk is full";
    let count = message.len().min(capacity);
    unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), buffer, count) };
    message.len()
}
