use super::journal::{self, MAX_LINE};
use super::{Result, RunDir, Store, StoreError, files, now_ms};
use explr_protocol::{Event, LogLevel, Record};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What a repair did to a run's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// Number of records that were kept.
    pub kept: u64,
    /// Lines of the original that were dropped.
    pub dropped: Vec<Dropped>,
    /// Number of records that are missing from the numbering; each has a
    /// warning in its place.
    pub missing: u64,
    /// Number of records that had to be given another number.
    pub renumbered: u64,
    /// Where the original is now; none when there was nothing to repair.
    pub original: Option<PathBuf>,
}

/// A line that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its number in the original, from 1.
    pub line: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What was wrong with it.
    pub why: String,
}

/// Stands in the place of a record that was lost.
const LOST: &str = "this record was damaged and is lost (explr repair)";

/// The shortest record is longer than this, so that a damaged region can't
/// have held more records than its length divided by it.
const SHORTEST_RECORD: u64 = 30;

impl Store {
    /// Keeps what is whole of a run's journal. The original is saved beside
    /// it. Records keep their numbers where that is possible, so that a
    /// shipper's cursor stays right: a warning takes the place of each record
    /// that was lost.
    pub fn repair(&self, run: &RunDir) -> Result<RepairReport> {
        let _lock = run.lock()?;
        let path = run.journal_path();
        let original = files::open_read(&path)?;
        match original.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::JournalBusy { path }),
            Err(fs::TryLockError::Error(error)) => {
                return Err(StoreError::io("lock", &path)(error));
            }
        }
        let target = run.path().join(".events.jsonl.repaired");
        let mut report = rewrite(&original, &path, &target)?;
        if report.dropped.is_empty() && report.missing == 0 && report.renumbered == 0 {
            fs::remove_file(&target).map_err(StoreError::io("remove", &target))?;
            return Ok(report);
        }
        let saved = path.with_file_name(format!("events.jsonl.damaged-{}", now_ms()));
        // Some file systems have no hard links.
        fs::hard_link(&path, &saved)
            .or_else(|_| fs::copy(&path, &saved).map(drop))
            .map_err(StoreError::io("save the original as", &saved))?;
        fs::rename(&target, &path).map_err(StoreError::io("replace", &path))?;
        match fs::remove_file(run.summary_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &run.summary_path())(error));
            }
            _ => {}
        }
        files::sync_dir(run.path())?;
        report.original = Some(saved);
        Ok(report)
    }
}

/// Copies what is whole to `target`.
fn rewrite(original: &File, path: &Path, target: &Path) -> Result<RepairReport> {
    // Left behind by a repair that was killed.
    let _ = fs::remove_file(target);
    let file = files::options()
        .write(true)
        .create_new(true)
        .open(target)
        .map_err(StoreError::io("write", target))?;
    let mut output = Output {
        out: BufWriter::new(file),
        path: target,
        line: Vec::new(),
        next: 0,
        damaged_bytes: 0,
        report: RepairReport {
            kept: 0,
            dropped: Vec::new(),
            missing: 0,
            renumbered: 0,
            original: None,
        },
    };
    let mut input = BufReader::with_capacity(128 << 10, original);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = MAX_LINE as u64 + 2;
        let bytes = (&mut input)
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(StoreError::io("read", path))? as u64;
        if bytes == 0 {
            break;
        }
        let skipped = if bytes == limit && line.last() != Some(&b'\n') {
            skip_line(&mut input).map_err(StoreError::io("read", path))?
        } else {
            0
        };
        output.line(number, &line, bytes + skipped)?;
    }
    output.finish()
}

/// Passes over the rest of a line, in the memory of the buffer.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let found = memchr::memchr(b'\n', buffer);
        let used = found.map_or(buffer.len(), |newline| newline + 1);
        input.consume(used);
        skipped += used as u64;
        if found.is_some() {
            return Ok(skipped);
        }
    }
}

struct Output<'a> {
    out: BufWriter<File>,
    path: &'a Path,
    line: Vec<u8>,
    /// Number of the next record.
    next: u64,
    /// Length of the damage since the last record that was kept.
    damaged_bytes: u64,
    report: RepairReport,
}

impl Output<'_> {
    /// Takes one line of the original, with its newline if it has one.
    fn line(&mut self, number: u64, line: &[u8], bytes: u64) -> Result<()> {
        let parsed = match line.strip_suffix(b"\n") {
            _ if bytes > MAX_LINE as u64 + 1 => Err("too long".to_owned()),
            None => Err("torn: its end is missing".to_owned()),
            Some(text) => journal::parse(text),
        };
        match parsed {
            Ok(record) => self.keep(record),
            Err(why) => {
                self.damaged_bytes += bytes;
                self.report.dropped.push(Dropped {
                    line: number,
                    bytes,
                    why,
                });
                Ok(())
            }
        }
    }

    fn keep(&mut self, mut record: Record) -> Result<()> {
        let most = self.damaged_bytes / SHORTEST_RECORD + 1;
        if record.seq > self.next && record.seq - self.next <= most && self.damaged_bytes > 0 {
            while self.next < record.seq {
                self.write(&Record {
                    seq: self.next,
                    ts: record.ts,
                    event: Event::Log {
                        level: LogLevel::Warning,
                        message: LOST.to_owned(),
                    },
                })?;
                self.report.missing += 1;
            }
        }
        if record.seq != self.next {
            record.seq = self.next;
            self.report.renumbered += 1;
        }
        self.damaged_bytes = 0;
        self.report.kept += 1;
        self.write(&record)
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        journal::write_record(&mut self.line, record).map_err(|error| StoreError::BadRecord {
            path: self.path.to_owned(),
            why: error.to_string(),
        })?;
        self.next += 1;
        self.out
            .write_all(&self.line)
            .map_err(StoreError::io("write", self.path))
    }

    fn finish(self) -> Result<RepairReport> {
        self.out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("write", self.path))?;
        Ok(self.report)
    }
}
