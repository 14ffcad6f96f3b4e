use super::{aliases, as_json, named, settings};
use crate::cli::runs::{StoreArgs, emit, output::emit_json};
use anyhow::Context;
use explr::Exit;
use explr::report::text::printable;
use explr::store::RunDir;
use explr::tracking::registry::{Registered, Registry};
use explr::tracking::{Settings, TrackingError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, a unique start of it, its short form, `last`, a trial
    /// as in `digits#17`, or `"best of digits"`.
    run: String,
    /// Name of the model.
    name: String,
    /// What the version is called beside its number; taken from the version
    /// that has it.
    #[arg(long)]
    alias: Option<String>,
    /// The artifact that is the model. Default: the only one that is one.
    #[arg(long, value_name = "NAME")]
    artifact: Option<String>,
    /// Address of the server. Default: what the run was made with.
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
    let run = named::run(&store, &args.run)?;
    let settings = settings(&store, Some(&run), args.tracking_uri.as_deref())?;
    bring(&settings, &run)?;
    let registry = Registry::open(&settings)?;
    let (artifact, alias) = (args.artifact.as_deref(), args.alias.as_deref());
    let registered = registry.register(&run, artifact, &args.name, alias)?;
    if args.json {
        let mut registered_json = as_json(&registry, &registered.version);
        registered_json["created"] = registered.created.into();
        emit_json(&registered_json)?;
    } else {
        emit(&describe(&registry, &registered, &run))?;
    }
    Ok(Exit::Ok)
}

/// Brings what the server lacks of the run, as `explr sync` does.
fn bring(settings: &Settings, run: &RunDir) -> anyhow::Result<()> {
    if !explr::tracking::is_behind(run, settings)? {
        return Ok(());
    }
    let short = run.id().short();
    eprintln!("bringing run {short} to {}", settings.describe());
    let reports = explr::tracking::sync(settings, std::slice::from_ref(run), |_, _| {})
        .with_context(|| settings.describe())?;
    for (_, report) in reports {
        if let Some(error) = report.error {
            return Err(TrackingError::Unfinished {
                run: short.to_owned(),
                reason: error,
            }
            .into());
        }
    }
    Ok(())
}

fn describe(registry: &Registry, registered: &Registered, run: &RunDir) -> String {
    let version = &registered.version;
    let aliases = match aliases(version) {
        aliases if aliases.is_empty() => aliases,
        aliases => format!(" ({aliases})"),
    };
    let already = if registered.created { "" } else { "already " };
    printable(&format!(
        "{} version {}{aliases}: {already}registered, {} of run {}\n{}\n{}\n",
        version.name,
        version.number,
        version.artifact.as_deref().unwrap_or("a model"),
        run.id().short(),
        version.uri(),
        registry.url(version),
    ))
}
