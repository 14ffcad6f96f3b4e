//! A project whose train function is Rust.

use anyhow::Context;
use explr::runner::{PAIRS, Pair};
use std::fs;
use std::path::{Path, PathBuf};

/// For a project without a libtorch yet: the one that explr's set-up installs.
const DEFAULT_LIBTORCH: &str = "2.10.0";

pub(super) const HINT: &str =
    "The first build takes some minutes. The train function is in src/lib.rs.";

/// Writes the crate, and says which libtorch it uses.
pub(super) fn write(dir: &Path, name: &str) -> anyhow::Result<String> {
    let libtorch = libtorch(dir);
    super::write(dir, files(name, libtorch.as_deref()))?;
    let Some(libtorch) = libtorch else {
        return Ok(
            "libtorch: none found; install one with `pip install torch==2.10.0` in a virtual \
             environment `.venv` here, or set LIBTORCH\n"
                .to_owned(),
        );
    };
    let link = dir.join(".libtorch");
    std::os::unix::fs::symlink(&libtorch, &link)
        .with_context(|| format!("can't make the link `{}`", link.display()))?;
    Ok(format!("libtorch: {}\n", libtorch.display()))
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
            fill(include_str!("../../../templates/Cargo.toml.in")),
        ),
        (
            "src/lib.rs",
            fill(include_str!("../../../templates/lib.rs.in")),
        ),
        (
            "config.yaml",
            fill(include_str!("../../../templates/config.yaml.in")),
        ),
        ("explr.schema.json", explr::config::schema_text()),
        (
            "README.md",
            fill(include_str!("../../../templates/README.md.in")),
        ),
        (
            ".gitignore",
            fill(include_str!("../../../templates/gitignore.in")),
        ),
        (
            ".cargo/config.toml",
            fill(include_str!("../../../templates/cargo-config.toml.in")),
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
