//! The command line: one file a command.
//!
//! A command parses its arguments, calls the library and turns what comes
//! back into text and an [`Exit`] code. Errors end here: the library's typed
//! ones carry the exit code, everything else is a bug (code 1).

mod completions;
mod confirm;
mod gpu_info;
mod import;
mod init;
mod interrupt;
mod man;
mod memory;
mod mlflow_ui;
mod models;
mod params;
mod repair;
mod run;
mod runs;
mod schema;
mod study;
mod sweep;
mod sync;
mod tensor;
mod train_args;
mod tune;
mod verify;

use clap::{Parser, Subcommand};
use explr::Exit;
use explr::config::Style;
use std::io::{IsTerminal, stderr};

/// Run deep-learning experiments that nothing can lose.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new project.
    Init(init::Args),
    /// Train once, as a configuration file says.
    Run(run::Args),
    /// Search for the best hyperparameters.
    Tune(tune::Args),
    /// Run several configurations, or every combination of some settings.
    Sweep(sweep::Args),
    /// Look at studies, and feed them.
    Study(study::Args),
    /// List, show and remove runs.
    Runs(runs::Args),
    /// Keep what is whole of a damaged journal.
    Repair(repair::Args),
    /// Bring MLflow up to date with the store.
    Sync(sync::Args),
    /// Show the store's runs in MLflow.
    MlflowUi(mlflow_ui::Args),
    /// Give models names in MLflow, and look at them.
    Models(models::Args),
    /// Check what runs need of this machine, and say how to mend it.
    Verify(verify::Args),
    /// Make a configuration of another tool's file.
    Import(import::Args),
    /// Show the GPUs, and who uses them.
    GpuInfo(gpu_info::Args),
    /// Show or set the limit of GPU memory.
    Memory(memory::Args),
    /// Print the JSON Schema of configuration files.
    Schema(schema::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
    /// Write the manual pages into a folder.
    Man(man::Args),
    /// Be a worker (started by explr itself).
    #[command(hide = true)]
    Worker,
    /// Try libtorch (started by `explr verify`).
    #[command(hide = true)]
    Tensor(tensor::Args),
}

pub(crate) fn main() -> Exit {
    let executed = match Cli::parse().command {
        Command::Init(args) => init::execute(&args),
        Command::Run(args) => run::execute(&args),
        Command::Tune(args) => tune::execute(&args),
        Command::Sweep(args) => sweep::execute(&args),
        Command::Study(args) => study::execute(&args),
        Command::Runs(args) => runs::execute(&args),
        Command::Repair(args) => repair::execute(&args),
        Command::Schema(args) => schema::execute(&args),
        Command::Verify(args) => verify::execute(&args),
        Command::Import(args) => import::execute(&args),
        Command::Sync(args) => sync::execute(&args),
        Command::MlflowUi(args) => mlflow_ui::execute(&args),
        Command::Models(args) => models::execute(&args),
        Command::GpuInfo(args) => gpu_info::execute(&args),
        Command::Memory(args) => memory::execute(&args),
        Command::Completions(args) => completions::execute(&args),
        Command::Man(args) => man::execute(&args),
        Command::Worker => Ok(explr::worker::main()),
        Command::Tensor(args) => tensor::execute(&args),
    };
    executed.unwrap_or_else(|error| report(&error))
}

/// Says what went wrong, and gives the code to end with.
fn report(error: &anyhow::Error) -> Exit {
    if let Some(explr::Error::Config(problems)) = error.downcast_ref() {
        // A configuration's problems come with headings of their own.
        let coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let style = if coloured {
            Style::Coloured
        } else {
            Style::Plain
        };
        eprintln!("{}", problems.render(style));
    } else {
        eprintln!("error: {error:#}");
    }
    let known = error.downcast_ref().map(explr::Error::exit);
    let of_store = error.downcast_ref().map(explr::store::StoreError::exit);
    let of_tracking = error
        .downcast_ref()
        .map(explr::tracking::TrackingError::exit);
    known.or(of_store).or(of_tracking).unwrap_or(Exit::Bug)
}
