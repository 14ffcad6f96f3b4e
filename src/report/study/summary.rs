//! The last words about a study.

use super::StudyPlan;
use crate::report::text;
use crate::store::Store;
use crate::tuning::{End, StudyOutcome};
use explr_study::{History, Trial, TrialState};

/// Trials in the table of the best.
const BEST: usize = 5;

/// What came out, the best trials, and what to do next.
pub(super) fn summary(outcome: &StudyOutcome, plan: Option<&StudyPlan>) -> Vec<String> {
    let history = &outcome.history;
    let mut lines = vec![headline(outcome)];
    lines.push(format!("  {}", counts(history, outcome.interrupted)));
    lines.extend(best(history));
    if let Some(report) = &outcome.tracking {
        if let Some(url) = &report.run_url {
            lines.push(format!("  MLflow  {url}"));
        }
        if report.set_aside > 0 {
            lines.push(format!(
                "! {} records were refused by MLflow; they are in the runs' journals",
                text::count(report.set_aside)
            ));
        }
        if report.left > 0 {
            let why = report.error.as_deref().unwrap_or("the time was up");
            lines.push(format!(
                "! {} records are not in MLflow yet ({why}); nothing is lost: `explr sync --all`",
                text::count(report.left)
            ));
        }
    }
    lines.extend(next(outcome, plan));
    lines
}

fn headline(outcome: &StudyOutcome) -> String {
    let took = text::duration(outcome.duration);
    let study = outcome.history.name();
    let complete = outcome.history.count(TrialState::Complete);
    match outcome.end {
        End::Enough | End::Exhausted if complete == 0 && outcome.ran > 0 => {
            format!("✘ study {study}: no trial completed, after {took}")
        }
        End::Enough if outcome.ran == 0 => {
            format!("✔ study {study} has its trials already: nothing to do")
        }
        End::Enough => format!("✔ study {study} is done, in {took}"),
        End::Exhausted => format!("✔ study {study} has tried everything, in {took}"),
        End::Goal => format!("✔ study {study} has reached its goal, in {took}"),
        End::Timeout => format!("■ study {study}: the time is up, after {took}"),
        End::FailureBudget => format!("✘ study {study}: too many trials failed, after {took}"),
        End::Stopped(reason) => format!("■ study {study} was stopped ({reason}) after {took}"),
    }
}

/// As in `50 trials: 41 complete, 8 pruned, 1 failed`.
pub(super) fn counts(history: &History, interrupted: u64) -> String {
    let states = [TrialState::Complete, TrialState::Pruned, TrialState::Failed];
    let total: usize = states.iter().map(|state| history.count(*state)).sum();
    let mut parts: Vec<String> = states
        .iter()
        .map(|state| (history.count(*state), state))
        .filter(|(count, state)| *count > 0 || **state == TrialState::Complete)
        .map(|(count, state)| format!("{} {state}", text::count(count as u64)))
        .collect();
    if interrupted > 0 {
        parts.push(format!("{} interrupted", text::count(interrupted)));
    }
    format!("{} trials: {}", text::count(total as u64), parts.join(", "))
}

/// The table of the best trials; with several objectives, those that no other
/// beats.
fn best(history: &History) -> Vec<String> {
    let mut trials: Vec<&Trial> = if history.directions().len() > 1 {
        history.pareto_front()
    } else {
        let mut complete: Vec<&Trial> = history
            .trials()
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .collect();
        complete.sort_by(|a, b| {
            history
                .loss(a.values[0])
                .total_cmp(&history.loss(b.values[0]))
        });
        complete
    };
    if trials.is_empty() {
        return Vec::new();
    }
    trials.truncate(BEST);
    let rows: Vec<[String; 3]> = trials
        .iter()
        .map(|trial| {
            [
                format!("#{}", trial.number),
                values(&trial.values),
                text::params(&trial.external_params()),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (first, second) = (width(0).max(5), width(1).max(5));
    let title = if history.directions().len() > 1 {
        "not beaten by any other"
    } else {
        "best"
    };
    let head = format!("  {:<first$}  {title:<second$}  parameters", "trial");
    std::iter::once(head)
        .chain(rows.iter().map(|[number, values, params]| {
            format!("  {number:<first$}  {values:<second$}  {params}")
        }))
        .collect()
}

fn next(outcome: &StudyOutcome, plan: Option<&StudyPlan>) -> Vec<String> {
    let study = outcome.history.name();
    let config = plan.and_then(|plan| plan.config.as_deref());
    let config = config.map_or_else(|| "CONFIG".to_owned(), |path| path.display().to_string());
    // The store is named where the commands would not find it.
    let here = std::env::current_dir().ok();
    let near = here.and_then(|here| Store::find(&here));
    let store = plan
        .and_then(|plan| plan.journal.parent()?.parent())
        .filter(|store| near.as_deref() != Some(store));
    let (setting, option) = store.map_or_else(Default::default, |store| {
        let store = store.display();
        (format!(" store={store}"), format!(" --store {store}"))
    });
    let mut lines = Vec::new();
    if let Some(best) = outcome.history.best() {
        lines.push(format!(
            "→ explr run {config} --from-trial {study}#{}{setting}",
            best.number
        ));
        lines.push(format!("→ explr study plot {study}{option}"));
    }
    match outcome.end {
        End::Stopped(_) | End::Timeout => {
            lines.push("→ the same command again continues it".to_owned());
        }
        End::Enough if outcome.ran == 0 => {
            lines.push(format!("→ explr tune {config} --more 20{setting}"));
        }
        _ if outcome.failed > 0 => {
            lines.push(format!(
                "→ explr study trials {study} --state failed{option}"
            ));
        }
        _ => {}
    }
    lines
}

/// Objective values on one line.
pub(super) fn values(values: &[f64]) -> String {
    let numbers: Vec<_> = values.iter().map(|value| text::number(*value)).collect();
    numbers.join(", ")
}
