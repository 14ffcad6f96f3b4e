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
