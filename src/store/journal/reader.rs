use super::{MAX_LINE, parse};
use crate::store::{Result, StoreError, files};
use explr_protocol::Record;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Size of a read. Lines are a hundred bytes, so a read brings a thousand.
const CHUNK: usize = 128 << 10;

/// A record, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// Offset of the byte after its newline: where to continue.
    pub end_offset: u64,
}

/// Reads a journal from an offset on, in bounded memory.
///
/// `next` gives `None` at the end of what is there, before a torn last line.
/// It may be called again later, when the file has grown. Damage is an error,
/// once; after it there is only `None`.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    /// What was read and not yet given out lies in `buffer[start..filled]`.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Offset in the file of `buffer[start]`.
    offset: u64,
    /// The next record's number; unknown before the first one of a reader
    /// that begins in the middle.
    expected: Option<u64>,
    damaged: bool,
}

impl Reader {
    /// Reads from `offset` on: 0, or the `end_offset` of an entry.
    pub fn open(path: &Path, offset: u64) -> Result<Self> {
        Ok(Self {
            file: files::open_read(path)?,
            path: path.to_owned(),
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            offset,
            expected: (offset == 0).then_some(0),
            damaged: false,
        })
    }

    /// Reads on after `records` records that ended at `offset`. When they do
    /// not end there any more, because the journal was repaired since, it
    /// finds the place again by reading from the start.
    pub fn resume(path: &Path, offset: u64, records: u64) -> Result<Self> {
        let mut reader = Self::open(path, offset)?;
        reader.expected = Some(records);
        if reader.begins_line(records)? {
            return Ok(reader);
        }
        let mut reader = Self::open(path, 0)?;
        while reader.expected < Some(records) {
            if reader.next().transpose()?.is_none() {
                break;
            }
        }
        Ok(reader)
    }

    /// Offset of the next record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether record number `seq` begins at the reader's offset, or the file
    /// ends there.
    fn begins_line(&mut self, seq: u64) -> Result<bool> {
        if self.offset == 0 {
            return Ok(seq == 0);
        }
        let mut byte = [0];
        let read = self
            .file
            .read_at(&mut byte, self.offset - 1)
            .map_err(StoreError::io("read", &self.path))?;
        if read == 0 || byte[0] != b'\n' {
            return Ok(false);
        }
        Ok(match self.line()? {
            // Damage is for `next` to tell.
            Some(end) => {
                parse(&self.buffer[self.start..end]).map_or(true, |record| record.seq == seq)
            }
            None => true,
        })
    }

