use super::{StudyEvent, StudyPlan, StudyReporter, TrialEnd, TrialStart, summary};
use crate::report::plain::Tracking;
use crate::report::{RunEvent, text};
use explr_protocol::LogLevel;
use explr_study::TrialState;
use std::io::Write;
use std::time::Duration;

/// Plain lines, for pipes, files and CI.
#[derive(Debug)]
pub struct StudyPlain<W> {
    out: W,
    quiet: bool,
    tracking: Tracking,
    plan: Option<StudyPlan>,
}

impl<W: Write + Send> StudyPlain<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            quiet: false,
            tracking: Tracking::default(),
            plan: None,
        }
    }

    /// Only failures and warnings.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn say(&mut self, line: impl AsRef<str>) {
        // Whoever reads may be gone: the study goes on.
        let _ = writeln!(self.out, "{}", line.as_ref());
    }

    fn detail(&mut self, line: impl AsRef<str>) {
        if !self.quiet {
            self.say(line);
        }
    }
}

impl<W: Write + Send> StudyReporter for StudyPlain<W> {
    fn event(&mut self, event: &StudyEvent) {
        match event {
            StudyEvent::Build(RunEvent::Building { folder }) => self.detail(format!(
                "building {} (cargo build --release)",
                folder.display()
            )),
            StudyEvent::Build(RunEvent::Built { took }) if *took > Duration::from_secs(1) => {
                self.detail(format!("built in {}", text::duration(*took)));
            }
            StudyEvent::Planned(plan) => {
                for line in headline(plan) {
                    self.detail(line);
                }
                self.plan = Some((**plan).clone());
            }
            StudyEvent::Note(note) => self.say(format!("! {note}")),
            StudyEvent::TrialStarted(trial) if trial.again => self.detail(again(trial)),
            StudyEvent::Trial { number, event } => {
                if let Some(line) = of_trial(*number, event) {
                    self.say(line);
                }
            }
            StudyEvent::TrialEnded(trial) => {
                let line = ended(trial);
                if trial.state == TrialState::Failed {
                    self.say(line);
                } else {
                    self.detail(line);
                }
            }
            StudyEvent::Stopping { reason } => self.say(stopping(reason)),
            StudyEvent::Tracking(status) => {
                for line in self.tracking.news(status) {
                    if line.starts_with('!') {
                        self.say(line);
                    } else {
                        self.detail(line);
                    }
                }
            }
            StudyEvent::Closed(outcome) => {
                if !self.quiet {
                    for line in summary::summary(outcome, self.plan.as_ref()) {
                        self.say(line);
                    }
                }
            }
            StudyEvent::Build(_)
            | StudyEvent::TrialStarted(_)
            | StudyEvent::Reported { .. }
            | StudyEvent::Ended(_) => {}
        }
    }
}

/// What is searched how.
pub(super) fn headline(plan: &StudyPlan) -> Vec<String> {
    let trials = match plan.trials {
        Some(total) => format!("{} trials", text::count(total)),
        None => "all combinations".to_owned(),
    };
    let timeout = plan.timeout.map_or_else(String::new, |timeout| {
        format!(" · at most {}", text::duration(timeout))
    });
    let mut lines = vec![
        format!(
            "▶ study {} · {} · {}{trials}{timeout}",
            plan.study,
            plan.function,
            if plan.finished > 0 {
                "continues to "
            } else {
                ""
            },
        ),
        format!(
            "  {} parameter{} · {} · pruner {} · seed {}",
            plan.parameters,
            if plan.parameters == 1 { "" } else { "s" },
            plan.sampler,
            plan.pruner,
            plan.seed
        ),
        format!(
            "  {} at a time · device {} · {} thread{} each",
            plan.jobs,
            plan.device,
            plan.threads,
            if plan.threads == 1 { "" } else { "s" }
        ),
        format!("  journal  {}", plan.journal.display()),
    ];
    if plan.finished > 0 {
        let best = plan
            .best
            .as_ref()
            .map_or_else(String::new, |(number, values)| {
                format!(", best {} (#{number})", summary::values(values))
            });
        lines.push(format!(
            "  {} trials are finished{best}",
            text::count(plan.finished)
        ));
    }
    lines
}

pub(super) fn again(trial: &TrialStart) -> String {
    format!(
        "  #{} goes on  {}",
        trial.number,
        text::params(&trial.params)
    )
}

/// What is worth a line of what happens in a trial.
pub(super) fn of_trial(number: u64, event: &RunEvent) -> Option<String> {
    match event {
        RunEvent::Log { level, message } if *level >= LogLevel::Warning => {
            Some(format!("! #{number} {}", text::printable(message)))
        }
        RunEvent::JournalFailed { message } => Some(format!("! #{number} {message}")),
        RunEvent::Retrying {
            failure,
            attempt,
            of,
        } => Some(format!(
            "! #{number} failed ({}): {}; attempt {attempt} of {of}",
            failure.class,
            text::printable(&failure.message)
        )),
        _ => None,
    }
}

/// A trial that is over, on one line.
pub(super) fn ended(trial: &TrialEnd) -> String {
    let (mark, what) = match trial.state {
        TrialState::Complete => ("✔", summary::values(&trial.values)),
        TrialState::Pruned => ("✂", format!("pruned at {}", summary::values(&trial.values))),
        TrialState::Failed => ("✘", failure(trial)),
        TrialState::Running | TrialState::Waiting => ("■", "interrupted".to_owned()),
    };
    let best = if trial.is_best { "  ★ best" } else { "" };
    format!(
        "{mark} #{} {what}{best}  {}  {}",
        trial.number,
        text::params(&trial.params),
        text::duration(trial.duration)
    )
}

fn failure(trial: &TrialEnd) -> String {
    trial.failure.as_ref().map_or_else(
        || "failed".to_owned(),
        |failure| {
            let message = failure.message.lines().next().unwrap_or_default();
            format!("failed ({}): {}", failure.class, text::printable(message))
        },
    )
}

pub(super) fn stopping(reason: &str) -> String {
    format!(
        "■ {reason}: no more trials; the running ones are asked to stop (Ctrl-C again: at once)"
    )
}
