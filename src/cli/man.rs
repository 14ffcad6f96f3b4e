use anyhow::Context;
use clap::CommandFactory;
use explr::Exit;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the pages; made if it doesn't exist.
    folder: PathBuf,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::Cli::command(), folder))
        .with_context(|| format!("the manual pages can't be written to {}", folder.display()))?;
    Ok(Exit::Ok)
}
