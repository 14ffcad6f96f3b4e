use super::plain::{Tracking, headline, hidden, log_line, place, retrying, stopping};
use super::{Reporter, RunEvent, summary, text};
use explr_protocol::control::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// A live line at the bottom of a terminal, and what is worth keeping above
/// it. Writes to standard error.
#[derive(Debug)]
pub struct Bars {
    bar: ProgressBar,
    tracking: Tracking,
    metrics: BTreeMap<String, f64>,
    ended: bool,
}

impl Bars {
    /// Draws on standard error, if that is a terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(spinner());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            tracking: Tracking::default(),
            metrics: BTreeMap::new(),
            ended: false,
        }
    }

    fn say(&self, line: impl AsRef<str>) {
        self.bar.println(line);
    }

    fn progress(&mut self, progress: &Progress) {
        self.metrics.extend(progress.metrics.clone());
        let (position, length) = match (progress.steps, progress.epochs) {
            (Some(steps), _) => (progress.step.unwrap_or(0), Some(steps)),
            (None, Some(epochs)) => (progress.epoch.unwrap_or(0), Some(epochs)),
            (None, None) => (progress.step.unwrap_or(0), None),
        };
        if let Some(length) = length.filter(|length| self.bar.length() != Some(*length)) {
            self.bar.set_length(length);
            self.bar.set_style(bar());
        }
        self.bar.set_position(position);
        self.bar.set_message(format!(
            "{}  {}",
            place(progress),
            text::metrics(&self.metrics)
        ));
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Reporter for Bars {
    fn event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Building { folder } => {
                self.bar
                    .set_message(format!("building {} with cargo", folder.display()));
            }
            RunEvent::BuildLine(line) => self.bar.set_message(line.trim().to_owned()),
            RunEvent::Built { took } if *took > Duration::from_secs(1) => {
                self.say(format!("  built the plugin in {}", text::duration(*took)));
            }
            RunEvent::Built { .. } => {}
            RunEvent::Planned(plan) => {
                for line in headline(plan) {
                    self.say(line);
                }
                self.bar.set_message("starting the worker");
            }
            RunEvent::Started { .. } => {
                self.bar.reset_eta();
                self.bar.set_message("training");
            }
            RunEvent::Progress(progress) => self.progress(progress),
            RunEvent::Log { level, message } => self.say(log_line(*level, message)),
            RunEvent::Output(line) => self.say(format!("  │ {}", text::printable(line))),
            RunEvent::OutputHidden(lines) => self.say(hidden(*lines)),
            RunEvent::Stopping { reason, grace } => self.say(stopping(reason, *grace)),
            RunEvent::JournalFailed { message } => self.say(format!("! {message}")),
            RunEvent::Retrying {
                failure,
                attempt,
                of,
            } => self.say(retrying(failure, *attempt, *of)),
            RunEvent::Tracking(status) => {
                for line in self.tracking.news(status) {
                    self.say(line);
                }
                if self.ended {
                    self.bar.set_length(status.total);
                    self.bar.set_position(status.shipped);
                    self.bar.set_message("to MLflow");
                }
            }
            RunEvent::Ended(_) => {
                self.bar.set_style(bar());
                self.ended = true;
            }
            RunEvent::Closed(outcome) => {
                self.bar.finish_and_clear();
                for line in summary::summary(outcome) {
                    eprintln!("{line}");
                }
            }
        }
    }
}

/// Leaves the terminal clean when a run ends with an error.
impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} {per_sec} eta {eta} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}
