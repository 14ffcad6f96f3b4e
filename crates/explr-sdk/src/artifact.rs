//! Puts files into the run's artifact folder, complete or not at all.
//!
//! A file is written in a temporary folder beside its destination, synced and
//! moved. Its record is written after that, so a record never names a
//! file that is not whole. Files are copied, never hard-linked: the train
//! function may go on writing to its own. On file systems that can share
//! blocks the kernel's copy does so.

use crate::LogError;
use crate::names::check_artifact;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The run's artifact folder.
#[derive(Debug)]
pub(crate) struct ArtifactDir(pub(crate) PathBuf);

impl ArtifactDir {
    /// Writes `bytes` to `name`.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        self.place(name, |target| {
            let mut file = File::create_new(target)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Copies a file to `name`.
    pub(crate) fn copy_file(&self, source: &Path, name: &str) -> Result<(), LogError> {
        let reading = |error| LogError::Read {
            path: source.to_owned(),
            source: error,
        };
        if !fs::metadata(source).map_err(reading)?.is_file() {
            return Err(LogError::NotAFile(source.to_owned()));
        }
        // Written in place by the train function: nothing to copy.
        if same_file(source, &self.0.join(name)) {
            check_artifact(name)?;
            return self.check_parents(name);
        }
        self.place(name, |target| {
            fs::copy(source, target)?;
            File::open(target)?.sync_all()
        })
    }

    /// Copies all files below `source` to below `name`, which may be empty,
    /// and returns their names. Links that lead out of `source` are refused.
    pub(crate) fn copy_folder(&self, source: &Path, name: &str) -> Result<Vec<String>, LogError> {
        let reading = |error| LogError::Read {
            path: source.to_owned(),
            source: error,
        };
        let root = fs::canonicalize(source).map_err(reading)?;
        if !root.is_dir() {
            return Err(LogError::NotAFolder(source.to_owned()));
        }
        let mut files = Vec::new();
        list(&root, &root, &mut files)?;
        files.sort();
        let mut names = Vec::with_capacity(files.len());
        for file in files {
            let relative = file.strip_prefix(&root).unwrap_or(&file);
            let relative = relative
                .to_str()
                .ok_or_else(|| LogError::NotUnicode(file.clone()))?;
            let name = match name {
                "" => relative.to_owned(),
                folder => format!("{folder}/{relative}"),
            };
            self.copy_file(&file, &name)?;
            names.push(name);
        }
        Ok(names)
    }

    /// Makes `name` with a function that writes a file to the path it is given.
    pub(crate) fn place(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), LogError> {
        check_artifact(name)?;
        self.check_parents(name)?;
        let target = self.0.join(name);
        // A folder, so that the file has its own name from the start:
        // libtorch writes the name into the file.
        let folder = self.0.join(temporary_name());
        let temporary = folder.join(target.file_name().unwrap_or_default());
        let placed = fs::create_dir_all(&folder)
            .and_then(|()| target.parent().map_or(Ok(()), fs::create_dir_all))
            .and_then(|()| write(&temporary))
            .and_then(|()| fs::rename(&temporary, &target));
        let _ = fs::remove_dir_all(&folder);
        placed.map_err(|source| LogError::Write {
            path: target,
            source,
        })
    }

    /// Refuses a destination that a link would take out of the folder.
    fn check_parents(&self, name: &str) -> Result<(), LogError> {
        let mut path = self.0.clone();
        for part in name.split('/') {
            path.push(part);
            if path.is_symlink() {
                return Err(LogError::Link(path));
            }
        }
        Ok(())
    }
}

/// A name that no other thread or process uses at the same time.
fn temporary_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".partial-{}-{count}", std::process::id())
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

fn list(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LogError> {
    let reading = |error| LogError::Read {
        path: folder.to_owned(),
        source: error,
    };
    for entry in fs::read_dir(folder).map_err(reading)? {
        let path = entry.map_err(reading)?.path();
        let kind = fs::symlink_metadata(&path).map_err(reading)?.file_type();
        if kind.is_dir() {
            list(root, &path, files)?;
        } else if kind.is_symlink() {
            let target = fs::canonicalize(&path).map_err(|source| LogError::Read {
                path: path.clone(),
                source,
            })?;
            // A link to a folder could also be a circle.
            if !target.starts_with(root) || target.is_dir() {
                return Err(LogError::Link(path));
            }
            files.push(path);
        } else {
            files.push(path);
        }
    }
    Ok(())
}
