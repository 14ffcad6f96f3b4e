use super::StudyArgs;
use crate::cli::runs::output::{emit, emit_json, render, table};
use crate::cli::runs::text;
use explr::Exit;
use explr::tuning::export;
use explr_study::{History, Trial, TrialState};
use serde_json::Value;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Only trials in this state. May be repeated.
    #[arg(long, value_enum)]
    state: Vec<State>,
    /// The best first; without it the newest.
    #[arg(long)]
    best: bool,
    /// Show no more than this many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Running,
    Complete,
    Pruned,
    Failed,
    Waiting,
}

impl From<State> for TrialState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Complete => Self::Complete,
            State::Pruned => Self::Pruned,
            State::Failed => Self::Failed,
            State::Waiting => Self::Waiting,
        }
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (_, _, history) = args.study.open()?;
    let trials = select(args, &history);
    if args.json {
        let all: Vec<Value> = trials
            .iter()
            .map(|trial| export::trial_json(trial))
            .collect();
        emit_json(&all)?;
    } else if trials.is_empty() {
        eprintln!("no trial of study {} fits", history.name());
    } else {
        emit(&rows(&trials))?;
    }
    Ok(Exit::Ok)
}

fn select<'h>(args: &Args, history: &'h History) -> Vec<&'h Trial> {
    let mut trials: Vec<&Trial> = history
        .trials()
        .iter()
        .filter(|trial| {
            args.state.is_empty()
                || args
                    .state
                    .iter()
                    .any(|state| trial.state == (*state).into())
        })
        .rev()
        .collect();
    if args.best {
        let rank = |trial: &Trial| {
            let value = trial
                .values
                .first()
                .map_or(f64::INFINITY, |value| history.loss(*value));
            (trial.state != TrialState::Complete, value)
        };
        trials.sort_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
    }
    trials.truncate(args.limit.unwrap_or(usize::MAX));
    trials
}

fn rows(trials: &[&Trial]) -> String {
    let mut table = table(&["TRIAL", "STATE", "VALUE", "TIME", "RUN", "PARAMETERS"]);
    for trial in trials {
        let values: Vec<_> = trial
            .values
            .iter()
            .map(|value| text::number(*value))
            .collect();
        let seconds = match (trial.started, trial.finished) {
            (Some(from), Some(to)) => to.duration_since(from).as_secs_f64(),
            _ => 0.0,
        };
        let run = export::run_of(trial).unwrap_or_default();
        table.add_row([
            format!("#{}", trial.number),
            state(trial),
            values.join(", "),
            if seconds > 0.0 {
                text::duration(Duration::from_secs_f64(seconds))
            } else {
                String::new()
            },
            run.get(run.len().saturating_sub(8)..)
                .unwrap_or_default()
                .to_owned(),
            text::one_line(&text::params(&trial.external_params())),
        ]);
    }
    render(&table)
}

/// The state; for a failed trial also why, in a word.
fn state(trial: &Trial) -> String {
    let failure = trial
        .user_attrs
        .get(explr::tuning::FAILURE_ATTR)
        .and_then(Value::as_str)
        .and_then(|failure| failure.split(':').next());
    match (trial.state, failure) {
        (TrialState::Failed, Some(class)) => format!("failed ({class})"),
        (state, _) => state.to_string(),
    }
}
