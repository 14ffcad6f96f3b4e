//! `explr init`: a new project that builds and runs as it is.

use anyhow::{Context, bail};
use explr::Exit;
use explr::runner::{PAIRS, Pair};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the project; made if it is not there, and empty if it is.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Name of the crate and the experiment. Default: the folder's name.
    #[arg(long)]
    name: Option<String>,
}

/// For a project without a libtorch yet: the one that explr's set-up installs.
const DEFAULT_LIBTORCH: &str = "2.10.0";

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(&args.dir)?;
    let name = match &args.name {
        Some(name) => checked(name)?.to_owned(),
        None => name_of(&dir)?,
    };
    make_empty(&dir)?;
    let libtorch = libtorch(&dir);
    for (path, text) in files(&name, libtorch.as_deref()) {
        let path = dir.join(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("can't write `{}`", path.display()))?;
    }
    if let Some(libtorch) = &libtorch {
        let link = dir.join(".libtorch");
        std::os::unix::fs::symlink(libtorch, &link)
            .with_context(|| format!("can't make the link `{}`", link.display()))?;
    }
    super::runs::emit(&done(args, &name, libtorch.as_deref()))?;
    Ok(Exit::Ok)
}

/// What a person reads at the end.
fn done(args: &Args, name: &str, libtorch: Option<&Path>) -> String {
    let found = match libtorch {
        Some(path) => format!("libtorch: {}", path.display()),
        None => "libtorch: none found; install one with `pip install torch==2.10.0` in a \
                 virtual environment `.venv` here, or set LIBTORCH"
            .to_owned(),
    };
    let enter = if args.dir == Path::new(".") {
        String::new()
    } else {
        format!("    cd {}\n", args.dir.display())
    };
    format!(
        "Made the project {name}.\n{found}\n\nNext:\n{enter}    explr run config.yaml\n\nThe first \
         build takes some minutes. The train function is in src/lib.rs.\n"
    )
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

/// The checkout that this explr was built from, if it is still there.
fn checkout() -> Option<&'static Path> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("crates/explr-sdk/Cargo.toml")
        .is_file()
        .then_some(root)
}

fn libtorch(dir: &Path) -> Option<PathBuf> {
    let near: Vec<&Path> = std::iter::once(dir).chain(checkout()).collect();
    let found = explr::runner::find_libtorch(&near)?;
    // The link must hold when what it was found through moves.
    Some(found.canonicalize().unwrap_or(found))
}

/// Everything that is written, with its path.
fn files(name: &str, libtorch: Option<&Path>) -> Vec<(&'static str, String)> {
    let sdk = match checkout() {
        Some(root) => format!(
            "{{ path = {:?} }}",
            root.join("crates/explr-sdk").display().to_string()
        ),
        None => format!("{:?}", env!("CARGO_PKG_VERSION")),
    };
    let version = libtorch.and_then(version);
    let version = version.as_deref().unwrap_or(DEFAULT_LIBTORCH);
    let tch = Pair::of_libtorch(version).unwrap_or(PAIRS[0]).tch;
    let reason = format!("The version that binds libtorch {version}.");
    let about_libtorch = if libtorch.is_some() {
        "libtorch is found through the link `.libtorch`, for `explr run` as well as for `cargo build`. \
         It is not committed: on another\nmachine make it again, or set `LIBTORCH`."
    } else {
        "No libtorch was found when this was made. Install one (`python3 -m venv .venv`,\n\
         `.venv/bin/pip install torch==2.10.0`); `explr run` finds it there. A plain `cargo build`\n\
         wants a link `.libtorch` to its `torch` folder, or `LIBTORCH` set to it."
    };
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{sdk}}", &sdk)
            .replace("{{tch_reason}}", &reason)
            .replace("{{tch}}", tch)
            .replace("{{libtorch}}", about_libtorch)
    };
    vec![
        (
            "Cargo.toml",
            fill(include_str!("../../templates/Cargo.toml.in")),
        ),
        (
            "src/lib.rs",
            fill(include_str!("../../templates/lib.rs.in")),
        ),
        (
            "config.yaml",
            fill(include_str!("../../templates/config.yaml.in")),
        ),
        ("explr.schema.json", explr::config::schema_text()),
        (
            "README.md",
            fill(include_str!("../../templates/README.md.in")),
        ),
        (
            ".gitignore",
            fill(include_str!("../../templates/gitignore.in")),
        ),
        (
            ".cargo/config.toml",
            fill(include_str!("../../templates/cargo-config.toml.in")),
        ),
    ]
}

/// `2.10.0` of the libtorch in this folder.
fn version(libtorch: &Path) -> Option<String> {
    let text = fs::read_to_string(libtorch.join("version.py"))
        .map(|text| {
            let line = text.lines().find(|line| line.starts_with("__version__"));
            line.and_then(|line| line.split('\'').nth(1))
                .map(str::to_owned)
        })
        .ok()
        .flatten()
        .or_else(|| fs::read_to_string(libtorch.join("build-version")).ok())?;
    let version = text.trim();
    Some(version.split('+').next().unwrap_or(version).to_owned())
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
