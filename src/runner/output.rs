//! A worker's output: always drained, bounded on disk, limited on screen.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Size at which the log becomes `worker.log.1` and a new one begins.
const FILE_LIMIT: u64 = 32 << 20;
/// Longest line that is shown or kept in the tail.
const LINE_LIMIT: usize = 4096;
/// Lines that a failure report quotes.
const TAIL: usize = 50;
/// Lines shown in each [`WINDOW`].
const SHOWN: usize = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// Takes a worker's output in.
pub(crate) struct Output {
    path: PathBuf,
    file: File,
    written: u64,
    line: Vec<u8>,
    tail: VecDeque<String>,
    window: Instant,
    shown: usize,
    hidden: u64,
}

/// What is to be shown of a piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// This line.
    Line(String),
    /// Word of so many lines that went to the file alone.
    Hidden(u64),
}

impl Output {
    /// Appends to the log at `path`.
    pub(crate) fn open(path: &Path, now: Instant) -> io::Result<Self> {
        let file = append_to(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            written,
            line: Vec::new(),
            tail: VecDeque::with_capacity(TAIL),
            window: now,
            shown: 0,
            hidden: 0,
        })
    }

    /// Takes a piece of output. A log that can't be written is no reason to
    /// stop the run, so errors of the file end here.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Instant) -> Vec<Shown> {
        let _ = self.write(bytes);
        let mut shown = Vec::new();
        if now.duration_since(self.window) >= WINDOW {
            shown.extend(self.tell_hidden());
            self.window = now;
            self.shown = 0;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_LIMIT.saturating_sub(self.line.len());
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                shown.extend(self.end_line());
            }
        }
        shown
    }

    /// Takes the end of the output.
    pub(crate) fn end(&mut self) -> Vec<Shown> {
        let mut shown = Vec::new();
        if !self.line.is_empty() {
            shown.extend(self.end_line());
        }
        shown.extend(self.tell_hidden());
        shown
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    fn end_line(&mut self) -> Option<Shown> {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        if self.shown < SHOWN {
            self.shown += 1;
            Some(Shown::Line(line))
        } else {
            self.hidden += 1;
            None
        }
    }

    fn tell_hidden(&mut self) -> Option<Shown> {
        let hidden = std::mem::take(&mut self.hidden);
        (hidden > 0).then_some(Shown::Hidden(hidden))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written + bytes.len() as u64 > FILE_LIMIT {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            self.file = append_to(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::{FILE_LIMIT, Output, SHOWN, Shown, TAIL, WINDOW};
    use std::time::Instant;

    #[test]
    fn endless_output_stays_bounded_on_disk_and_on_screen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.log");
        let now = Instant::now();
        let mut output = Output::open(&path, now).unwrap();
        let chunk = "all work and no play makes jack a dull boy\n".repeat(1000);
        let mut lines = 0;
        for _ in 0..(3 * FILE_LIMIT / chunk.len() as u64) {
            lines += output.take(chunk.as_bytes(), now).len();
        }
        assert_eq!(lines, SHOWN);
        assert_eq!(output.tail().len(), TAIL);
        for name in ["worker.log", "worker.log.1"] {
            assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() <= FILE_LIMIT);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let later = output.take(b"next\n", now + WINDOW);
        assert!(
            matches!(later[..], [Shown::Hidden(_), Shown::Line(_)]),
            "{later:?}"
        );
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut output = Output::open(&folder.path().join("log"), now).unwrap();
        for _ in 0..100 {
            assert_eq!(output.take(&[b'x'; 1000], now), []);
        }
        let shown = output.end();
        assert_eq!(shown, [Shown::Line("x".repeat(super::LINE_LIMIT))]);
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut output = Output::open(&folder.path().join("log"), now).unwrap();
        assert_eq!(output.take(b"epoch ", now), []);
        assert_eq!(
            output.take(b"1\r\nlo", now),
            [Shown::Line("epoch 1".into())]
        );
        assert_eq!(output.end(), [Shown::Line("lo".into())]);
    }
}
