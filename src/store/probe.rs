use super::files::{self, options};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a folder can do that a store is in, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    /// A lock that is held is refused to others.
    pub(crate) locks: bool,
    /// By how many seconds the file system's clock is ahead of this one.
    pub(crate) ahead_s: i64,
}

/// Writes a file in a folder, locks it twice, and removes it.
pub(crate) fn probe(folder: &Path) -> io::Result<Probe> {
    let path = files::beside(&folder.join("probe"), "tmp");
    let tried = try_file(&path);
    let removed = fs::remove_file(&path);
    let probe = tried?;
    removed.map(|()| probe)
}

fn try_file(path: &Path) -> io::Result<Probe> {
    files::write_new(path, b"explr\n", files::Durability::Synced)?;
    let open = || options().read(true).write(true).open(path);
    let (first, second) = (open()?, open()?);
    let locks = first.try_lock().is_ok() && second.try_lock().is_err();
    let ahead_s = seconds(first.metadata()?.modified()?) - seconds(SystemTime::now());
    Ok(Probe { locks, ahead_s })
}

/// Unix time.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn a_probe_leaves_nothing_behind_and_finds_that_locks_hold() {
        let folder = tempfile::tempdir().unwrap();
        assert!(probe(folder.path()).unwrap().locks);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(probe(&folder.path().join("none")).is_err());
    }
}
