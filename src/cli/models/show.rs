use super::{ServerArgs, aliases, as_json, run_name};
use crate::cli::runs::output::{emit, emit_json};
use crate::cli::runs::text::{moment, number, one_line};
use explr::Exit;
use explr::store::Store;
use explr::tracking::registry::{ModelVersion, Registry, Which};
use std::fmt::Write;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's name.
    name: String,
    /// The version: a number, or an alias. Default: the newest.
    #[arg(value_name = "VERSION|@ALIAS")]
    which: Option<Which>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (store, registry) = args.server.open()?;
    let which = args.which.as_ref().unwrap_or(&Which::Newest);
    let version = registry.version(&args.name, which)?;
    if args.json {
        emit_json(&as_json(&registry, &version))?;
    } else {
        emit(&page(&store, &registry, &version))?;
    }
    Ok(Exit::Ok)
}

fn page(store: &Store, registry: &Registry, version: &ModelVersion) -> String {
    let mut page = String::new();
    for (name, value) in [
        ("model", version.name.clone()),
        ("version", version.number.to_string()),
        ("aliases", aliases(version)),
        ("run", run_name(store, version)),
        ("result", result(store, version).unwrap_or_default()),
        ("artifact", version.artifact.clone().unwrap_or_default()),
        ("created", moment(version.created_ms)),
        ("status", version.status.to_lowercase()),
        ("load", version.uri()),
        ("source", version.source.clone()),
        ("url", registry.url(version)),
    ] {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<9} {}", one_line(&value));
        }
    }
    page
}

/// What the run returned.
fn result(store: &Store, version: &ModelVersion) -> Option<String> {
    let run = store.run(version.run.as_deref()?).ok()?;
    let result = run.summary().ok()?.result?;
    Some(format!(
        "{} {}",
        result.primary_metric_name,
        number(result.primary_metric)
    ))
}
