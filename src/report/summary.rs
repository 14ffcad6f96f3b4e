//! The last words about a run.

use super::text;
use crate::runner::RunOutcome;
use explr_protocol::{Failure, RunState};

/// Log lines that a failure quotes on screen.
const QUOTED: usize = 15;

/// A few lines: what came out, where it is, what to do next.
pub(super) fn summary(outcome: &RunOutcome) -> Vec<String> {
    let run = outcome.run_id.short();
    let took = text::duration(outcome.duration);
    let mut lines = match (&outcome.state, &outcome.failure) {
        (RunState::Completed, _) => vec![format!("✔ completed in {took}")],
        (RunState::Pruned, _) => vec![format!("✂ pruned after {took}")],
        (RunState::Interrupted, _) => vec![format!("■ interrupted after {took}")],
        (_, Some(failure)) => failed(failure, &took),
        _ => vec![format!("✘ failed after {took}")],
    };
    if let Some(result) = &outcome.result {
        lines.push(format!(
            "  {}  {}",
            result.primary_metric_name,
            text::number(result.primary_metric)
        ));
        for (key, value) in &result.metrics {
            lines.push(format!("  {key}  {}", text::number(*value)));
        }
        if let Some(epochs) = result.epochs_completed {
            lines.push(format!("  epochs  {epochs}"));
        }
        if let Some(model) = &result.best_model_path {
            let path = outcome.folder.join(model);
            lines.push(format!("  model  {}", path.display()));
        }
    }
    lines.push(format!("  folder  {}", outcome.folder.display()));
    if let Some(report) = &outcome.tracking {
        if let Some(url) = &report.run_url {
            lines.push(format!("  MLflow  {url}"));
        }
        if report.set_aside > 0 {
            lines.push(format!(
                "! {} records were refused by MLflow; they are in the journal and in {}",
                text::count(report.set_aside),
                outcome.folder.join("mlflow-rejected.jsonl").display()
            ));
        }
        if report.left > 0 {
            let why = report.error.as_deref().unwrap_or("the time was up");
            lines.push(format!(
                "! {} records are not in MLflow yet ({why}); nothing is lost: `explr sync {run}`",
                text::count(report.left)
            ));
        }
    }
    lines.push(match outcome.state {
        RunState::Interrupted => {
            "→ the same command again continues it from its newest checkpoint".to_owned()
        }
        RunState::Completed | RunState::Pruned => format!("→ explr runs show {run}"),
        _ => format!("→ explr runs logs {run}"),
    });
    lines
}

fn failed(failure: &Failure, took: &str) -> Vec<String> {
    let mut lines = vec![format!("✘ failed ({}) after {took}", failure.class)];
    for line in failure.message.lines() {
        lines.push(format!("  {}", text::printable(line)));
    }
    if let Some(location) = &failure.location {
        lines.push(format!("  at {location}"));
    }
    if !failure.log_tail.is_empty() {
        lines.push("  the last lines of its output:".to_owned());
        let from = failure.log_tail.len().saturating_sub(QUOTED);
        for line in &failure.log_tail[from..] {
            lines.push(format!("  │ {}", text::printable(line)));
        }
    }
    lines
}
