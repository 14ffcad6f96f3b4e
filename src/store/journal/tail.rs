//! The end of a journal, read backwards: cost independent of its length.

use super::{MAX_LINE, parse, reader::count_lines};
use crate::store::{Result, StoreError, files};
use explr_protocol::Record;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most journals' last lines fit into this.
const BLOCK: usize = 8 << 10;

/// Where the last whole line of a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Where it begins. Equal to `end` when there is no whole line.
    pub(super) start: u64,
    /// The byte after its newline; what follows is torn.
    pub(super) end: u64,
}

impl Tail {
    /// Finds the last whole line of a file of `len` bytes.
    pub(super) fn find(file: &File, len: u64) -> io::Result<Self> {
        let Some(newline) = newline_before(file, len)? else {
            return Ok(Self { start: 0, end: 0 });
        };
        let start = newline_before(file, newline)?.map_or(0, |previous| previous + 1);
        Ok(Self {
            start,
            end: newline + 1,
        })
    }

    /// The line without its newline.
    fn read(&self, file: &File) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let mut line = vec![0; len.saturating_sub(1).min(MAX_LINE + 1)];
        file.read_exact_at(&mut line, self.start)?;
        Ok(line)
    }

    /// The record on the line; `None` when there is no line.
    pub(super) fn record(&self, file: &File, path: &Path) -> Result<Option<Record>> {
        if self.start == self.end {
            return Ok(None);
        }
        let line = self.read(file).map_err(StoreError::io("read", path))?;
        let parsed = if line.len() > MAX_LINE {
            Err("the line is longer than any that explr writes".to_owned())
        } else {
            parse(&line)
        };
        parsed.map(Some).map_err(|why| {
            let line = count_lines(file, self.start).unwrap_or(0) + 1;
            StoreError::Damaged {
                path: path.to_owned(),
                line,
                why,
            }
        })
    }
}

/// Position of the last newline in the first `end` bytes.
fn newline_before(file: &File, end: u64) -> io::Result<Option<u64>> {
    let mut block = [0; BLOCK];
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let bytes = &mut block[..usize::try_from(end - start).unwrap_or(BLOCK)];
        file.read_exact_at(bytes, start)?;
        if let Some(found) = memchr::memrchr(b'\n', bytes) {
            return Ok(Some(start + found as u64));
        }
        end = start;
    }
    Ok(None)
}

/// The last whole record of a journal, without reading the rest of it; `None`
/// for an empty one.
pub fn last_record(path: &Path) -> Result<Option<Record>> {
    let file = files::open_read(path)?;
    let len = file.metadata().map_err(StoreError::io("read", path))?.len();
    Tail::find(&file, len)
        .map_err(StoreError::io("read", path))?
        .record(&file, path)
}
