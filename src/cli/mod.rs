//! The command line: one file a command.
//!
//! A command parses its arguments, calls the library and turns what comes
//! back into text and an [`Exit`] code. Errors end here: the library's typed
//! ones carry the exit code, everything else is a bug (code 1).

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
enum Command {}

pub(crate) fn main() -> Exit {
    match Cli::parse().command {}
}
