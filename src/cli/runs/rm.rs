use super::output::emit;
use super::text::{one_line, parse_duration};
use super::view::{Shown, View};
use explr::Exit;
use explr::store::{RunDir, Store, StoreError};
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)))]
pub(crate) struct Args {
    /// The runs: ids, unique starts of them, short forms, or `last`.
    #[arg(group = "which", value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    store: super::StoreArgs,
    /// All runs that ended longer ago than this, as in `12h` or `30d`.
    #[arg(long, group = "which", value_name = "DURATION", value_parser = parse_duration, conflicts_with = "runs")]
    older_than: Option<Duration>,
    /// All runs in this state. With --older-than: those that are both.
    #[arg(long, group = "which", value_enum, conflicts_with = "runs")]
    state: Option<Shown>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let runs = chosen(args, &store)?;
    if runs.is_empty() {
        eprintln!("no run fits: nothing removed");
        return Ok(Exit::NothingToDo);
    }
    if !args.yes && !confirmed(&runs)? {
        eprintln!("nothing removed");
        return Ok(Exit::NothingToDo);
    }
    let mut in_mlflow = 0;
    let mut first_error = None;
    for run in &runs {
        let shipped = run.mlflow_path().exists();
        match store.remove(run) {
            Ok(()) => {
                in_mlflow += usize::from(shipped);
                emit(&format!("removed {}\n", run.id().short()))?;
            }
            Err(error) => {
                eprintln!("error: {error}");
                first_error.get_or_insert(error.exit());
            }
        }
    }
    if in_mlflow > 0 {
        eprintln!(
            "note: what MLflow holds of {} stays there",
            count(in_mlflow)
        );
    }
    Ok(first_error.unwrap_or(Exit::Ok))
}

fn chosen(args: &Args, store: &Store) -> Result<Vec<RunDir>, StoreError> {
    if !args.runs.is_empty() {
        let mut runs: Vec<RunDir> = Vec::new();
        for name in &args.runs {
            let run = store.run(name)?;
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
        return Ok(runs);
    }
    let now = super::now_ms();
    let limit = args
        .older_than
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let fits = |run: &RunDir| {
        let view = View::of(run, now);
        let age = now.saturating_sub(view.ended_ms.unwrap_or(view.created_ms));
        // A rule never means a run that is at work.
        !view.live && age >= limit && args.state.is_none_or(|state| view.state == state)
    };
    Ok(store.runs()?.into_iter().filter(fits).collect())
}

fn confirmed(runs: &[RunDir]) -> anyhow::Result<bool> {
    for run in runs.iter().take(10) {
        let experiment = run
            .manifest()
            .map_or_else(|_| "?".to_owned(), |manifest| manifest.experiment);
        eprintln!("  {}  {}", run.id().short(), one_line(&experiment));
    }
    if runs.len() > 10 {
        eprintln!("  and {} more", runs.len() - 10);
    }
    crate::cli::confirm::confirmed(&format!(
        "{} with checkpoints and artifacts",
        count(runs.len())
    ))
}

fn count(runs: usize) -> String {
    match runs {
        1 => "this run".to_owned(),
        many => format!("these {many} runs"),
    }
}
