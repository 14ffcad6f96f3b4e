use super::StudyArgs;
use crate::cli::runs::output::emit;
use anyhow::Context;
use explr::Exit;
use explr::tuning::export;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// The format. Default: that of the file's ending, else CSV.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file to write. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Json,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (_, _, history) = args.study.open()?;
    let by_name = match &args.output {
        Some(path) if path.extension().is_some_and(|ending| ending == "json") => Format::Json,
        _ => Format::Csv,
    };
    let text = match args.format.unwrap_or(by_name) {
        Format::Csv => export::csv(&history),
        Format::Json => serde_json::to_string_pretty(&export::json(&history))? + "\n",
    };
    match &args.output {
        None => emit(&text)?,
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("{} can't be written", path.display()))?,
    }
    Ok(Exit::Ok)
}
