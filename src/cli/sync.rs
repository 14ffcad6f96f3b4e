//! `explr sync`: what MLflow has not got yet.

use super::runs::{StoreArgs, emit};
use anyhow::Context;
use explr::Exit;
use explr::config::Mlflow;
use explr::report::text::printable;
use explr::store::{RunDir, Store};
use explr::tracking::{Report, ServerStatus, Settings, Status, TrackingError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs: ids, unique starts of them, short forms, or `last`. Default:
    /// all that MLflow is behind with.
    #[arg(value_name = "RUN", conflicts_with = "all")]
    runs: Vec<String>,
    /// Check every run at the server, and bring again what is gone there.
    #[arg(long)]
    all: bool,
    /// Address of the server. Default: what each run was made with.
    #[arg(long, value_name = "URI")]
    tracking_uri: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let mut results = Vec::new();
    let mut exit = Exit::Ok;
    for (settings, runs) in args.work(&store)?.values() {
        let bar = bar(args.json);
        if !args.json && bar.is_hidden() {
            let (count, server) = (runs.len(), settings.describe());
            eprintln!("bringing runs to {server}: {count}");
        }
        let synced = explr::tracking::sync(settings, runs, |run, status| {
            show(&bar, run, status);
        });
        bar.finish_and_clear();
        match synced {
            Ok(reports) => results.extend(reports),
            Err(error @ TrackingError::Unreachable(_)) => {
                eprintln!("error: {}: {error}", settings.describe());
                exit = Exit::Tracking;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        let list: Vec<_> = results
            .iter()
            .map(|(id, report)| as_json(id.as_str(), report))
            .collect();
        emit(&format!("{}\n", json!(list)))?;
    }
    for (id, report) in &results {
        if !args.json {
            emit(&describe(id.short(), report))?;
        }
        if report.left > 0 && exit == Exit::Ok {
            exit = Exit::Tracking;
        }
    }
    if results.is_empty() && exit == Exit::Ok {
        eprintln!("nothing to do: MLflow has all that the store's runs have logged");
        return Ok(Exit::NothingToDo);
    }
    Ok(exit)
}

impl Args {
    /// The runs to bring, by server.
    fn work(&self, store: &Store) -> anyhow::Result<BTreeMap<String, (Settings, Vec<RunDir>)>> {
        let named: Vec<_> = (self.runs.iter())
            .map(|name| store.run(name))
            .collect::<Result<_, _>>()?;
        let runs = if named.is_empty() {
            store.runs()?
        } else {
            named
        };
        let base = store.root().parent().unwrap_or(store.root());
        let mut work: BTreeMap<String, (Settings, Vec<RunDir>)> = BTreeMap::new();
        for run in runs {
            let config = match run.manifest() {
                Ok(manifest) => self.config(&explr::tracking::settings_of(&manifest)),
                Err(error) if self.runs.is_empty() => {
                    eprintln!("warning: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let settings = match Settings::resolve(&config, base, store) {
                Ok(Some(settings)) => settings,
                Ok(None) if self.runs.is_empty() => continue,
                Ok(None) => anyhow::bail!(
                    "run {} was made with MLflow off, or a folder as its address; \
                     --tracking-uri names a server to bring it to",
                    run.id().short()
                ),
                Err(error) => {
                    return Err(error).with_context(|| format!("run {}", run.id().short()));
                }
            };
            let asked_for = self.all || !self.runs.is_empty();
            if asked_for || explr::tracking::is_behind(&run, &settings)? {
                let entry = work.entry(settings.identity()?);
                entry.or_insert_with(|| (settings, Vec::new())).1.push(run);
            }
        }
        Ok(work)
    }

    fn config(&self, of_run: &Mlflow) -> Mlflow {
        match &self.tracking_uri {
            None => of_run.clone(),
            Some(uri) => Mlflow {
                enabled: true,
                tracking_uri: Some(uri.clone()),
                ..of_run.clone()
            },
        }
    }
}

fn bar(json: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(0),
        if json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        },
    );
    let style = "{prefix} {bar:30} {human_pos}/{human_len} records, {per_sec}  {wide_msg}";
    bar.with_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn show(bar: &ProgressBar, run: &RunDir, status: &Status) {
    let prefix = run.id().short();
    if bar.prefix() != prefix {
        bar.set_prefix(prefix.to_owned());
        bar.reset();
    }
    bar.set_length(status.total);
    bar.set_position(status.shipped);
    bar.set_message(match &status.server {
        ServerStatus::Starting => "waiting for MLflow".to_owned(),
        ServerStatus::Up { url } => printable(url),
        ServerStatus::Down { reason } => printable(reason),
    });
}

fn describe(id: &str, report: &Report) -> String {
    let url = report.run_url.as_deref().unwrap_or_default();
    let refused = match report.set_aside {
        0 => String::new(),
        count => format!(", {count} refused by MLflow (mlflow-rejected.jsonl in its folder)"),
    };
    match &report.error {
        Some(error) => format!("{id}: {} records left: {}\n", report.left, printable(error)),
        None if report.left > 0 => format!("{id}: {} records left{refused} {url}\n", report.left),
        None => format!("{id}: up to date{refused} {url}\n"),
    }
}

fn as_json(id: &str, report: &Report) -> serde_json::Value {
    json!({
        "run": id,
        "left": report.left,
        "set_aside": report.set_aside,
        "url": report.run_url,
        "error": report.error,
    })
}
