//! `explr import`: configurations from files of other tools.

use anyhow::Context;
use explr::Exit;
use explr::import::{Note, wandb};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a configuration of a Weights & Biases sweep.
    Wandb(Wandb),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What has no counterpart is named on the standard error and in comments of the \
    configuration. What would search for something else is refused.\n\n\
    Exit codes: 0 done, 2 the file is there already, 3 the sweep can't be carried over."
)]
struct Wandb {
    /// The sweep's YAML file.
    sweep: PathBuf,
    /// The configuration to write. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let Command::Wandb(args) = &args.command;
    let imported = wandb::load(&args.sweep).map_err(explr::Error::from)?;
    match &args.out {
        None => super::runs::emit(&imported.yaml)?,
        Some(out) => {
            if !write(out, &imported.yaml, args.force)? {
                eprintln!(
                    "error: `{}` is there already; give another `--out`, or replace it with \
                     `--force`",
                    out.display()
                );
                return Ok(Exit::Usage);
            }
        }
    }
    let sweep = args.sweep.display();
    for Note { line, text } in &imported.notes {
        let line = line.map_or_else(String::new, |line| format!("{line}:"));
        eprintln!("note: {sweep}:{line} {text}");
    }
    if !imported.names_code {
        eprintln!("note: the train function is still to be named, under `train`");
    }
    if let Some(out) = &args.out {
        let out = out.display().to_string();
        let first = if imported.names_code {
            ""
        } else {
            ", with the train function named in it"
        };
        if imported.names_code && folder(&args.sweep) != folder(Path::new(&out)) {
            eprintln!("note: the program is looked for in the folder of {out}");
        }
        super::runs::emit(&format!(
            "Wrote {out}.\n\nNext{first}:\n    explr tune {out}\n"
        ))?;
    }
    Ok(Exit::Ok)
}

fn folder(file: &Path) -> Option<PathBuf> {
    std::path::absolute(file)
        .ok()?
        .parent()?
        .canonicalize()
        .ok()
}

/// Writes the file; false if another one is there that must not be replaced.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<bool> {
    let opened = if force {
        File::create(path)
    } else {
        File::create_new(path)
    };
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        written => {
            written.with_context(|| format!("can't write `{}`", path.display()))?;
            Ok(true)
        }
    }
}
