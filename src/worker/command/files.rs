//! Files that a command left among the run's artifacts without a word.

use crate::store::StoreError;
use crate::store::journal::Reader;
use explr_protocol::Event;
use std::collections::HashSet;
use std::path::Path;

/// Deeper folders, and more files, are not looked at.
const DEPTH: usize = 16;
const MOST: usize = 10_000;

/// The artifacts that no record of the journal names, nor a folder of theirs.
pub(super) fn untold(artifacts: &Path, journal: &Path) -> Result<Vec<String>, StoreError> {
    let mut files = Vec::new();
    list(artifacts, "", DEPTH, &mut files);
    if files.is_empty() {
        return Ok(files);
    }
    let mut told = HashSet::new();
    for entry in Reader::open(journal, 0)? {
        if let Event::Artifact { path } = entry?.record.event {
            told.insert(path);
        }
    }
    files.retain(|file| {
        let mut folders = file.match_indices('/').map(|(at, _)| &file[..at]);
        !told.contains(file) && !folders.any(|folder| told.contains(folder))
    });
    files.sort();
    Ok(files)
}

/// The files below a folder, by their names from it. Links are passed over, and
/// names that MLflow does not take.
fn list(folder: &Path, name: &str, depth: usize, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(own) = entry.file_name().into_string() else {
            continue;
        };
        let is_bad = |c: char| c.is_control() || matches!(c, '\\' | '#' | '%');
        if files.len() == MOST || own.contains(is_bad) {
            continue;
        }
        let name = match name {
            "" => own,
            parent => format!("{parent}/{own}"),
        };
        match entry.file_type() {
            Ok(kind) if kind.is_file() => files.push(name),
            Ok(kind) if kind.is_dir() && depth > 0 => {
                list(&entry.path(), &name, depth - 1, files);
            }
            _ => {}
        }
    }
}
