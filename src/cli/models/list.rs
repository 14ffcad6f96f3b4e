use super::{ServerArgs, aliases, as_json, run_name};
use crate::cli::runs::output::{emit, emit_json, render, table};
use crate::cli::runs::text::{moment, one_line};
use explr::Exit;
use explr::store::Store;
use explr::tracking::registry::{ModelVersion, RegisteredModel};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List the versions of this model.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (store, registry) = args.server.open()?;
    let Some(name) = &args.name else {
        let models = registry.models()?;
        if args.json {
            emit_json(&models)?;
        } else if models.is_empty() {
            eprintln!("no models yet: `explr models register RUN NAME` makes the first");
        } else {
            emit(&names(&models))?;
        }
        return Ok(Exit::Ok);
    };
    let versions = registry.versions(name)?;
    if args.json {
        let versions = versions.iter().map(|version| as_json(&registry, version));
        emit_json(&versions.collect::<Vec<_>>())?;
    } else {
        emit(&numbers(&store, &versions))?;
    }
    Ok(Exit::Ok)
}

fn names(models: &[RegisteredModel]) -> String {
    let mut table = table(&["MODEL", "NEWEST", "ALIASES", "UPDATED"]);
    for model in models {
        let aliases = model.aliases.iter();
        let aliases: Vec<_> = aliases
            .map(|(alias, number)| format!("@{alias} {number}"))
            .collect();
        table.add_row(vec![
            one_line(&model.name),
            model
                .newest
                .map(|number| number.to_string())
                .unwrap_or_default(),
            one_line(&aliases.join(", ")),
            moment(model.updated_ms),
        ]);
    }
    render(&table)
}

fn numbers(store: &Store, versions: &[ModelVersion]) -> String {
    let mut table = table(&["VERSION", "ALIASES", "RUN", "ARTIFACT", "CREATED"]);
    for version in versions {
        table.add_row(vec![
            version.number.to_string(),
            one_line(&aliases(version)),
            run_name(store, version),
            one_line(version.artifact.as_deref().unwrap_or_default()),
            moment(version.created_ms),
        ]);
    }
    render(&table)
}
