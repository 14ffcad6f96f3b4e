//! Why an attempt failed: a pure function of what was seen of it.

use super::limits::Limit;
use super::oom;
use explr_protocol::{Failure, FailureClass, Outcome, TrainingResult};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a worker process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exited {
    Code(i32),
    Signal(i32),
    /// Nobody knows: the template that it was forked from is gone, and its
    /// workers with it.
    Lost,
}

impl From<ExitStatus> for Exited {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(signal) => Self::Signal(signal),
            None => Self::Code(status.code().unwrap_or(-1)),
        }
    }
}

/// What was seen of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) exited: Exited,
    /// What the worker delivered, over the socket or in the journal.
    pub(crate) outcome: Option<Outcome>,
    /// The limit for which it was stopped.
    pub(crate) limit: Option<Limit>,
    /// The kernel's count of processes killed for memory rose meanwhile.
    pub(crate) oom_kill: bool,
    /// explr itself sent SIGKILL.
    pub(crate) killed_by_us: bool,
    /// The journal could not be written.
    pub(crate) journal_failure: Option<String>,
    pub(crate) log_tail: Vec<String>,
}

impl Evidence {
    /// A process that ended so, and nothing else seen of it.
    pub(crate) fn of(exited: Exited) -> Self {
        Self {
            exited,
            outcome: None,
            limit: None,
            oom_kill: false,
            killed_by_us: false,
            journal_failure: None,
            log_tail: Vec::new(),
        }
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// The train function returned a result that counts.
    Result(TrainingResult),
    /// It ended early, as the study's pruner wanted.
    Pruned,
    /// There is no result.
    Failure(Failure),
}

/// Decides what an attempt came to.
pub(crate) fn classify(evidence: &Evidence) -> Verdict {
    match result(evidence) {
        Ok(Some(result)) => Verdict::Result(result),
        Ok(None) => Verdict::Pruned,
        Err(failure) => Verdict::Failure(failure),
    }
}

/// The result, none if it was pruned, or why there is none.
fn result(evidence: &Evidence) -> Result<Option<TrainingResult>, Failure> {
    if let Some(limit) = evidence.limit {
        return Err(failure(
            evidence,
            FailureClass::Timeout,
            format!("the worker {limit}"),
        ));
    }
    if let Some(message) = &evidence.journal_failure {
        return Err(failure(evidence, FailureClass::Journal, message.clone()));
    }
    match &evidence.outcome {
        Some(Outcome::Ok(result)) if result.primary_metric.is_finite() => Ok(Some(result.clone())),
        Some(Outcome::Pruned { .. }) => Ok(None),
        Some(Outcome::Ok(result)) => Err(failure(
            evidence,
            FailureClass::Nan,
            format!(
                "the objective `{}` is {}",
                result.primary_metric_name, result.primary_metric
            ),
        )),
        Some(Outcome::Err(error)) => {
            let said = last_words(error.class, &evidence.log_tail);
            let message = said.unwrap_or_else(|| error.message.clone());
            let mut failure = failure(evidence, error.class, message);
            failure.location.clone_from(&error.location);
            Err(failure)
        }
        None => Err(died(evidence)),
    }
}

fn died(evidence: &Evidence) -> Failure {
    let (class, message) = match evidence.exited {
        Exited::Code(code) => (
            FailureClass::Exit,
            format!("the worker exited with code {code} before the train function returned"),
        ),
        Exited::Lost => (
            FailureClass::Signal,
            "the template process that the worker was forked from has ended, and the worker with \
             it"
            .to_owned(),
        ),
        Exited::Signal(number) => {
            let oom_kill = evidence.oom_kill && !evidence.killed_by_us;
            by_signal("worker", number, oom_kill)
        }
    };
    let said = last_words(class, &evidence.log_tail);
    failure(evidence, class, said.unwrap_or(message))
}

/// What it means that a signal ended `who`, the kernel's kills for want of
/// memory having become more meanwhile, or not.
pub(crate) fn by_signal(who: &str, number: i32, oom_kill: bool) -> (FailureClass, String) {
    match Signal::try_from(number) {
        Ok(Signal::SIGABRT) => (
            FailureClass::Abort,
            format!("the {who} called abort (SIGABRT)"),
        ),
        Ok(Signal::SIGKILL) if oom_kill => (
            FailureClass::Oom,
            format!(
                "the kernel killed the {who} for want of memory (SIGKILL; its count of such kills \
                 rose meanwhile)"
            ),
        ),
        Ok(signal) => (
            FailureClass::Signal,
            format!("the {who} was ended by {signal}{}", meaning(signal)),
        ),
        Err(_) => (
            FailureClass::Signal,
            format!("the {who} was ended by signal {number}"),
        ),
    }
}

/// What the output says of the reason, where it knows more than the status.
fn last_words(class: FailureClass, tail: &[String]) -> Option<String> {
    match class {
        FailureClass::Abort => abort_message(tail),
        FailureClass::Exit => {
            let line = tail.iter().rfind(|line| told_by_cuda(line).is_some())?;
            Some(line.trim().to_owned())
        }
        _ => None,
    }
}

fn meaning(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGSEGV => " (invalid memory access)",
        Signal::SIGBUS => {
            " (bad memory access; often a full /dev/shm or a file that shrank while mapped)"
        }
        Signal::SIGILL => " (illegal instruction: code built for another processor)",
        Signal::SIGFPE => " (arithmetic error)",
        Signal::SIGKILL => " (killed from outside)",
        _ => "",
    }
}

