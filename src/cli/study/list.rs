use crate::cli::runs::output::{emit, emit_json, render, table};
use crate::cli::runs::{StoreArgs, text};
use explr::Exit;
use explr::store::StoreError;
use explr_study::{History, StudyLock, TrialState};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let studies = match args.store.open() {
        Ok(store) => store.studies()?,
        Err(error @ StoreError::Missing { .. }) => {
            eprintln!("{error}");
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let mut views = Vec::new();
    for (name, journal) in &studies {
        match super::load(journal, name) {
            Ok(history) => views.push(view(&history, journal)),
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    if args.json {
        emit_json(&views)?;
    } else if views.is_empty() {
        eprintln!("no studies yet: `explr tune` makes the first");
    } else {
        let mut table = table(&[
            "STUDY", "STATE", "TRIALS", "COMPLETE", "PRUNED", "FAILED", "BEST",
        ]);
        for view in &views {
            let cell = |key: &str| match &view[key] {
                Value::String(text) => text::one_line(text),
                Value::Number(number) if number.is_f64() => {
                    text::number(number.as_f64().unwrap_or_default())
                }
                Value::Null => String::new(),
                other => other.to_string(),
            };
            table.add_row(
                [
                    "study",
                    "state",
                    "trials",
                    "complete",
                    "pruned",
                    "failed",
                    "best_value",
                ]
                .map(cell),
            );
        }
        emit(&render(&table))?;
    }
    Ok(Exit::Ok)
}

fn view(history: &History, journal: &Path) -> Value {
    let best = history.best();
    json!({
        "study": history.name(),
        "state": if StudyLock::is_held(journal) { "running" } else { "idle" },
        "trials": history.trials().len(),
        "complete": history.count(TrialState::Complete),
        "pruned": history.count(TrialState::Pruned),
        "failed": history.count(TrialState::Failed),
        "best_trial": best.map(|trial| trial.number),
        "best_value": best.and_then(|trial| trial.values.first().copied()),
        "journal": journal,
    })
}
