//! Finds the libtorch that workers open.

use std::path::{Path, PathBuf};

/// The link to libtorch that `make setup` and `explr init` make, and to which
/// the project's `.cargo/config.toml` points cargo.
const LINK: &str = ".libtorch";

/// Whether cargo finds libtorch by itself for the crate in `folder`. Naming it
/// to cargo in other words would make it build everything again.
pub(crate) fn is_linked(folder: &Path) -> bool {
    folder.ancestors().any(|folder| folder.join(LINK).exists())
}

/// The libtorch folder (with `lib` and `include` in it) for a plugin.
///
/// `LIBTORCH` comes first. Then, for each of `near` and the folders above it:
/// the link `.libtorch`, and the `torch` package of a virtual environment in `.venv`. Last, the active
/// virtual environment.
pub fn find(near: &[&Path]) -> Option<PathBuf> {
    let given = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    given
        .into_iter()
        .chain(near.iter().flat_map(|folder| {
            folder.ancestors().flat_map(|folder| {
                std::iter::once(folder.join(LINK)).chain(in_environment(&folder.join(".venv")))
            })
        }))
        .chain(active.iter().flat_map(|folder| in_environment(folder)))
        .find(|folder| folder.join("lib/libtorch_cpu.so").exists())
        // Not with its links resolved: the path reaches cargo as LIBTORCH, and another spelling
        // of the same folder makes it compile tch's C++ part again.
        .map(|folder| std::path::absolute(&folder).unwrap_or(folder))
}

/// A version of libtorch that the SDK works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The version of libtorch, without its last part.
    pub libtorch: &'static str,
    /// The version of tch that binds it, likewise.
    pub tch: &'static str,
}

/// Every one of them, the one that explr is tested with first.
pub const PAIRS: [Pair; 3] = [
    pair("2.10", "0.23"),
    pair("2.11", "0.24"),
    pair("2.13", "0.26"),
];

const fn pair(libtorch: &'static str, tch: &'static str) -> Pair {
    Pair { libtorch, tch }
}

impl Pair {
    /// The one with this libtorch, as in `2.10.0`.
    pub fn of_libtorch(version: &str) -> Option<Self> {
        let mut pairs = PAIRS.into_iter();
        pairs.find(|pair| is_of(version, pair.libtorch))
    }

    /// The one with this tch, as in `0.23.0`.
    pub fn of_tch(version: &str) -> Option<Self> {
        PAIRS.into_iter().find(|pair| is_of(version, pair.tch))
    }
}

fn is_of(version: &str, start: &str) -> bool {
    let rest = version.strip_prefix(start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether this libtorch can use GPUs.
pub(crate) fn has_cuda(folder: &Path) -> bool {
    folder.join("lib/libtorch_cuda.so").exists()
}

/// The libtorch of a virtual environment, if PyTorch is installed there.
pub(super) fn of_environment(folder: &Path) -> Option<PathBuf> {
    let mut found = in_environment(folder).into_iter();
    found.find(|folder| folder.join("lib/libtorch_cpu.so").exists())
}

fn in_environment(folder: &Path) -> Vec<PathBuf> {
    let Ok(versions) = std::fs::read_dir(folder.join("lib")) else {
        return Vec::new();
    };
    versions
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python"))
        .map(|entry| entry.path().join("site-packages/torch"))
        .collect()
}
