//! `explr init`: a new project that runs as it is.

mod plugin;
mod python;

use anyhow::{Context, bail};
use explr::Exit;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the project; made if it is not there, and empty if it is.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Name of the experiment, and of the crate. Default: the folder's name.
    #[arg(long)]
    name: Option<String>,
    /// Write the train function in Python, not in Rust.
    #[arg(long)]
    python: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(&args.dir)?;
    let name = match &args.name {
        Some(name) => checked(name)?.to_owned(),
        None => name_of(&dir)?,
    };
    make_empty(&dir)?;
    let (about, hint) = if args.python {
        write(&dir, python::files(&name))?;
        (String::new(), python::HINT)
    } else {
        (plugin::write(&dir, &name)?, plugin::HINT)
    };
    let enter = if args.dir == Path::new(".") {
        String::new()
    } else {
        format!("    cd {}\n", args.dir.display())
    };
    super::runs::emit(&format!(
        "Made the project {name}.\n{about}\nNext:\n{enter}    explr run config.yaml\n\n{hint}\n"
    ))?;
    Ok(Exit::Ok)
}

/// Writes files, each with its path in `dir`.
fn write(dir: &Path, files: Vec<(&str, String)>) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = dir.join(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("can't write `{}`", path.display()))?;
    }
    Ok(())
}

/// A name that cargo, MLflow and the file system take.
fn checked(name: &str) -> anyhow::Result<&str> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    // What cargo refuses as the name of a library.
    let reserved = [
        "test",
        "core",
        "std",
        "alloc",
        "proc_macro",
        "tch",
        "serde",
        "explr-sdk",
    ];
    if !good || reserved.contains(&name) {
        bail!(
            "`{name}` can't be the name of a crate: use letters, digits, `-` and `_`, a letter \
             first, and not the name of another crate; give one with `--name`"
        );
    }
    Ok(name)
}

fn name_of(dir: &Path) -> anyhow::Result<String> {
    let folder = dir.components().next_back();
    let folder = folder
        .map(|part| part.as_os_str().to_string_lossy())
        .unwrap_or_default();
    Ok(checked(&folder)?.to_owned())
}

/// Makes the folder, or sees that there is nothing in it but a `.git`.
fn make_empty(dir: &Path) -> anyhow::Result<()> {
    let found = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::create_dir_all(dir)
                .with_context(|| format!("can't make the folder `{}`", dir.display()));
        }
        entries => entries
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("can't read the folder `{}`", dir.display()))?,
    };
    match found.iter().find(|entry| entry.file_name() != ".git") {
        Some(entry) => bail!(
            "`{}` is not empty (it has `{}`); give an empty or a new folder",
            dir.display(),
            entry.file_name().to_string_lossy()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn a_project_needs_the_name_of_a_crate() {
        for name in ["digits", "my-net_2", "X"] {
            checked(name).unwrap();
        }
        for name in ["", "2nd", "a b", "a/b", "ä", "test", "tch"] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
