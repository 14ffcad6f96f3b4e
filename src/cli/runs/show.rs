use super::output::{emit, emit_json, render, table};
use super::view::{Shown, View};
use super::{shown, text};
use explr::Exit;
use explr::store::{Manifest, RunDir, RunSummary, Store};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, a unique start of it, its short form, or `last`.
    run: String,
    #[command(flatten)]
    store: super::StoreArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything, for programs.
#[derive(Serialize)]
struct Everything<'a> {
    #[serde(flatten)]
    view: &'a View,
    manifest: Option<&'a Manifest>,
    summary: Option<&'a RunSummary>,
    mlflow_url: Option<&'a str>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let run = store.run(&args.run)?;
    let view = View::of(&run, super::now_ms());
    let (manifest, summary) = (run.manifest(), run.summary());
    let url = mlflow_url(&store, &run);
    if args.json {
        emit_json(&Everything {
            view: &view,
            manifest: manifest.as_ref().ok(),
            summary: summary.as_ref().ok(),
            mlflow_url: url.as_deref(),
        })?;
    } else {
        let page = Page {
            view: &view,
            manifest: manifest.as_ref().ok(),
            summary: summary.as_ref().ok(),
            url: url.as_deref(),
        };
        emit(&page.text())?;
    }
    // What could be read was shown; what could not decides the code.
    match (manifest, summary) {
        (_, Err(error)) | (Err(error), _) => Err(error.into()),
        _ => Ok(Exit::Ok),
    }
}

/// The run's page in MLflow, from the shipper's cursor. The store's own server
/// is where it was started last; its cursor names no address.
fn mlflow_url(store: &Store, run: &RunDir) -> Option<String> {
    let read =
        |path: &Path| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    let cursor = read(&run.mlflow_path())?;
    let text = |key| cursor.get(key).and_then(Value::as_str);
    let (experiment, id) = (text("experiment_id")?, text("run_id")?);
    let base = match text("server") {
        Some(url) if url.starts_with("http") => url.trim_end_matches('/').to_owned(),
        _ => {
            let server = read(&store.mlflow_dir().join("server.json"))?;
            format!("http://127.0.0.1:{}", server.get("port")?.as_u64()?)
        }
    };
    Some(format!("{base}/#/experiments/{experiment}/runs/{id}"))
}

/// Most parameters, metrics and so on that a page shows of each kind.
const SHOWN: usize = 200;

struct Page<'a> {
    view: &'a View,
    manifest: Option<&'a Manifest>,
    summary: Option<&'a RunSummary>,
    url: Option<&'a str>,
}

