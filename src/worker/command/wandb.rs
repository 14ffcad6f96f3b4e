//! A stand-in for W&B's Python package, for scripts that call `wandb.log`.

use super::{failed, journal};
use crate::store::files::make_dir;
use explr_protocol::{FailureClass, TrainError};
use std::ffi::OsString;
use std::path::Path;

const PACKAGE: &str = include_str!("wandb/__init__.py");

/// Puts the package beside the run's journal, and returns the variable by
/// which Python finds it.
pub(super) fn provide(beside: &Path) -> Result<(String, String), TrainError> {
    let folder = beside.with_file_name("python");
    make_dir(&folder.join("wandb")).map_err(journal)?;
    let file = folder.join("wandb/__init__.py");
    std::fs::write(&file, PACKAGE).map_err(|error| {
        let message = format!("{} can't be written: {error}", file.display());
        failed(FailureClass::Journal, message)
    })?;
    let mut path = OsString::from(folder);
    if let Some(others) = std::env::var_os("PYTHONPATH").filter(|others| !others.is_empty()) {
        path.push(":");
        path.push(others);
    }
    Ok(("PYTHONPATH".to_owned(), path.to_string_lossy().into_owned()))
}
