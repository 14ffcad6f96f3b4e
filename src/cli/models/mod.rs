//! `explr models`: MLflow's registry of models.

mod list;
mod named;
mod register;
mod show;

use super::runs::{StoreArgs, text};
use explr::Exit;
use explr::config::Mlflow;
use explr::store::{RunDir, Store, StudyRef, StudyRole};
use explr::tracking::registry::{ModelVersion, Registry};
use explr::tracking::{Settings, TrackingError, settings_of, ui};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give a run's model a name in MLflow's registry, and an alias.
    Register(register::Args),
    /// List registered models, or the versions of one.
    List(list::Args),
    /// Show a version of a model.
    Show(show::Args),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Register(args) => register::execute(args),
        Command::List(args) => list::execute(args),
        Command::Show(args) => show::execute(args),
    }
}

/// Whose registry a command looks at.
#[derive(Debug, clap::Args)]
struct ServerArgs {
    /// Address of the server. Default: the one that the newest run was made
    /// with.
    #[arg(long, value_name = "URI")]
    tracking_uri: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

impl ServerArgs {
    fn open(&self) -> anyhow::Result<(Store, Registry)> {
        let store = self.store.open_reconciled()?;
        let newest = store.runs()?.pop();
        let settings = settings(&store, newest.as_ref(), self.tracking_uri.as_deref())?;
        let registry = Registry::open(&settings)?;
        Ok((store, registry))
    }
}

/// The server that was asked for, or the one of a run.
fn settings(
    store: &Store,
    run: Option<&RunDir>,
    asked_for: Option<&str>,
) -> anyhow::Result<Settings> {
    let manifest = run.map(RunDir::manifest).transpose()?;
    let of_run = manifest.as_ref().map(settings_of).unwrap_or_default();
    let config = match asked_for {
        None => of_run,
        Some(uri) => Mlflow {
            enabled: true,
            tracking_uri: Some(uri.to_owned()),
            ..of_run
        },
    };
    let base = store.root().parent().unwrap_or(store.root());
    let found = Settings::resolve(&config, base, store)?;
    let settings = found.ok_or_else(|| TrackingError::Off {
        run: run.map_or_else(String::new, |run| run.id().short().to_owned()),
    })?;
    if settings.remote().is_none() && ui::find(&config, base, store)?.is_none() {
        eprintln!("starting MLflow ...");
    }
    Ok(settings)
}

/// A version, for programs.
fn as_json(registry: &Registry, version: &ModelVersion) -> Value {
    json!({
        "name": version.name,
        "version": version.number,
        "aliases": version.aliases,
        "uri": version.uri(),
        "run": version.run,
        "artifact": version.artifact,
        "mlflow_run": version.mlflow_run,
        "source": version.source,
        "status": version.status,
        "created_ms": version.created_ms,
        "url": registry.url(version),
    })
}

/// What a version is called beside its number.
fn aliases(version: &ModelVersion) -> String {
    let aliases = version.aliases.iter().map(|alias| format!("@{alias}"));
    aliases.collect::<Vec<_>>().join(", ")
}

/// What a version's run is called, if it is in the store: as it is listed, or
/// by the trial that it is.
fn run_name(store: &Store, version: &ModelVersion) -> String {
    let run = version.run.as_deref().and_then(|id| store.run(id).ok());
    let Some(run) = run else {
        return String::new();
    };
    let trial = run.manifest().ok().and_then(|manifest| manifest.study);
    match trial {
        Some(StudyRef {
            study,
            role: StudyRole::Trial { number, .. },
        }) => text::one_line(&format!("{study}#{number}")),
        _ => run.id().short().to_owned(),
    }
}
