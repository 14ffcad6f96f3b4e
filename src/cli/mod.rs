//! The command line: one file a command.
//!
//! A command parses its arguments, calls the library and turns what comes
//! back into text and an [`Exit`] code. Errors end here: the library's typed
//! ones carry the exit code, everything else is a bug (code 1).

mod repair;
mod runs;

use clap::{Parser, Subcommand};
use explr::Exit;

/// Run deep-learning experiments that nothing can lose.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List, show and remove runs.
    Runs(runs::Args),
    /// Keep what is whole of a damaged journal.
    Repair(repair::Args),
}

pub(crate) fn main() -> Exit {
    let executed = match Cli::parse().command {
        Command::Runs(args) => runs::execute(&args),
        Command::Repair(args) => repair::execute(&args),
    };
    executed.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        let known = error.downcast_ref::<explr::store::StoreError>();
        known.map_or(Exit::Bug, explr::store::StoreError::exit)
    })
}
