//! The inbox of an attempt: the file to which a command appends [`Line`](explr_protocol::Line)s.
//!
//! A regular file, so that what was appended survives every process. The
//! worker takes it into the journal as it grows; whatever a killed worker left
//! is taken in by [`settle()`], each line once.

mod artifact;
mod line;
mod settle;

pub(crate) use artifact::Place;
pub(crate) use settle::settle;

use super::{Result, StoreError, files};
use explr_protocol::control::Progress;
use explr_protocol::{Direction, Event, LineResult, LogLevel, TrainingResult};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest line. A longer one is passed over.
const MAX_LINE: usize = 1 << 20;
/// Bad lines of which each is told.
const TOLD: u32 = 20;
const CHUNK: usize = 64 << 10;

/// The inbox of an attempt, beside the run's journal.
pub(crate) fn path(journal: &Path, attempt: u32) -> PathBuf {
    journal.with_file_name(format!("inbox-{attempt}.jsonl"))
}

/// The file of an attempt's hyperparameters. It may hold secrets that are
/// stored nowhere else, so it is there during an attempt only.
pub(crate) fn params_path(journal: &Path) -> PathBuf {
    journal.with_file_name("params.json")
}

/// What a line of an inbox says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// Values of one step.
    Metrics(BTreeMap<String, f64>, i64),
    /// A value for the study's pruner.
    Report(i64, f64),
    /// What the journal holds as it is: a param, a tag, a checkpoint, a log
    /// line, or a warning about a line that says nothing.
    Event(Event),
    /// A file that is complete, and the name that it is to have.
    Artifact(PathBuf, Option<String>),
    Progress(Progress),
    Result(LineResult),
}

/// Reads an inbox, as far as it has grown.
pub(crate) struct Inbox {
    file: File,
    path: PathBuf,
    /// What was read and not taken yet: from `start` on.
    pending: Vec<u8>,
    start: usize,
    /// Offset in the file of what comes after `pending`.
    offset: u64,
    line: u64,
    /// A line that is too long is gone by.
    skipping: bool,
    bad: u32,
}

impl Inbox {
    /// Makes the file if there is none.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = files::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        Ok(Self::new(file, path))
    }

    /// Opens the file, if there is one.
    fn open(path: &Path) -> Result<Option<Self>> {
        match files::options().read(true).open(path) {
            Ok(file) => Ok(Some(Self::new(file, path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            pending: Vec::new(),
            start: 0,
            offset: 0,
            line: 0,
            skipping: false,
            bad: 0,
        }
    }

    /// What the next whole line says; none when there is none yet. When
    /// nobody appends any more (`ended`), the last line needs no newline.
    pub(crate) fn next(&mut self, ended: bool) -> Result<Option<Item>> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.pending[self.start..]) {
                let begin = self.start;
                self.start += length + 1;
                if let Some(item) = self.item(begin..begin + length) {
                    return Ok(Some(item));
                }
            } else if self.fill()? == 0 {
                if !ended || self.pending.is_empty() {
                    return Ok(None);
                }
                let item = self.item(0..self.pending.len());
                self.pending.clear();
                return Ok(item);
            }
        }
    }

    /// Reads on, behind what is left of the pending bytes.
    fn fill(&mut self) -> Result<usize> {
        self.pending.drain(..self.start);
        self.start = 0;
        if self.pending.len() > MAX_LINE {
            self.pending.clear();
            self.skipping = true;
        }
        let length = self.pending.len();
        self.pending.resize(length + CHUNK, 0);
        let read = loop {
            match self.file.read_at(&mut self.pending[length..], self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.pending
            .truncate(length + read.as_ref().map_or(0, |count| *count));
        let count = read.map_err(StoreError::io("read", &self.path))?;
        self.offset += count as u64;
        if count == 0 && self.was_cut()? {
            (self.offset, self.line, self.skipping) = (0, 0, false);
            self.pending.clear();
            return self.fill();
        }
        Ok(count)
    }

    /// Whether the command wrote the file anew instead of appending to it.
    fn was_cut(&self) -> Result<bool> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(StoreError::io("read", &self.path))?;
        Ok(metadata.len() < self.offset)
    }

    /// What the line in these bytes of `pending` says.
    fn item(&mut self, bytes: Range<usize>) -> Option<Item> {
        self.line += 1;
        let line = &self.pending[bytes];
        let parsed = if std::mem::take(&mut self.skipping) || line.len() > MAX_LINE {
            Err(format!("it is longer than {} MiB", MAX_LINE >> 20))
        } else if line.trim_ascii().is_empty() {
            return None;
        } else {
            line::read(line)
        };
        parsed.map_or_else(|why| self.warning(&why), Some)
    }

    fn warning(&mut self, why: &str) -> Option<Item> {
        self.bad += 1;
        let message = match self.bad {
            ..=TOLD => format!("line {} of EXPLR_EVENTS is passed over: {why}", self.line),
            bad if bad == TOLD + 1 => {
                "further lines of EXPLR_EVENTS are passed over; they are not told one by one"
                    .to_owned()
            }
            _ => return None,
        };
        Some(Item::Event(Event::Log {
            level: LogLevel::Warning,
            message,
        }))
    }
}

