use super::StudyArgs;
use crate::cli::runs::output::{emit, emit_json};
use explr::Exit;
use explr::tuning::export;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (_, journal, history) = args.study.open()?;
    if args.json {
        emit_json(&export::json(&history))?;
    } else {
        emit(&explr_study::report::text(&history))?;
        emit(&format!("journal  {}\n", journal.display()))?;
    }
    Ok(Exit::Ok)
}
