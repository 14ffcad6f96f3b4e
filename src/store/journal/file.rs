use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};

/// What the writer needs of a file. The tests' double fails at will.
pub(super) trait AppendFile: Debug + Send {
    /// One `write(2)` at the end of the file; may write less than all.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Returns when everything appended survives a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

/// Opened with `O_APPEND`.
impl AppendFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
