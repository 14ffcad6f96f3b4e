use super::StudyArgs;
use crate::cli::runs::output::emit;
use anyhow::Context;
use explr::Exit;
use explr_study::report::{self, Options};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// The page to write. Default: `STUDY.html` in this folder.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (_, _, history) = args.study.open()?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.html", history.name())));
    std::fs::write(&path, report::html(&history, &Options::default()))
        .with_context(|| format!("{} can't be written", path.display()))?;
    eprint!("{}", report::text(&history));
    emit(&format!("{}\n", path.display()))?;
    Ok(Exit::Ok)
}
