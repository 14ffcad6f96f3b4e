//! The command line: one file a command.
//!
//! A command parses its arguments, calls the library and turns what comes
//! back into text and an [`Exit`] code. Errors end here: the library's typed
//! ones carry the exit code, everything else is a bug (code 1).

mod completions;
mod interrupt;
mod man;
mod run;
mod schema;

use clap::{Parser, Subcommand};
use explr::Exit;

/// Run deep-learning experiments that nothing can lose.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train once, as a configuration file says.
    Run(run::Args),
    /// Print the JSON Schema of configuration files.
    Schema(schema::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
    /// Write the manual pages into a folder.
    Man(man::Args),
    /// Be a worker (started by explr itself).
    #[command(hide = true)]
    Worker,
}

pub(crate) fn main() -> Exit {
    let executed = match Cli::parse().command {
        Command::Run(args) => run::execute(&args),
        Command::Schema(args) => schema::execute(&args),
        Command::Completions(args) => completions::execute(&args),
        Command::Man(args) => man::execute(&args),
        Command::Worker => Ok(explr::worker::main()),
    };
    executed.unwrap_or_else(|error| report(&error))
}

/// Says what went wrong, and gives the code to end with.
fn report(error: &anyhow::Error) -> Exit {
    let known = error.downcast_ref::<explr::Error>();
    match known {
        // A configuration's problems come with headings of their own.
        Some(explr::Error::Config(problems)) => eprintln!("{problems}"),
        _ => eprintln!("error: {error:#}"),
    }
    known.map_or(Exit::Bug, explr::Error::exit)
}