impl Page<'_> {
    fn text(&self) -> String {
        let mut page = String::new();
        self.head(&mut page);
        self.failure(&mut page);
        let parameters = self.view.hyperparameters.iter();
        section(
            &mut page,
            "Hyperparameters",
            parameters.map(|(key, value)| (key.as_str(), text::value(value))),
        );
        if let Some(summary) = self.summary {
            // What the orchestrator logs from the hyperparameters is above.
            let more = summary.params.iter().filter(|(key, _)| {
                let first = key.split('.').next().unwrap_or(key);
                !self.view.hyperparameters.contains_key(first)
            });
            section(
                &mut page,
                "Parameters",
                more.map(|(key, value)| (key.as_str(), text::value(value))),
            );
            metrics(&mut page, summary);
            section(
                &mut page,
                "Tags",
                summary
                    .tags
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.clone())),
            );
            files(&mut page, summary);
        }
        let _ = writeln!(page, "\n→ {}", self.next());
        page
    }

    fn head(&self, page: &mut String) {
        let view = self.view;
        let mut lines = vec![
            ("run", view.id.clone()),
            (
                "experiment",
                view.experiment.clone().unwrap_or_else(|| "?".to_owned()),
            ),
            ("state", view.state_text()),
        ];
        if let Some(started) = view.started_ms {
            lines.push(("started", text::moment(started)));
        }
        if let Some(ended) = view.ended_ms {
            lines.push(("ended", text::moment(ended)));
        }
        lines.push((
            "duration",
            text::duration(Duration::from_millis(view.duration_ms)),
        ));
        if view.attempt > 1 {
            lines.push(("attempt", view.attempt.to_string()));
        }
        if let Some(primary) = &view.primary {
            lines.push((&primary.name, text::number(primary.value)));
        }
        if let Some(result) = self.summary.and_then(|summary| summary.result.as_ref()) {
            lines.extend(
                result
                    .epochs_completed
                    .map(|epochs| ("epochs", epochs.to_string())),
            );
            lines.extend(
                result
                    .best_model_path
                    .as_ref()
                    .map(|model| ("model", shown(&view.path.join(model)))),
            );
        }
        if let Some(manifest) = self.manifest {
            lines.push(if manifest.code == Manifest::COMMAND {
                ("runs", manifest.function.clone())
            } else {
                let function = format!("{} in {}", manifest.function, manifest.code);
                ("function", function)
            });
            lines.push(("device", manifest.device.to_string()));
            lines.push(("seed", manifest.seed.to_string()));
            lines.push(("command", manifest.command.join(" ")));
            lines.extend(manifest.git.as_ref().map(|git| {
                let branch = git.branch.as_deref().unwrap_or("no branch");
                let dirty = if git.dirty { ", with changes" } else { "" };
                ("git", format!("{:.12} ({branch}{dirty})", git.commit))
            }));
            let host = &manifest.host;
            lines.push((
                "host",
                format!(
                    "{}@{} ({}, {} cores)",
                    host.user, host.name, host.os, host.cpus
                ),
            ));
        }
        lines.extend(self.url.map(|url| ("MLflow", url.to_owned())));
        lines.push(("folder", shown(&view.path)));
        for (name, value) in lines {
            let _ = writeln!(
                page,
                "{:<12}{}",
                text::one_line(name),
                text::one_line(&value)
            );
        }
    }

    fn failure(&self, page: &mut String) {
        let Some(failure) = &self.view.failure else {
            return;
        };
        let _ = writeln!(page, "\nWhy");
        for line in failure.message.lines() {
            let _ = writeln!(page, "  {}", text::printable(line));
        }
        if let Some(location) = &failure.location {
            let _ = writeln!(page, "  at {}", text::printable(location));
        }
        if !failure.log_tail.is_empty() {
            let _ = writeln!(page, "\nLast lines of the log");
            for line in &failure.log_tail {
                let _ = writeln!(page, "  {}", text::printable(line));
            }
        }
    }

    /// What a person may want to do with such a run.
    fn next(&self) -> String {
        let run = &self.view.short;
        match self.view.state {
            Shown::Damaged => format!("explr repair {run}"),
            Shown::Created | Shown::Running => format!("explr runs logs {run} --follow"),
            Shown::Completed | Shown::Pruned => format!("explr runs logs {run}"),
            Shown::Failed => format!(
                "explr runs logs {run}; explr run --resume {run} tries again from its newest checkpoint"
            ),
            Shown::Interrupted => {
                format!("explr run --resume {run} continues it from its newest checkpoint")
            }
        }
    }
}

/// Names and values under a heading; nothing at all when there are none.
fn section<'a>(page: &mut String, title: &str, entries: impl Iterator<Item = (&'a str, String)>) {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return;
    }
    let shown = &entries[..entries.len().min(SHOWN)];
    let width = shown
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    let _ = writeln!(page, "\n{title}");
    for (name, value) in shown {
        let line = format!(
            "  {:<width$}  {}",
            text::one_line(name),
            text::one_line(value)
        );
        page.push_str(line.trim_end());
        page.push('\n');
    }
    rest(page, entries.len());
}

fn rest(page: &mut String, count: usize) {
    if count > SHOWN {
        let _ = writeln!(page, "  and {} more (--json has all)", count - SHOWN);
    }
}

fn metrics(page: &mut String, summary: &RunSummary) {
    if summary.metrics.is_empty() {
        return;
    }
    let mut table = table(&["METRIC", "LAST", "STEP", "MIN", "MAX", "COUNT"]);
    for (name, metric) in summary.metrics.iter().take(SHOWN) {
        table.add_row(vec![
            text::one_line(name),
            text::number(metric.last),
            metric.last_step.to_string(),
            text::number(metric.min),
            text::number(metric.max),
            metric.count.to_string(),
        ]);
    }
    let _ = writeln!(page, "\nMetrics");
    for line in render(&table).lines() {
        let _ = writeln!(page, "  {line}");
    }
    rest(page, summary.metrics.len());
}

fn files(page: &mut String, summary: &RunSummary) {
    let artifacts = summary.artifacts.iter();
    section(
        page,
        "Artifacts",
        artifacts.map(|path| (path.as_str(), String::new())),
    );
    let datasets = summary.datasets.iter();
    section(
        page,
        "Data sets",
        datasets.map(|set| (set.name.as_str(), set.context.clone().unwrap_or_default())),
    );
    let mut checkpoints: Vec<_> = summary.checkpoints.iter().collect();
    checkpoints.sort_by_key(|(_, checkpoint)| checkpoint.seq);
    let names: Vec<_> = checkpoints
        .iter()
        .map(|(path, checkpoint)| {
            (
                path.display().to_string(),
                format!("epoch {}, step {}", checkpoint.epoch, checkpoint.step),
            )
        })
        .collect();
    section(
        page,
        "Checkpoints",
        names
            .iter()
            .map(|(path, what)| (path.as_str(), what.clone())),
    );
}