/// What C++ says of an exception that nobody caught.
fn abort_message(tail: &[String]) -> Option<String> {
    let at = tail
        .iter()
        .rposition(|line| line.starts_with("terminate called"))?;
    let what = tail[at..]
        .iter()
        .find_map(|line| line.trim_start().strip_prefix("what():"));
    let exception = tail[at].split('\'').nth(1).unwrap_or("unknown");
    Some(match what {
        Some(what) => format!("uncaught C++ exception {exception}: {}", what.trim()),
        None => format!("uncaught C++ exception {exception}"),
    })
}

fn failure(evidence: &Evidence, class: FailureClass, message: String) -> Failure {
    let class = by_message(class, &message).unwrap_or(class);
    let message = match class {
        FailureClass::CudaOom => oom::explain(&message),
        _ => message,
    };
    Failure {
        class,
        message,
        location: None,
        log_tail: evidence.log_tail.clone(),
    }
}

/// What PyTorch, TensorFlow and JAX, and the CUDA runtime say when a GPU has no
/// memory left.
const CUDA_OOM: [&str; 4] = [
    "CUDA out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "OOM when allocating tensor",
    "cudaErrorMemoryAllocation",
];

/// What CUDA says of a GPU that no other trial can use either.
const GPU_LOST: [&str; 5] = [
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "no CUDA-capable device is detected",
    "GPU is lost",
    "fallen off the bus",
];

/// The class that CUDA's own words tell.
fn by_message(class: FailureClass, message: &str) -> Option<FailureClass> {
    match class {
        FailureClass::Error | FailureClass::Panic | FailureClass::Abort | FailureClass::Exit => {
            told_by_cuda(message)
        }
        _ => None,
    }
}

fn told_by_cuda(text: &str) -> Option<FailureClass> {
    let says_one_of = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says_one_of(&CUDA_OOM) {
        return Some(FailureClass::CudaOom);
    }
    says_one_of(&GPU_LOST).then_some(FailureClass::GpuLost)
}

#[cfg(test)]
mod tests {
    use super::{Evidence, Exited, Verdict, by_signal, classify};
    use crate::runner::limits::Limit;
    use explr_protocol::{Direction, Failure, FailureClass, Outcome, TrainError, TrainingResult};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn result(value: f64) -> TrainingResult {
        TrainingResult {
            primary_metric: value,
            primary_metric_name: "val_loss".into(),
            direction: Direction::Minimize,
            metrics: BTreeMap::new(),
            best_model_path: None,
            epochs_completed: None,
            stopped_early: false,
        }
    }

