use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A log larger than this is put aside at the next start.
const ROTATE: u64 = 1 << 20;
/// A log larger than this is emptied while the server runs.
const LONGEST: u64 = 16 << 20;
/// How much of its end is looked at.
const TAIL: u64 = 16 << 10;

/// The server's output. It says nothing but warnings, normally.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    /// Where the current start's output begins.
    from: u64,
}

impl Log {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("server.log"),
            from: 0,
        }
    }

    /// Opens it for one more start.
    pub(super) fn open(&mut self) -> io::Result<File> {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() > ROTATE) {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        self.from = file.metadata()?.len();
        Ok(file)
    }

    /// The end of what this start has printed.
    pub(super) fn tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.from.max(len.saturating_sub(TAIL))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Keeps a server that complains without end from filling the disk.
    pub(super) fn cap(&self) {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() > LONGEST) {
            let _ = OpenOptions::new()
                .write(true)
                .open(&self.path)
                .and_then(|file| file.set_len(0));
        }
    }
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
