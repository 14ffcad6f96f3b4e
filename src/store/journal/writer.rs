use super::tail::Tail;
use super::{AppendFile, MAX_LINE, line, parse, write_record};
use crate::store::{Result, StoreError, files, now_ms};
use explr_protocol::{Event, Record};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long [`Writer::open`] waits for a writer that is about to die: longer
/// than a worker outlives its orchestrator.
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends to a journal. Alone: it holds a lock on the file, which the kernel
/// releases when the process dies.
#[derive(Debug)]
pub struct Writer {
    file: Box<dyn AppendFile>,
    path: PathBuf,
    /// Number of records in the file, and so the next one's number.
    records: u64,
    /// Length of the file up to its last whole line.
    end: u64,
    /// There may be bytes behind `end` that could not be cut off yet.
    torn: bool,
    /// What is being written; kept so that appending allocates nothing.
    buffer: Vec<u8>,
    clock: fn() -> u64,
}

impl Writer {
    /// Opens a journal, and makes it if there is none. Reads no more of it
    /// than its last line. A torn last line is moved to a file beside it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, PATIENCE)
    }

    /// The same, waiting no longer than `patience` for another writer to end.
    pub(crate) fn open_within(path: &Path, patience: Duration) -> Result<Self> {
        let mut file = files::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        lock(&file, path, patience)?;
        let len = file.metadata().map_err(StoreError::io("read", path))?.len();
        let tail = Tail::find(&file, len).map_err(StoreError::io("read", path))?;
        let records = tail.record(&file, path)?.map_or(0, |last| last.seq + 1);
        if tail.end < len {
            save_torn(&file, path, tail.end..len);
            file.truncate(tail.end)
                .map_err(StoreError::io("cut the torn last line of", path))?;
        }
        Ok(Self::new(Box::new(file), path, records, tail.end))
    }

    pub(super) fn new(file: Box<dyn AppendFile>, path: &Path, records: u64, end: u64) -> Self {
        Self {
            file,
            path: path.to_owned(),
            records,
            end,
            torn: false,
            buffer: Vec::with_capacity(4 << 10),
            clock: now_ms,
        }
    }

    /// Appends one event and returns its number. Changes of state, results and
    /// checkpoints survive a power cut when this returns, everything else
    /// survives the death of every process.
    pub fn append(&mut self, event: &Event) -> Result<u64> {
        if let Event::Metric { key, value, step } = event {
            return self.append_metrics(std::iter::once((key.as_str(), *value)), *step);
        }
        let seq = self.records;
        let record = Record {
            seq,
            ts: (self.clock)(),
            event: event.clone(),
        };
        self.buffer.clear();
        write_record(&mut self.buffer, &record).map_err(|error| self.bad_record(&error))?;
        // What could not be read back (nested too deeply, say) would be damage.
        if let Err(why) = parse(&self.buffer[..self.buffer.len() - 1]) {
            return Err(self.bad_record(&why));
        }
        self.flush(1)?;
        if matches!(
            event,
            Event::State { .. } | Event::Result(_) | Event::Checkpoint { .. }
        ) {
            self.sync()?;
        }
        Ok(seq)
    }

    /// Appends metrics of one step in one write, and returns the number of the
    /// first. When it fails, the first few may have been stored.
    pub fn append_metrics<'a>(
        &mut self,
        metrics: impl IntoIterator<Item = (&'a str, f64)>,
        step: i64,
    ) -> Result<u64> {
        let first = self.records;
        let ts = (self.clock)();
        let mut count = 0;
        self.buffer.clear();
        for (key, value) in metrics {
            line::write_metric(&mut self.buffer, first + count, ts, key, value, step)
                .map_err(|error| self.bad_record(&error))?;
            count += 1;
        }
        if count > 0 {
            self.flush(count)?;
        }
        Ok(first)
    }

    /// Number of records, which is the number of the next one.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> u64 {
        self.records
    }

    /// Returns when everything appended survives a power cut.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync().map_err(|error| self.failed(error))
    }

    /// Writes the buffer, which holds `count` lines.
    fn flush(&mut self, count: u64) -> Result<()> {
        if self.buffer.len() > MAX_LINE && self.longest_line() > MAX_LINE {
            return Err(self.bad_record(&format!("it is longer than {} MiB", MAX_LINE >> 20)));
        }
        if self.torn {
            self.cut()?;
        }
        let mut written = 0;
        while written < self.buffer.len() {
            match self.file.append(&self.buffer[written..]) {
                Ok(0) => return Err(self.give_up(written, io::ErrorKind::WriteZero.into())),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.give_up(written, error)),
            }
        }
        self.records += count;
        self.end += written as u64;
        Ok(())
    }

    /// After a write that stopped in the middle: keeps the whole lines, which
    /// a reader may have seen already, and cuts off the rest.
    fn give_up(&mut self, written: usize, error: io::Error) -> StoreError {
        let bytes = &self.buffer[..written];
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        self.records += memchr::memchr_iter(b'\n', &bytes[..whole]).count() as u64;
        self.end += whole as u64;
        self.torn = true;
        // If it can't be cut now, the next append tries again first.
        let _ = self.cut();
        self.failed(error)
    }

    fn cut(&mut self) -> Result<()> {
        self.file
            .truncate(self.end)
            .map_err(|error| self.failed(error))?;
        self.torn = false;
        Ok(())
    }

    fn longest_line(&self) -> usize {
        let lines = self.buffer.split(|byte| *byte == b'\n');
        lines.map(<[u8]>::len).max().unwrap_or(0)
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::JournalWrite {
            path: self.path.clone(),
            source,
        }
    }

    fn bad_record(&self, why: &impl ToString) -> StoreError {
        StoreError::BadRecord {
            path: self.path.clone(),
            why: why.to_string(),
        }
    }
}

