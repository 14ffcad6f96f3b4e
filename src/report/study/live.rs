use super::plain::{again, ended, headline, of_trial, stopping};
use super::{StudyEvent, StudyPlan, StudyReporter, TrialEnd, summary};
use crate::report::plain::{Tracking, place};
use crate::report::{RunEvent, text};
use explr_protocol::control::Progress;
use explr_study::TrialState;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A line for each running trial and one for the study, at the bottom of a
/// terminal; above them what is worth keeping. Writes to standard error.
#[derive(Debug)]
pub struct StudyLive {
    screen: MultiProgress,
    bottom: ProgressBar,
    running: BTreeMap<u64, Line>,
    plan: Option<StudyPlan>,
    tracking: Tracking,
    tally: Tally,
    ended: bool,
}

/// A running trial.
#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    params: String,
    place: String,
    value: Option<f64>,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Tally {
    complete: u64,
    pruned: u64,
    failed: u64,
    best: Option<(u64, Vec<f64>)>,
    began: Option<Instant>,
    /// Trials that ended since.
    ended: u64,
}

impl StudyLive {
    /// Draws on standard error, if that is a terminal.
    pub fn new() -> Self {
        let screen = MultiProgress::new();
        let bottom = screen.add(ProgressBar::new_spinner());
        bottom.set_style(style("{spinner} {elapsed} {wide_msg}"));
        bottom.enable_steady_tick(Duration::from_millis(200));
        Self {
            screen,
            bottom,
            running: BTreeMap::new(),
            plan: None,
            tracking: Tracking::default(),
            tally: Tally::default(),
            ended: false,
        }
    }

    fn say(&self, line: impl AsRef<str>) {
        let _ = self.screen.println(line);
    }

    fn start(&mut self, number: u64, params: String) {
        let bar = self
            .screen
            .insert_before(&self.bottom, ProgressBar::new_spinner());
        bar.set_style(style("  {elapsed:>4} {wide_msg}"));
        bar.enable_steady_tick(Duration::from_secs(1));
        let line = Line {
            bar,
            params,
            place: String::new(),
            value: None,
        };
        line.show(number);
        self.running.insert(number, line);
        self.tally.began.get_or_insert_with(Instant::now);
    }

    fn progress(&mut self, number: u64, progress: &Progress) {
        if let Some(line) = self.running.get_mut(&number) {
            line.place = place(progress);
            line.show(number);
        }
    }

    fn end(&mut self, trial: &TrialEnd) {
        if let Some(line) = self.running.remove(&trial.number) {
            line.bar.finish_and_clear();
            self.screen.remove(&line.bar);
        }
        match trial.state {
            TrialState::Complete => self.tally.complete += 1,
            TrialState::Pruned => self.tally.pruned += 1,
            TrialState::Failed => self.tally.failed += 1,
            TrialState::Running | TrialState::Waiting => return,
        }
        self.tally.ended += 1;
        if trial.is_best {
            self.tally.best = Some((trial.number, trial.values.clone()));
        }
        // Of thousands of trials only these are news.
        if trial.is_best || trial.state == TrialState::Failed {
            self.say(ended(trial));
        }
        self.show();
    }

    fn show(&self) {
        let done = self.tally.complete + self.tally.pruned + self.tally.failed;
        self.bottom.set_position(done);
        let total = self.plan.as_ref().and_then(|plan| plan.trials);
        self.bottom.set_message(self.tally.line(total));
    }
}

impl Default for StudyLive {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    fn show(&self, number: u64) {
        let value = self.value.map_or_else(String::new, text::number);
        let parts = [&self.place, &value, &self.params];
        let shown: Vec<&str> = parts
            .iter()
            .map(|part| part.as_str())
            .filter(|part| !part.is_empty())
            .collect();
        self.bar
            .set_message(format!("#{number}  {}", shown.join("  ")));
    }
}

impl Tally {
    fn line(&self, total: Option<u64>) -> String {
        let mut parts = vec![format!("✔ {}", self.complete)];
        if self.pruned > 0 {
            parts.push(format!("✂ {}", self.pruned));
        }
        if self.failed > 0 {
            parts.push(format!("✘ {}", self.failed));
        }
        if let Some((number, values)) = &self.best {
            parts.push(format!("best {} (#{number})", summary::values(values)));
        }
        if let (Some(began), 1..) = (self.began, self.ended) {
            let each = began.elapsed().as_secs_f64() / self.ended as f64;
            parts.push(format!(
                "{}/min",
                text::number((60.0 / each).round().max(0.1))
            ));
            let done = self.complete + self.pruned + self.failed;
            if let Some(left) = total
                .and_then(|total| total.checked_sub(done))
                .filter(|left| *left > 0)
            {
                let eta = Duration::from_secs_f64((each * left as f64).min(1e9));
                parts.push(format!("eta {}", text::duration(eta)));
            }
        }
        parts.join("  ")
    }
}

impl StudyReporter for StudyLive {
    fn event(&mut self, event: &StudyEvent) {
        match event {
            StudyEvent::Build(RunEvent::Building { folder }) => self
                .bottom
                .set_message(format!("building {} with cargo", folder.display())),
            StudyEvent::Build(RunEvent::BuildLine(line)) => {
                self.bottom.set_message(line.trim().to_owned());
            }
            StudyEvent::Build(RunEvent::Built { took }) if *took > Duration::from_secs(1) => {
                self.say(format!("  built the plugin in {}", text::duration(*took)));
            }
            StudyEvent::Build(_) => {}
            StudyEvent::Planned(plan) => {
                for line in headline(plan) {
                    self.say(line);
                }
                if let Some(total) = plan.trials {
                    self.bottom.set_length(total);
                    self.bottom.set_style(bar());
                }
                self.tally.best.clone_from(&plan.best);
                self.plan = Some((**plan).clone());
                self.bottom.set_message("starting");
            }
            StudyEvent::Note(note) => self.say(format!("! {note}")),
            StudyEvent::TrialStarted(trial) => {
                if trial.again {
                    self.say(again(trial));
                }
                self.start(trial.number, text::params(&trial.params));
            }
            StudyEvent::Trial {
                number,
                event: RunEvent::Progress(progress),
            } => self.progress(*number, progress),
            StudyEvent::Trial { number, event } => {
                if let Some(line) = of_trial(*number, event) {
                    self.say(line);
                }
            }
            StudyEvent::Reported { number, value, .. } => {
                if let Some(line) = self.running.get_mut(number) {
                    line.value = Some(*value);
                    line.show(*number);
                }
            }
            StudyEvent::TrialEnded(trial) => self.end(trial),
            StudyEvent::Stopping { reason } => self.say(stopping(reason)),
            StudyEvent::Tracking(status) => {
                for line in self.tracking.news(status) {
                    self.say(line);
                }
                if self.ended {
                    self.bottom.set_length(status.total);
                    self.bottom.set_position(status.shipped);
                    self.bottom.set_message("records in MLflow");
                }
            }
            StudyEvent::Ended(_) => {
                self.bottom.set_style(bar());
                self.ended = true;
            }
            StudyEvent::Closed(outcome) => {
                self.bottom.finish_and_clear();
                for line in summary::summary(outcome, self.plan.as_ref()) {
                    eprintln!("{line}");
                }
            }
        }
    }
}

/// Leaves the terminal clean when a study ends with an error.
impl Drop for StudyLive {
    fn drop(&mut self) {
        let _ = self.screen.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar() -> ProgressStyle {
    style("{spinner} {elapsed} {bar:24} {pos}/{len}  {wide_msg}").progress_chars("█▉▊▋▌▍▎▏ ")
}
