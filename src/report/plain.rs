use super::{Reporter, RunEvent, RunPlan, summary, text};
use crate::tracking::{ServerStatus, Status};
use explr_protocol::control::Progress;
use explr_protocol::{Failure, LogLevel};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Least time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Plain lines, for pipes, files and CI.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    quiet: bool,
    told: Option<Instant>,
    tracking: Tracking,
    metrics: BTreeMap<String, f64>,
    epoch: Option<u64>,
}

/// What has been said of tracking.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    url: Option<String>,
    reason: Option<String>,
    warnings: usize,
}

impl Tracking {
    /// What is new in `status`.
    pub(super) fn news(&mut self, status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        match &status.server {
            ServerStatus::Starting => {}
            ServerStatus::Up { .. } => self.reason = None,
            ServerStatus::Down { reason } => {
                if self.reason.as_ref() != Some(reason) {
                    self.reason = Some(reason.clone());
                    lines.push(format!(
                        "! MLflow: {reason}; the run goes on, its journal holds everything"
                    ));
                }
            }
        }
        if status.run_url != self.url {
            self.url.clone_from(&status.run_url);
            lines.extend(self.url.iter().map(|url| format!("  MLflow  {url}")));
        }
        for warning in status.warnings.iter().skip(self.warnings) {
            lines.push(format!("! MLflow: {warning}"));
        }
        self.warnings = status.warnings.len();
        lines
    }
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            quiet: false,
            told: None,
            tracking: Tracking::default(),
            metrics: BTreeMap::new(),
            epoch: None,
        }
    }

    /// Only failures and warnings.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn say(&mut self, line: impl AsRef<str>) {
        // Whoever reads may be gone: the run goes on.
        let _ = writeln!(self.out, "{}", line.as_ref());
    }

    fn detail(&mut self, line: impl AsRef<str>) {
        if !self.quiet {
            self.say(line);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.metrics.extend(progress.metrics.clone());
        let next_epoch = progress.epoch != self.epoch;
        let due = self.told.is_none_or(|told| told.elapsed() >= PROGRESS);
        if self.quiet || !(due || next_epoch) {
            return;
        }
        self.told = Some(Instant::now());
        self.epoch = progress.epoch;
        let line = format!("  {}  {}", place(progress), text::metrics(&self.metrics));
        self.say(line.trim_end());
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Building { folder } => {
                self.detail(format!(
                    "building {} (cargo build --release)",
                    folder.display()
                ));
            }
            RunEvent::Built { took } if *took > Duration::from_secs(1) => {
                self.detail(format!("built in {}", text::duration(*took)));
            }
            RunEvent::BuildLine(_) | RunEvent::Built { .. } | RunEvent::Ended(_) => {}
            RunEvent::Planned(plan) => {
                for line in headline(plan) {
                    self.detail(line);
                }
            }
            RunEvent::Started { attempt, after, .. } => self.detail(format!(
                "  training  attempt {attempt}, worker ready in {}",
                text::duration(*after)
            )),
            RunEvent::Progress(progress) => self.progress(progress),
            RunEvent::Log { level, message } => {
                let line = log_line(*level, message);
                if *level >= LogLevel::Warning {
                    self.say(line);
                } else {
                    self.detail(line);
                }
            }
            RunEvent::Output(line) => self.detail(format!("  │ {}", text::printable(line))),
            RunEvent::OutputHidden(lines) => self.detail(hidden(*lines)),
            RunEvent::Stopping { reason, grace } => self.say(stopping(reason, *grace)),
            RunEvent::JournalFailed { message } => self.say(format!("! {message}")),
            RunEvent::Retrying {
                failure,
                attempt,
                of,
            } => self.say(retrying(failure, *attempt, *of)),
            RunEvent::Tracking(status) => {
                for line in self.tracking.news(status) {
                    if line.starts_with('!') {
                        self.say(line);
                    } else {
                        self.detail(line);
                    }
                }
            }
            RunEvent::Closed(outcome) => {
                if !self.quiet || outcome.failure.is_some() {
                    for line in summary::summary(outcome) {
                        self.say(line);
                    }
                }
            }
        }
    }
}

/// What runs where.
pub(super) fn headline(plan: &RunPlan) -> Vec<String> {
    let run = plan.run_id.short();
    let again = if plan.attempt > 1 {
        format!("  (continues; attempt {})", plan.attempt)
    } else {
        String::new()
    };
    vec![
        format!(
            "▶ {} · {} · run {run}{again}",
            plan.experiment, plan.function
        ),
        format!(
            "  device {} · {} thread{} · seed {}",
            plan.device,
            plan.threads,
            if plan.threads == 1 { "" } else { "s" },
            plan.seed
        ),
        format!("  folder  {}", plan.folder.display()),
    ]
}

/// Where a run is, as in `epoch 3/20  step 1,234`.
pub(super) fn place(progress: &Progress) -> String {
    let of = |name: &str, at: u64, total: Option<u64>| match total {
        Some(total) => format!("{name} {}/{}", text::count(at), text::count(total)),
        None => format!("{name} {}", text::count(at)),
    };
    let epoch = progress
        .epoch
        .map(|epoch| of("epoch", epoch + 1, progress.epochs));
    let step = progress.step.map(|step| of("step", step, progress.steps));
    epoch.into_iter().chain(step).collect::<Vec<_>>().join("  ")
}

pub(super) fn log_line(level: LogLevel, message: &str) -> String {
    let mark = match level {
        LogLevel::Debug | LogLevel::Info => " ",
        LogLevel::Warning | LogLevel::Error => "!",
    };
    format!("{mark} {}", text::printable(message))
}

pub(super) fn hidden(lines: u64) -> String {
    format!("  │ … {} more lines in its log", text::count(lines))
}

pub(super) fn stopping(reason: &str, grace: Duration) -> String {
    format!(
        "■ {reason}: the worker has {} to stop (Ctrl-C again: at once)",
        text::duration(grace)
    )
}

pub(super) fn retrying(failure: &Failure, attempt: u32, of: u32) -> String {
    format!(
        "! failed ({}): {}; attempt {attempt} of {of}",
        failure.class,
        text::printable(&failure.message)
    )
}