/// Waits for the lock on the journal.
fn lock(file: &File, path: &Path, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::JournalBusy {
                    path: path.to_owned(),
                });
            }
        }
    }
}

/// Keeps the bytes of a torn last line, for whoever wants to look at them. On
/// a full disk it can't, and the run's end is worth more than they are.
fn save_torn(file: &File, path: &Path, range: std::ops::Range<u64>) {
    use std::io::{Read, Seek, SeekFrom};
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = path.with_file_name(format!("{name}.torn-{}", now_ms()));
    let copied = files::options()
        .write(true)
        .create_new(true)
        .open(&target)
        .and_then(|mut to| {
            let mut from = file;
            from.seek(SeekFrom::Start(range.start))?;
            io::copy(&mut from.take(range.end - range.start), &mut to)
        });
    if copied.is_err() {
        let _ = std::fs::remove_file(&target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::Reader;
    use explr_protocol::{LogLevel, RunState};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn log(message: &str) -> Event {
        Event::Log {
            level: LogLevel::Info,
            message: message.to_owned(),
        }
    }

    fn torn_files(dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.retain(|path| path.display().to_string().contains(".torn-"));
        files
    }

    #[test]
    fn a_reopened_journal_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        for first in [0, 3, 6] {
            let mut writer = Writer::open(&path).unwrap();
            assert_eq!(writer.len(), first);
            assert_eq!(
                writer.append_metrics([("a", 1.0), ("b", 2.0)], 0).unwrap(),
                first
            );
            assert_eq!(writer.append(&log("hello")).unwrap(), first + 2);
        }
        assert_eq!(Reader::open(&path, 0).unwrap().count(), 9);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_torn_last_line_is_set_aside_by_the_next_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        Writer::open(&path).unwrap().append(&log("whole")).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in [&b"{\"seq\":1,\"ts\":17"[..], &vec![0; 20_000], b"\xff"] {
            fs::write(&path, [&whole, torn].concat()).unwrap();
            let writer = Writer::open(&path).unwrap();
            assert_eq!(writer.len(), 1);
            assert_eq!(fs::read(&path).unwrap(), whole);
            let saved = torn_files(dir.path());
            assert_eq!(saved.len(), 1);
            assert_eq!(fs::read(&saved[0]).unwrap(), torn);
            fs::remove_file(&saved[0]).unwrap();
        }
    }

    #[test]
    fn a_journal_that_is_only_a_torn_line_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        fs::write(&path, "{\"se").unwrap();
        assert_eq!(
            Writer::open(&path).unwrap().append(&log("first")).unwrap(),
            0
        );
        assert_eq!(Reader::open(&path, 0).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_last_line_is_refused_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        Writer::open(&path).unwrap().append(&log("whole")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{text}garbage\n")).unwrap();
        let error = Writer::open(&path).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged { line: 3, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_journal_has_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let first = Writer::open(&path).unwrap();
        let second = Writer::open_within(&path, Duration::ZERO);
        assert!(matches!(second, Err(StoreError::JournalBusy { .. })));
        let waiting = std::thread::spawn(move || Writer::open(&path));
        drop(first);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn what_could_not_be_read_back_is_refused_and_costs_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        let deep = (0..200).fold(serde_json::Value::Null, |inner, _| {
            serde_json::json!([inner])
        });
        let too_deep = Event::Param {
            key: "deep".to_owned(),
            value: deep,
        };
        let too_long = log(&"x".repeat(MAX_LINE));
        for event in [too_deep, too_long] {
            let error = writer.append(&event).unwrap_err();
            assert!(matches!(error, StoreError::BadRecord { .. }), "{error}");
        }
        let key = "k".repeat(MAX_LINE);
        assert!(writer.append_metrics([(key.as_str(), 0.0)], 0).is_err());
        assert_eq!(writer.append(&log(&"x".repeat(MAX_LINE / 2))).unwrap(), 0);
        assert_eq!(
            Reader::open(&path, 0).unwrap().map(Result::unwrap).count(),
            1
        );
    }

    #[test]
    fn a_clock_that_jumps_changes_no_order() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NOW: AtomicU64 = AtomicU64::new(5_000_000);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        // An hour back with every record.
        writer.clock = || NOW.fetch_sub(1_000_000, Ordering::Relaxed);
        for (attempt, state) in [RunState::Running, RunState::Completed]
            .into_iter()
            .enumerate()
        {
            let attempt = u32::try_from(attempt).unwrap();
            writer
                .append(&Event::State {
                    state,
                    attempt,
                    failure: None,
                })
                .unwrap();
        }
        let mut summary = crate::store::RunSummary::default();
        for entry in Reader::open(&path, 0).unwrap() {
            summary.add(&entry.unwrap());
        }
        assert_eq!(
            (summary.state, summary.duration_ms(0)),
            (RunState::Completed, 0)
        );
    }

    #[test]
    fn a_link_in_place_of_a_journal_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let path = dir.path().join("events.jsonl");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(Writer::open(&path).is_err());
        assert!(Reader::open(&path, 0).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
