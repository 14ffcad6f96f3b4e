use super::data::label;
use crate::analysis::{best_so_far, importances};
use crate::{Direction, History, TrialState};
use std::fmt::Write;

/// Columns of a terminal, at least.
const WIDTH: usize = 80;
/// Columns of a chart.
const CHART: usize = 60;
/// Parameters that are listed.
const MOST_PARAMETERS: usize = 10;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The study as a few lines for a terminal: counts, how the best value moved,
/// and which parameters mattered. At most 80 columns, no colours; ends in a
/// line break.
pub fn text(history: &History) -> String {
    let mut lines = vec![counts(history)];
    match history.directions() {
        [_] => lines.extend(progress(history)),
        _ => lines.push(format!(
            "Pareto front: {} trial(s)",
            history.pareto_front().len()
        )),
    }
    lines.extend(parameters(history));
    lines.iter().fold(String::new(), |mut text, line| {
        text.extend(line.chars().take(WIDTH));
        text.push('\n');
        text
    })
}

fn counts(history: &History) -> String {
    let states = [
        TrialState::Complete,
        TrialState::Pruned,
        TrialState::Failed,
        TrialState::Running,
        TrialState::Waiting,
    ];
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| (state, history.count(state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    match history.trials().len() {
        0 => "no trials yet".to_owned(),
        1 => format!("1 trial: {}", parts.join(", ")),
        all => format!("{all} trials: {}", parts.join(", ")),
    }
}

/// The best value over the trials as a row of bars, falling or rising with it.
fn progress(history: &History) -> Vec<String> {
    let steps = best_so_far(history);
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Vec::new();
    };
    let from = usize::try_from(first.number).unwrap_or(0);
    let span = history.trials().len() - from;
    let columns = span.min(CHART);
    let bests = (0..columns).map(|column| {
        let number = (from + (column + 1) * span / columns - 1) as u64;
        let reached = steps.iter().take_while(|step| step.number <= number).last();
        reached.map_or(first.value, |step| step.value)
    });
    let (low, high) = (first.value.min(last.value), first.value.max(last.value));
    // Over orders of magnitude only the logarithm shows anything.
    let height: fn(f64) -> f64 = if low > 0.0 && high / low > 1000.0 {
        f64::ln
    } else {
        |value| value
    };
    let chart: String = bests
        .map(|value| level(height(value), height(low), height(high)))
        .collect();
    let direction = match history.direction() {
        Direction::Minimize => "minimise",
        Direction::Maximize => "maximise",
    };
    vec![
        String::new(),
        format!(
            "best {} so far, {direction}: {} in trial {}",
            label(&[], 0, 1),
            short(last.value),
            last.number
        ),
        chart,
        format!("trials {from} to {}", history.trials().len() - 1),
    ]
}

fn level(value: f64, low: f64, high: f64) -> char {
    let share = (value - low) / (high - low);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let place = (share * (LEVELS.len() - 1) as f64).round().max(0.0) as usize;
    LEVELS[place.min(LEVELS.len() - 1)]
}

fn parameters(history: &History) -> Vec<String> {
    let importances = importances(history, 0);
    let Some(most) = importances.first().map(|importance| importance.share) else {
        return Vec::new();
    };
    let name = |name: &str| -> String { name.chars().take(24).collect() };
    let widest = importances.iter().take(MOST_PARAMETERS);
    let widest = widest
        .map(|i| name(&i.name).chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = vec![String::new(), "parameter importances".to_owned()];
    for importance in importances.iter().take(MOST_PARAMETERS) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let length = (importance.share / most * 40.0).round() as usize;
        let mut line = format!("{:<widest$}  ", name(&importance.name));
        // Writing to a String can't fail.
        let _ = write!(
            line,
            "{:>5.1} %  {}",
            100.0 * importance.share,
            "█".repeat(length)
        );
        lines.push(line);
    }
    if importances.len() > MOST_PARAMETERS {
        lines.push(format!("and {} more", importances.len() - MOST_PARAMETERS));
    }
    lines
}

/// Four significant digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    format!("{value:.3e}")
        .parse::<f64>()
        .unwrap_or(value)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::{Finish, SearchSpace, Study};

    #[test]
    fn a_study_without_trials_says_so() {
        let study = Study::builder("s").build().unwrap();
        assert_eq!(text(study.history()), "no trials yet\n");
    }

    #[test]
    fn the_summary_shows_counts_progress_and_parameters_in_80_columns() {
        let space = SearchSpace::builder()
            .float("x", 0.0..=1.0)
            .float(&"long".repeat(30), 0.0..=1.0);
        let mut study = Study::builder("s")
            .space(space.build().unwrap())
            .build()
            .unwrap();
        for value in 0..100 {
            let asked = study.ask().unwrap().unwrap();
            let x = asked.params["x"].as_f64().unwrap();
            let finish = match value % 10 {
                0 => Finish::Failed,
                _ => Finish::Complete(vec![x]),
            };
            study.tell(asked.number, finish).unwrap();
        }
        let text = text(study.history());
        assert!(
            text.starts_with("100 trials: 90 complete, 10 failed\n"),
            "{text}"
        );
        assert!(text.contains("so far, minimise: "), "{text}");
        assert!(text.contains("\nparameter importances\nx "), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