/// The result of a command, with what the study says of it.
pub(crate) fn result(
    line: LineResult,
    objective: Option<&str>,
    direction: Direction,
) -> TrainingResult {
    TrainingResult {
        primary_metric: line.value,
        primary_metric_name: line
            .key
            .or_else(|| objective.map(str::to_owned))
            .unwrap_or_else(|| "result".to_owned()),
        direction: line.direction.unwrap_or(direction),
        metrics: line.metrics,
        best_model_path: line.model,
        epochs_completed: line.epochs,
        stopped_early: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Inbox, Item, MAX_LINE};
    use explr_protocol::Event;
    use std::fs::{OpenOptions, write};
    use std::io::Write;
    use std::path::Path;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// What the lines say, in short.
    fn rest(inbox: &mut Inbox, ended: bool) -> Vec<String> {
        std::iter::from_fn(|| inbox.next(ended).unwrap())
            .map(|item| match item {
                Item::Report(step, value) => format!("{step} {value}"),
                Item::Event(Event::Log { message, .. }) => message,
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn report(step: i64) -> String {
        format!(r#"{{"type":"report","step":{step},"value":0.5}}"#) + "\n"
    }

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let mut inbox = Inbox::create(&path).unwrap();
        let text = report(1) + &report(2);
        let (start, end) = text.split_at(60);
        append(&path, start);
        assert_eq!(rest(&mut inbox, false), ["1 0.5"]);
        append(&path, end.trim_end());
        assert_eq!(rest(&mut inbox, false), [""; 0]);
        assert_eq!(rest(&mut inbox, true), ["2 0.5"]);
    }

    #[test]
    fn a_bad_line_has_its_number_and_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let mut inbox = Inbox::create(&path).unwrap();
        append(
            &path,
            &format!("{}\n{}oops\n{}", report(1), report(2), report(3)),
        );
        let said = rest(&mut inbox, true);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(
            said[2].starts_with("line 4 of EXPLR_EVENTS is passed over: "),
            "{said:?}"
        );
        assert_eq!(said[3], "3 0.5");
    }

    #[test]
    fn a_flood_of_bad_lines_is_told_in_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let mut inbox = Inbox::create(&path).unwrap();
        append(&path, &("x\n".repeat(1000) + &report(1)));
        let said = rest(&mut inbox, true);
        assert_eq!(said.len(), 22);
        assert_eq!(said[21], "1 0.5");
    }

    #[test]
    fn a_line_without_end_is_passed_over_in_bounded_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let mut inbox = Inbox::create(&path).unwrap();
        append(&path, &("x".repeat(8 * MAX_LINE) + "\n" + &report(1)));
        let said = rest(&mut inbox, true);
        assert!(said[0].contains("longer than 1 MiB"), "{said:?}");
        assert_eq!(said[1..], ["1 0.5"]);
        assert!(inbox.pending.capacity() <= 3 * MAX_LINE + CHUNK);
    }

    #[test]
    fn a_file_that_is_written_anew_is_read_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let mut inbox = Inbox::create(&path).unwrap();
        append(&path, &(report(1) + &report(2)));
        assert_eq!(rest(&mut inbox, false).len(), 2);
        write(&path, report(3)).unwrap();
        assert_eq!(rest(&mut inbox, false), ["3 0.5"]);
    }
}
