//! `explr mlflow-ui`: the store's own MLflow server.

use super::runs::{StoreArgs, emit};
use explr::Exit;
use explr::config::Mlflow;
use explr::store::Store;
use explr::tracking::{Running, Settings, settings_of, ui};
use jiff::{SpanRound, Timestamp, Unit};
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say whether the server runs, and where.
    #[arg(long, conflicts_with_all = ["stop", "port", "no_open"])]
    status: bool,
    /// Stop the server, if explr started it.
    #[arg(long, conflicts_with_all = ["port", "no_open"])]
    stop: bool,
    /// Port to start it on. Default: the last one, or 5000; the next free one
    /// if it is taken.
    #[arg(long)]
    port: Option<u16>,
    /// Don't open a browser.
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let base = store.root().parent().unwrap_or(store.root());
    let config = Mlflow {
        port: args.port,
        ..Mlflow::default()
    };
    if args.stop {
        return stop(&config, base, &store);
    }
    if args.status {
        return status(&config, base, &store);
    }
    let url = if let Some(url) = remote(&store, base) {
        url
    } else {
        if ui::find(&config, base, &store)?.is_none() {
            eprintln!("starting MLflow ...");
        }
        ui::ensure(&config, base, &store)?.url
    };
    emit(&format!("{url}\n"))?;
    if !args.no_open {
        open(&format!(
            "{url}/#/experiments?workflowType=machine_learning"
        ));
    }
    Ok(Exit::Ok)
}

/// The server that the newest run was meant for, if it isn't the store's own.
fn remote(store: &Store, base: &Path) -> Option<String> {
    let newest = store.runs().ok()?.pop().and_then(|run| run.manifest().ok());
    let config = newest.as_ref().map(settings_of).unwrap_or_default();
    let settings = Settings::resolve(&config, base, store).ok()??;
    settings.remote().map(str::to_owned)
}

fn stop(config: &Mlflow, base: &Path, store: &Store) -> anyhow::Result<Exit> {
    let Some(url) = ui::stop(config, base, store)? else {
        return Ok(none_runs(store));
    };
    eprintln!("stopped the MLflow server at {url}");
    Ok(Exit::Ok)
}

fn status(config: &Mlflow, base: &Path, store: &Store) -> anyhow::Result<Exit> {
    let Some(running) = ui::find(config, base, store)? else {
        return Ok(none_runs(store));
    };
    emit(&describe(&running, store, Timestamp::now()))?;
    Ok(Exit::Ok)
}

fn none_runs(store: &Store) -> Exit {
    eprintln!("no MLflow server runs for {}", store.root().display());
    Exit::NothingToDo
}

fn describe(running: &Running, store: &Store, now: Timestamp) -> String {
    let process = match &running.process {
        Some(process) => format!(
            "process  {}\nuptime   {}\n",
            process.pid,
            uptime(process.started_ms, now)
        ),
        None => "process  not started by explr\n".to_owned(),
    };
    format!(
        "url      {}\nmlflow   {}\nstore    {}\n{process}",
        running.url,
        running.version,
        store.root().display()
    )
}

fn uptime(started_ms: u64, now: Timestamp) -> String {
    let round = SpanRound::new().largest(Unit::Hour).smallest(Unit::Second);
    i64::try_from(started_ms)
        .ok()
        .and_then(|started| Timestamp::from_millisecond(started).ok())
        .and_then(|started| now.since(started).ok()?.round(round).ok())
        .map_or_else(|| "unknown".to_owned(), |span| format!("{span:#}"))
}

/// Opens a browser where a person would see it.
fn open(url: &str) {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"];
    let seen = display.iter().any(|name| std::env::var_os(name).is_some());
    if !(seen && std::io::stdout().is_terminal()) {
        return;
    }
    // Its own troubles are no reason to fail: the address has been printed.
    let _ = Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
