//! `explr study`: what the studies of a store found.

mod best;
mod enqueue;
mod export;
mod list;
mod plot;
mod rm;
mod show;
mod trials;

use super::runs::StoreArgs;
use explr::Exit;
use explr::store::{Store, StoreError};
use explr_study::History;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List studies.
    List(list::Args),
    /// Show a study: its trials in figures, and which parameters matter.
    Show(show::Args),
    /// Print the best parameters, to be fed back with `explr run --params`.
    Best(best::Args),
    /// List a study's trials.
    Trials(trials::Args),
    /// Write a study as CSV or JSON.
    Export(export::Args),
    /// Write a report with plots as one HTML page.
    Plot(plot::Args),
    /// Add a trial to be run next.
    Enqueue(enqueue::Args),
    /// Remove a study with its runs.
    Rm(rm::Args),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::List(args) => list::execute(args),
        Command::Show(args) => show::execute(args),
        Command::Best(args) => best::execute(args),
        Command::Trials(args) => trials::execute(args),
        Command::Export(args) => export::execute(args),
        Command::Plot(args) => plot::execute(args),
        Command::Enqueue(args) => enqueue::execute(args),
        Command::Rm(args) => rm::execute(args),
    }
}

/// Which study a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct StudyArgs {
    /// The study's name. Default: the only one of the store.
    #[arg(value_name = "STUDY")]
    study: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

impl StudyArgs {
    /// The store, the journal and what the study remembers.
    fn open(&self) -> anyhow::Result<(Store, PathBuf, History)> {
        let store = self.store.open()?;
        let (name, journal) = find(&store, self.study.as_deref())?;
        let history = load(&journal, &name)?;
        Ok((store, journal, history))
    }
}

/// What a study remembers.
pub(crate) fn load(journal: &Path, name: &str) -> anyhow::Result<History> {
    let studies = History::load(journal).map_err(explr::Error::from)?;
    let names: Vec<_> = studies
        .iter()
        .map(|study| study.name().to_owned())
        .collect();
    match studies.into_iter().find(|study| study.name() == name) {
        Some(study) => Ok(study),
        None => Err(no_such_study(Some(name), names)),
    }
}

fn no_such_study(name: Option<&str>, known: Vec<String>) -> anyhow::Error {
    explr::Error::from(StoreError::NoSuchStudy {
        name: name.map(str::to_owned),
        known,
    })
    .into()
}

/// The study of this name, or the only one.
pub(crate) fn find(store: &Store, name: Option<&str>) -> anyhow::Result<(String, PathBuf)> {
    let mut studies = store.studies().map_err(explr::Error::from)?;
    let found = match name {
        None => (studies.len() == 1).then_some(0),
        Some(name) => studies.iter().position(|(known, _)| known == name),
    };
    match found {
        Some(index) => Ok(studies.swap_remove(index)),
        None => Err(no_such_study(
            name,
            studies.into_iter().map(|(name, _)| name).collect(),
        )),
    }
}