    fn failure(evidence: &Evidence) -> Failure {
        match classify(evidence) {
            Verdict::Failure(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn class(evidence: &Evidence) -> FailureClass {
        failure(evidence).class
    }

    #[test]
    fn a_crash_after_the_result_is_no_failure() {
        let mut seen = Evidence::of(Exited::Signal(11));
        seen.outcome = Some(Outcome::Ok(result(0.5)));
        assert_eq!(classify(&seen), Verdict::Result(result(0.5)));
    }

    #[test]
    fn an_objective_that_is_not_finite_is_a_failure() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut seen = Evidence::of(Exited::Code(0));
            seen.outcome = Some(Outcome::Ok(result(value)));
            assert_eq!(class(&seen), FailureClass::Nan);
        }
    }

    #[test]
    fn each_way_to_die_has_its_class() {
        assert_eq!(class(&Evidence::of(Exited::Code(3))), FailureClass::Exit);
        assert_eq!(
            class(&Evidence::of(Exited::Signal(11))),
            FailureClass::Signal
        );
        assert_eq!(class(&Evidence::of(Exited::Signal(6))), FailureClass::Abort);
        assert_eq!(
            class(&Evidence::of(Exited::Signal(9))),
            FailureClass::Signal
        );
        assert_eq!(class(&Evidence::of(Exited::Lost)), FailureClass::Signal);
        let mut oom = Evidence::of(Exited::Signal(9));
        oom.oom_kill = true;
        assert_eq!(class(&oom), FailureClass::Oom);
        oom.killed_by_us = true;
        assert_eq!(class(&oom), FailureClass::Signal);
    }

    #[test]
    fn a_command_that_the_kernel_killed_for_memory_has_its_class() {
        let (class, message) = by_signal("command", 9, true);
        assert_eq!(class, FailureClass::Oom);
        assert!(
            message.starts_with("the kernel killed the command"),
            "{message}"
        );
        let (class, message) = by_signal("command", 9, false);
        assert_eq!(class, FailureClass::Signal);
        assert!(
            message.contains("the command was ended by SIGKILL"),
            "{message}"
        );
    }

    #[test]
    fn an_exit_status_is_put_down_to_what_cuda_printed_before_it() {
        let exited = |line: &str| {
            let mut seen = Evidence::of(Exited::Code(0));
            seen.log_tail = ["epoch 3", line, "terminated"].map(String::from).to_vec();
            seen.outcome = Some(Outcome::Err(TrainError {
                class: FailureClass::Exit,
                message: "the command exited with status 1".into(),
                location: None,
            }));
            failure(&seen)
        };
        let oom = exited("jax: CUDA_ERROR_OUT_OF_MEMORY: out of memory");
        assert_eq!(oom.class, FailureClass::CudaOom);
        assert!(
            oom.message.starts_with("jax: CUDA_ERROR"),
            "{}",
            oom.message
        );
        assert_eq!(exited("GPU is lost").class, FailureClass::GpuLost);
        let other = exited("ValueError: out of cheese");
        assert_eq!(other.class, FailureClass::Exit);
        assert_eq!(other.message, "the command exited with status 1");
    }

    #[test]
    fn a_limit_outweighs_whatever_came_after_it() {
        let mut seen = Evidence::of(Exited::Signal(9));
        seen.killed_by_us = true;
        seen.limit = Some(Limit::Wall(Duration::from_secs(2)));
        let failure = failure(&seen);
        assert_eq!(failure.class, FailureClass::Timeout);
        assert_eq!(
            failure.message,
            "the worker ran longer than 2s (worker.timeout)"
        );
    }

    #[test]
    fn an_uncaught_exception_is_quoted() {
        let mut seen = Evidence::of(Exited::Signal(6));
        seen.log_tail = [
            "step 3",
            "terminate called after throwing an instance of 'c10::Error'",
            "  what():  CUDA out of memory. Tried to allocate 2.00 GiB.",
            "Exception raised from malloc",
        ]
        .map(String::from)
        .to_vec();
        let failure = failure(&seen);
        assert_eq!(failure.class, FailureClass::CudaOom);
        let said = "uncaught C++ exception c10::Error: CUDA out of memory. Tried to allocate 2.00 \
                    GiB.\nasked for 2.1 GB\nhelp: ";
        assert!(failure.message.starts_with(said), "{}", failure.message);
    }

    #[test]
    fn a_lost_gpu_is_known_by_what_cuda_says() {
        let mut seen = Evidence::of(Exited::Code(0));
        for (message, class) in [
            (
                "CUDA error: uncorrectable ECC error encountered",
                "gpu_lost",
            ),
            ("CUDA error: no CUDA-capable device is detected", "gpu_lost"),
            ("CUDA error: device-side assert triggered", "error"),
        ] {
            seen.outcome = Some(Outcome::Err(TrainError {
                class: FailureClass::Error,
                message: message.into(),
                location: None,
            }));
            assert_eq!(failure(&seen).class.as_str(), class);
        }
    }

    #[test]
    fn a_pruned_trial_has_not_failed() {
        let mut seen = Evidence::of(Exited::Code(0));
        seen.outcome = Some(Outcome::Pruned {
            step: 3,
            value: f64::NAN,
        });
        assert_eq!(classify(&seen), Verdict::Pruned);
    }

    #[test]
    fn an_error_keeps_its_location() {
        let mut seen = Evidence::of(Exited::Code(0));
        seen.outcome = Some(Outcome::Err(TrainError {
            class: FailureClass::Panic,
            message: "index out of bounds".into(),
            location: Some("src/lib.rs:7:5".into()),
        }));
        let failure = failure(&seen);
        assert_eq!(failure.class, FailureClass::Panic);
        assert_eq!(failure.location.as_deref(), Some("src/lib.rs:7:5"));
    }
}
