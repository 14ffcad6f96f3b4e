use anyhow::Context;
use explr::Exit;
use serde_json::{Map, Value};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The study's name.
    study: String,
    /// The parameters; the sampler chooses those that are left out.
    #[arg(value_name = "NAME=VALUE", required = true)]
    params: Vec<String>,
    #[command(flatten)]
    store: crate::cli::runs::StoreArgs,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open()?;
    let (name, journal) = super::find(&store, Some(&args.study))?;
    let params = args
        .params
        .iter()
        .map(|given| read(given))
        .collect::<anyhow::Result<Map<String, Value>>>()?;
    let number = explr_study::enqueue(&journal, &name, params).map_err(explr::Error::from)?;
    eprintln!("trial #{number} of study {name} is next");
    Ok(Exit::Ok)
}

/// `name=value`, where the value is YAML.
fn read(given: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) = given
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .with_context(|| format!("`{given}` is no parameter: write NAME=VALUE"))?;
    let value = serde_saphyr::from_str(value)
        .with_context(|| format!("the value of `{name}` can't be read"))?;
    Ok((name.to_owned(), value))
}
