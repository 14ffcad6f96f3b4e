//! Limits that `explr memory` keeps: one for the project, in its store, and one
//! for the user.

use super::limit::{GB, Source};
use crate::store::{Store, StoreError, files};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file that holds a stored limit.
const FILE: &str = "gpu_memory.json";
/// Its only key.
const KEY: &str = "limit_gb";

/// The project's file in the store at `root`.
pub fn project(root: &Path) -> Source {
    Source::Project(root.join(FILE))
}

/// The user's file; none for a user without a home.
pub fn user() -> Option<Source> {
    let folder = |name| {
        let folder = PathBuf::from(std::env::var_os(name)?);
        folder.is_absolute().then_some(folder)
    };
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(Source::User(config.join("explr").join(FILE)))
}

/// What is stored, in words that [`Limit::choose`](super::Limit::choose)
/// understands or refuses.
pub fn read(source: Source) -> Result<Option<(Source, String)>, StoreError> {
    let Some(file) = file(&source) else {
        return Ok(None);
    };
    let text = match files::read_json::<Value>(file) {
        Ok(None) => return Ok(None),
        Ok(Some(stored)) => match &stored[KEY] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        Err(StoreError::BadFile { .. }) => "a damaged file".to_owned(),
        Err(error) => return Err(error),
    };
    Ok(Some((source, text)))
}

/// Stores a limit in bytes, or 0 for none.
pub fn write(source: &Source, bytes: u64) -> Result<(), StoreError> {
    let Some(file) = file(source) else {
        return Ok(());
    };
    match (source, file.parent()) {
        (Source::Project(_), Some(root)) => drop(Store::open(root)?),
        (_, Some(folder)) => files::make_dir(folder)?,
        (_, None) => {}
    }
    let limit = json!({ KEY: bytes as f64 / GB });
    files::write_json(file, &limit, files::Durability::Synced)
}

/// Forgets the stored limit; tells whether there was one.
pub fn reset(source: &Source) -> Result<bool, StoreError> {
    let Some(file) = file(source) else {
        return Ok(false);
    };
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("remove", file)(error)),
    }
}

fn file(source: &Source) -> Option<&Path> {
    match source {
        Source::Project(file) | Source::User(file) => Some(file),
        _ => None,
    }
}
