use super::StorageError;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Optuna's grace period: a lock whose journal has not changed for so long was
/// left behind.
const GRACE: Duration = Duration::from_secs(30);

/// After this the lock is given up. It is longer than the grace period, so
/// only a lock in use can make it pass.
const LIMIT: Duration = Duration::from_secs(120);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The right to append to a journal.
///
/// It is the lock of Optuna's `JournalFileSymlinkLock`, a symbolic link beside
/// the journal, which Python programs heed. A process that is killed leaves
/// the link behind, and Optuna waits for 30 seconds before it breaks it. So
/// processes of this crate hold a `flock` on the journal as well, which the
/// kernel releases: who has it knows that a link with this crate's mark is
/// nobody's.
#[derive(Debug)]
pub(super) struct AppendLock {
    journal: Arc<File>,
    link: PathBuf,
    mark: OsString,
}

impl AppendLock {
    /// Waits for the lock of the journal at `path`, open as `journal`.
    pub(super) fn take(journal: &Arc<File>, path: &Path) -> Result<Self, StorageError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // Nobody writes a path like this by hand, and it leads to the journal,
        // as Optuna wants: it looks at the time of the link's target.
        let mut mark = OsString::from(".//");
        mark.push(&name);
        name.push(".lock");
        let mut patience = Patience::new(path);
        loop {
            match journal.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => patience.wait()?,
                Err(TryLockError::Error(error)) => {
                    return Err(StorageError::io("lock", path)(error));
                }
            }
        }
        // Only now: dropping it removes a link with the mark.
        let lock = Self {
            link: path.with_file_name(name),
            mark,
            journal: journal.clone(),
        };
        lock.make_link(&mut patience)?;
        Ok(lock)
    }

    fn make_link(&self, patience: &mut Patience) -> Result<(), StorageError> {
        let mut seen: (Option<SystemTime>, Instant) = (None, Instant::now());
        loop {
            match symlink(&self.mark, &self.link) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StorageError::io("create", &self.link)(error)),
            }
            let changed = fs::metadata(&self.link)
                .and_then(|data| data.modified())
                .ok();
            if changed != seen.0 {
                seen = (changed, Instant::now());
            }
            if self.is_marked() || seen.1.elapsed() > GRACE {
                self.remove_link();
            } else {
                patience.wait()?;
            }
        }
    }

    /// Whether the link is there and of this crate.
    fn is_marked(&self) -> bool {
        fs::read_link(&self.link).is_ok_and(|target| target.as_os_str() == self.mark)
    }

    /// Removes the link in Optuna's way: of several processes that try, one
    /// succeeds in renaming it. An error means that it is gone.
    fn remove_link(&self) {
        let mut aside = self.link.clone().into_os_string();
        aside.push(Uuid::new_v4().to_string());
        aside.push(".rename");
        if fs::rename(&self.link, &aside).is_ok() {
            let _ = fs::remove_file(&aside);
        }
    }
}

/// Pauses that grow, up to a limit in all.
struct Patience<'a> {
    path: &'a Path,
    begin: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            begin: Instant::now(),
            pause: Duration::from_millis(1),
        }
    }

    fn wait(&mut self) -> Result<(), StorageError> {
        if self.begin.elapsed() > LIMIT {
            return Err(StorageError::Busy {
                path: self.path.to_owned(),
                seconds: LIMIT.as_secs(),
            });
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

impl Drop for AppendLock {
    fn drop(&mut self) {
        // Not marked: someone broke the lock, and holds it now.
        if self.is_marked() {
            self.remove_link();
        }
        let _ = self.journal.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::AppendLock;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    fn journal(folder: &Path) -> (std::path::PathBuf, Arc<File>) {
        let path = folder.join("study.journal");
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        (path, Arc::new(file))
    }

    #[test]
    fn the_lock_is_a_link_to_the_journal_and_goes_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = journal(folder.path());
        let lock = AppendLock::take(&file, &path).unwrap();
        let link = folder.path().join("study.journal.lock");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::canonicalize(&link).unwrap(),
            fs::canonicalize(&path).unwrap()
        );
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_a_killed_process_of_this_crate_left_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = journal(folder.path());
        let link = folder.path().join("study.journal.lock");
        symlink(".//study.journal", &link).unwrap();
        drop(AppendLock::take(&file, &path).unwrap());
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn a_link_of_another_program_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = journal(folder.path());
        let link = folder.path().join("study.journal.lock");
        symlink(&path, &link).unwrap();
        let taken = std::thread::spawn(move || AppendLock::take(&file, &path));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!taken.is_finished());
        fs::remove_file(&link).unwrap();
        assert!(taken.join().unwrap().is_ok());
    }
}
