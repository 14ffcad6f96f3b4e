//! The journal of a run: JSON lines, appended, never rewritten.
//!
//! A line is a [`Record`](explr_protocol::Record). One process at a time
//! writes ([`Writer`] holds a lock on the file), any number read ([`Reader`]).
//! Bytes up to a newline never change once written, so a reader may keep its
//! offset; bytes after the last newline are not there yet. Everything that
//! fails half way (full disk, quota, a kill in the middle of a write) leaves
//! whole lines and at most a torn last one, which the next writer cuts off.

mod file;
mod line;
mod reader;
pub(crate) mod replay;
mod tail;
mod writer;

pub use reader::{Entry, Reader};
pub use tail::last_record;
pub use writer::Writer;

use file::AppendFile;
pub(super) use line::{parse, write_record};

/// Longest line, newline excluded. A longer one is damage when read and is
/// refused when written.
pub const MAX_LINE: usize = 16 << 20;

#[cfg(test)]
mod faults;