    /// Index of the newline that ends the line at `start`, reading on as
    /// needed; `None` when it is not there (yet).
    fn line(&mut self) -> Result<Option<usize>> {
        let mut searched = 0;
        loop {
            let pending = &self.buffer[self.start..self.filled];
            if let Some(found) = memchr::memchr(b'\n', &pending[searched..]) {
                return Ok(Some(self.start + searched + found));
            }
            searched = pending.len();
            if searched > MAX_LINE {
                return Err(self.damage("the line is longer than any that explr writes"));
            }
            if self.fill()? == 0 {
                // What is there of a torn line may be cut off and replaced by
                // another one before the next call, so none of it is kept.
                self.filled = self.start;
                self.check_length()?;
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> Result<usize> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        if self.buffer.len() < self.filled + CHUNK {
            self.buffer.resize(self.filled + CHUNK, 0);
        } else if self.filled == 0 && self.buffer.len() > 4 * CHUNK {
            // A very long line has gone by.
            self.buffer = vec![0; CHUNK];
        }
        loop {
            let at = self.offset + self.filled as u64;
            match self.file.read_at(&mut self.buffer[self.filled..], at) {
                Ok(count) => {
                    self.filled += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", &self.path)(error)),
            }
        }
    }

    fn check_length(&mut self) -> Result<()> {
        let len = self
            .file
            .metadata()
            .map_err(StoreError::io("read", &self.path))?
            .len();
        if len < self.offset {
            return Err(self.damage("the file is shorter than it was"));
        }
        Ok(())
    }

    fn damage(&mut self, why: impl Into<String>) -> StoreError {
        self.damaged = true;
        // Records are numbered without gaps, one a line.
        let line = match self.expected {
            Some(seq) => seq + 1,
            None => count_lines(&self.file, self.offset).unwrap_or(0) + 1,
        };
        StoreError::Damaged {
            path: self.path.clone(),
            line,
            why: why.into(),
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>> {
        let Some(newline) = self.line()? else {
            return Ok(None);
        };
        let record = match parse(&self.buffer[self.start..newline]) {
            Ok(record) => record,
            Err(why) => return Err(self.damage(why)),
        };
        if let Some(expected) = self.expected
            && record.seq != expected
        {
            let why = format!("record {} where {expected} should be", record.seq);
            return Err(self.damage(why));
        }
        self.expected = Some(record.seq + 1);
        self.offset += (newline + 1 - self.start) as u64;
        self.start = newline + 1;
        Ok(Some(Entry {
            record,
            end_offset: self.offset,
        }))
    }
}

impl Iterator for Reader {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damaged {
            return None;
        }
        self.entry().transpose()
    }
}

/// Number of newlines in the first `end` bytes of a file.
pub(crate) fn count_lines(file: &File, end: u64) -> io::Result<u64> {
    let mut block = vec![0; CHUNK];
    let (mut offset, mut lines) = (0, 0);
    while offset < end {
        let want = usize::try_from(end - offset).unwrap_or(CHUNK).min(CHUNK);
        let count = file.read_at(&mut block[..want], offset)?;
        if count == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &block[..count]).count() as u64;
        offset += count as u64;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::Writer;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn line(seq: u64) -> String {
        format!(
            "{{\"seq\":{seq},\"ts\":1,\"type\":\"metric\",\"key\":\"a\",\"value\":1.5,\"step\":0}}\n"
        )
    }

    fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn seqs(reader: &mut Reader) -> Vec<u64> {
        reader
            .by_ref()
            .map(|entry| entry.unwrap().record.seq)
            .collect()
    }

    fn damage(path: &Path, offset: u64) -> (usize, u64, String) {
        let mut reader = Reader::open(path, offset).unwrap();
        let mut good = 0;
        loop {
            match reader.next() {
                Some(Ok(_)) => good += 1,
                Some(Err(StoreError::Damaged { line, why, .. })) => {
                    assert!(reader.next().is_none(), "damage is told once");
                    return (good, line, why);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_torn_last_line_is_not_there_until_it_is_whole() {
        let text = line(0) + &line(1);
        for cut in 0..=text.len() {
            let (_dir, path) = file(&text.as_bytes()[..cut]);
            let mut reader = Reader::open(&path, 0).unwrap();
            let whole = text[..cut].matches('\n').count() as u64;
            assert_eq!(seqs(&mut reader), (0..whole).collect::<Vec<_>>());
            let mut append = OpenOptions::new().append(true).open(&path).unwrap();
            append.write_all(&text.as_bytes()[cut..]).unwrap();
            assert_eq!(seqs(&mut reader), (whole..2).collect::<Vec<_>>(), "{cut}");
        }
    }

    #[test]
    fn a_torn_line_may_be_replaced_while_a_reader_waits() {
        let (_dir, path) = file(line(0) + "{\"seq\":1,\"ts\":9999,\"type\":\"log");
        let mut reader = Reader::open(&path, 0).unwrap();
        assert_eq!(seqs(&mut reader), [0]);
        Writer::open(&path)
            .unwrap()
            .append_metrics([("b", 2.0)], 1)
            .unwrap();
        assert_eq!(seqs(&mut reader), [1]);
    }

    #[test]
    fn reading_goes_on_at_any_offset() {
        let text: String = (0..5000).map(line).collect();
        let (_dir, path) = file(text);
        let entries: Vec<_> = Reader::open(&path, 0)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for at in [0, 1, 77, 4998, 4999] {
            let mut reader = Reader::open(&path, entries[at].end_offset).unwrap();
            assert_eq!(seqs(&mut reader), (at as u64 + 1..5000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damage_in_the_middle_has_a_line_number() {
        for bad in ["garbage\n", "\n", "{}\n", "\0\0\0\n", &line(7), &line(1)] {
            let (_dir, path) = file(line(0) + &line(1) + bad + &line(3));
            assert_eq!(damage(&path, 0).1, 3, "{bad:?}");
            assert_eq!(damage(&path, 0).0, 2, "{bad:?}");
        }
        let (_dir, path) = file(line(0) + &line(1) + "garbage\n" + &line(3));
        assert_eq!(damage(&path, (line(0) + &line(1)).len() as u64).1, 3);
    }

    #[test]
    fn a_line_without_end_is_damage_in_bounded_memory() {
        let (_dir, path) = file(line(0));
        let sparse = OpenOptions::new().write(true).open(&path).unwrap();
        sparse.set_len(1 << 30).unwrap();
        let (good, at, why) = damage(&path, 0);
        assert_eq!((good, at), (1, 2));
        assert!(why.contains("longer"), "{why}");
    }

    #[test]
    fn a_journal_that_shrank_is_damage_and_not_an_end() {
        let (_dir, path) = file(line(0) + &line(1));
        let mut reader = Reader::open(&path, 0).unwrap();
        assert_eq!(seqs(&mut reader), [0, 1]);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(10)
            .unwrap();
        assert!(matches!(
            reader.next(),
            Some(Err(StoreError::Damaged { line: 3, .. }))
        ));
    }

    #[test]
    fn a_cursor_finds_its_place_again_after_a_repair() {
        let (_dir, path) = file((0..10).map(line).collect::<String>());
        let end = line(0).len() as u64 * 4;
        let mut reader = Reader::resume(&path, end, 4).unwrap();
        assert_eq!(seqs(&mut reader), [4, 5, 6, 7, 8, 9]);
        // A longer first line shifts everything behind it.
        let longer = line(0).replace("\"key\":\"a\"", "\"key\":\"a longer name\"");
        fs::write(&path, longer + &(1..10).map(line).collect::<String>()).unwrap();
        let mut reader = Reader::resume(&path, end, 4).unwrap();
        assert_eq!(seqs(&mut reader), [4, 5, 6, 7, 8, 9]);
        let mut reader = Reader::resume(&path, 1 << 40, 10).unwrap();
        assert_eq!(seqs(&mut reader), [0; 0]);
    }

    #[test]
    fn a_long_line_is_read_and_its_memory_given_back() {
        let long = line(1).replace("\"a\"", &format!("\"{}\"", "k".repeat(MAX_LINE / 2)));
        let rest: String = (2..20_000).map(line).collect();
        let (_dir, path) = file(line(0) + &long + &rest);
        let mut reader = Reader::open(&path, 0).unwrap();
        assert_eq!(seqs(&mut reader).len(), 20_000);
        assert!(reader.buffer.len() <= 4 * CHUNK, "{}", reader.buffer.len());
    }
}
