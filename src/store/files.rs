//! Small file operations with the store's rules: mode 0700 and 0600, no
//! symbolic links followed, replaced atomically, synced where it must last.

use super::{Result, StoreError};
use nix::libc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest `run.json`, `summary.json` or `mlflow.json` that is read.
const MAX_SMALL_FILE: u64 = 64 << 20;

/// Options that never follow a link at the end of the path.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW).mode(0o600);
    options
}

/// Opens a file for reading.
pub(super) fn open_read(path: &Path) -> Result<File> {
    options()
        .read(true)
        .open(path)
        .map_err(StoreError::io("read", path))
}

/// Makes a folder and its parents, with mode 0700.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StoreError::io("make the folder", path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(StoreError::io("sync", path))
}

/// How long a written file must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It survives a power cut.
    Synced,
    /// It can be made again.
    Cache,
}

/// Replaces `path` by `value` as JSON, so that a reader sees the old file or
/// the new one.
pub(crate) fn write_json(
    path: &Path,
    value: &impl Serialize,
    durability: Durability,
) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| StoreError::BadFile {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    text.push(b'\n');
    let temporary = beside(path, "new");
    let written =
        write_new(&temporary, &text, durability).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io("write", path)(error));
    }
    match (durability, path.parent()) {
        (Durability::Synced, Some(dir)) => sync_dir(dir),
        _ => Ok(()),
    }
}

pub(super) fn write_new(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Cache => Ok(()),
    }
}

/// A name in the same folder that no other process or call uses.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{what}-{}-{number}", std::process::id()))
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let file = match options().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_SMALL_FILE)
        .read_to_end(&mut text)
        .map_err(StoreError::io("read", path))?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| StoreError::BadFile {
            path: path.to_owned(),
            why: error.to_string(),
        })
}

/// Whether files can be made in a folder: the only test that sees read-only
/// mounts, full disks and access rights alike.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    let path = beside(&dir.join("probe"), "tmp");
    write_new(&path, b"explr\n", Durability::Cache).and_then(|()| fs::remove_file(&path))
}
