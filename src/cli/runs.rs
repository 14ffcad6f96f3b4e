//! `explr runs`: what the store knows, for people and for programs.

mod list;
mod logs;
pub(crate) mod output;
mod rm;
mod show;
pub(crate) mod text;
mod view;

pub(crate) use output::emit;

use explr::Exit;
use explr::report::text::printable;
use explr::store::{Store, StoreError};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List runs, the newest first.
    List(list::Args),
    /// Show everything about a run.
    Show(show::Args),
    /// Print what a run's worker printed.
    Logs(logs::Args),
    /// Remove runs with their checkpoints and artifacts.
    Rm(rm::Args),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::List(args) => list::execute(args),
        Command::Show(args) => show::execute(args),
        Command::Logs(args) => logs::execute(args),
        Command::Rm(args) => rm::execute(args),
    }
}

/// Which store a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// Folder of the store. Default: the nearest `.explr` in this folder or
    /// its parents.
    #[arg(long, value_name = "DIR", env = "EXPLR_STORE")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// The store of a command that has no `--store`.
    pub(crate) fn of_here() -> Self {
        Self {
            store: std::env::var_os("EXPLR_STORE").map(PathBuf::from),
        }
    }

    /// The folder of the store, which may not exist yet.
    pub(crate) fn path(&self, here: &Path) -> PathBuf {
        match &self.store {
            Some(root) => root.clone(),
            None => Store::find(here).unwrap_or_else(|| here.join(".explr")),
        }
    }

    /// Where the store is, or would be.
    pub(crate) fn root(&self) -> PathBuf {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        self.path(&here)
    }

    /// Opens the store for reading.
    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::existing(&self.root())
    }

    /// Opens the store and gives an end to runs that a crash left without.
    pub(crate) fn open_reconciled(&self) -> Result<Store, StoreError> {
        let store = self.open()?;
        match explr::runner::reconcile(&store) {
            Ok(ended) => {
                for id in ended {
                    eprintln!(
                        "note: run {} had no end, because explr was killed; it has one now",
                        id.short()
                    );
                }
            }
            Err(error) if is_read_only(&error) => {}
            Err(error) => eprintln!("warning: {error}"),
        }
        Ok(store)
    }
}

/// Whether a store may be looked at but not written, which is fine for
/// looking.
fn is_read_only(error: &StoreError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let (StoreError::Io { source, .. } | StoreError::JournalWrite { source, .. }) = error else {
        return false;
    };
    matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// A path as it is easiest to read: relative to the current folder if it is
/// inside.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here
        .as_deref()
        .and_then(|here| path.strip_prefix(here).ok());
    printable(&relative.unwrap_or(path).display().to_string())
}

/// Unix time in milliseconds.
pub(super) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
