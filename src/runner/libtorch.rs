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

/// Whether this libtorch can use GPUs.
pub(crate) fn has_cuda(folder: &Path) -> bool {
    folder.join("lib/libtorch_cuda.so").exists()
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
