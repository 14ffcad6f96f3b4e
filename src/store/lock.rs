use super::{Result, RunId, StoreError, files};
use nix::unistd::gethostname;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock is tried for. Whoever only asks whether a run is locked
/// holds the lock for an instant, and so does a reconciliation.
const PATIENCE: Duration = Duration::from_millis(500);

/// The right to work on a run, held by one process at a time. The kernel
/// releases it when the process dies, however it dies.
#[derive(Debug)]
pub struct RunLock {
    /// Closed on exec, so a worker never holds it.
    _file: File,
}

/// Who holds a lock, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Name of its machine.
    pub host: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.pid == 0 {
            f.write_str("another process")
        } else {
            write!(f, "process {} on {}", self.pid, self.host)
        }
    }
}

impl Holder {
    fn this_process() -> Self {
        Self {
            pid: std::process::id(),
            host: gethostname().map_or_else(
                |_| "this machine".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
        }
    }

    fn read(path: &Path) -> Self {
        files::read_json(path)
            .ok()
            .flatten()
            .unwrap_or_else(|| Self {
                pid: 0,
                host: String::new(),
            })
    }
}

impl RunLock {
    /// Takes the lock at `path`, or tells who has it.
    pub(super) fn take(path: &Path, run: &RunId) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_take(path)? {
                Some(lock) => return Ok(lock),
                None if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                None => {
                    return Err(StoreError::Locked {
                        run: run.clone(),
                        holder: Holder::read(path),
                    });
                }
            }
        }
    }

    /// Takes the lock if it is free at once.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>> {
        let mut file = files::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
        }
        // Only for messages: a full disk must not keep anyone from the run.
        let _ = write_holder(&mut file);
        Ok(Some(Self { _file: file }))
    }

    /// Whether a process holds the lock at `path`. Needs no right to write.
    pub(super) fn is_held(path: &Path) -> Result<bool> {
        let file = match files::options().read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
        }
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(&Holder::this_process())?;
    text.push(b'\n');
    let mut old = Vec::new();
    file.read_to_end(&mut old)?;
    if old != text {
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&text)?;
    }
    Ok(())
}
