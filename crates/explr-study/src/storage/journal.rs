use super::StorageError;
use super::lock::AppendLock;
use super::read::Reader;
use super::record::Record;
use super::store::Durability;
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A study's file, open.
///
/// A last line without its end is of a writer that is not done, or died: it is
/// not read, and whoever appends next cuts it off. Any other line that is no
/// record is damage.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: Arc<File>,
    reader: Reader,
    /// Where the lines that were read end.
    offset: u64,
    /// Lines read.
    lines: u64,
}

impl JournalFile {
    /// Opens the file to read and append; makes it, for its owner only, if it
    /// is not there.
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let is_new = fs::symlink_metadata(path).is_err();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(StorageError::io("open", path))?;
        if is_new {
            // So that a power cut does not take the name away from the data.
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(StorageError::io("sync", folder))?;
        }
        Ok(Self::new(path, file))
    }

    /// Opens the file to read only.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(StorageError::io("open", path))?;
        Ok(Self::new(path, file))
    }

    fn new(path: &Path, file: File) -> Self {
        Self {
            path: path.to_owned(),
            file: Arc::new(file),
            reader: Reader::default(),
            offset: 0,
            lines: 0,
        }
    }

    /// Waits for the right to append.
    pub(super) fn lock(&self) -> Result<AppendLock, StorageError> {
        AppendLock::take(&self.file, &self.path)
    }

    /// Hands over the records that were added since the last call.
    pub(super) fn read_new(&mut self, mut take: impl FnMut(Record)) -> Result<(), StorageError> {
        let there = fs::symlink_metadata(&self.path).ok();
        let open = self
            .file
            .metadata()
            .map_err(StorageError::io("read", &self.path))?;
        let same =
            there.is_some_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()));
        if !same || open.len() < self.offset {
            return Err(StorageError::Replaced {
                path: self.path.clone(),
            });
        }
        if open.len() == self.offset {
            return Ok(());
        }
        let mut file = BufReader::with_capacity(1 << 16, &*self.file);
        file.seek(SeekFrom::Start(self.offset))
            .map_err(StorageError::io("read", &self.path))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            file.read_until(b'\n', &mut line)
                .map_err(StorageError::io("read", &self.path))?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            let record = self
                .reader
                .read(&line)
                .map_err(|why| StorageError::Damaged {
                    path: self.path.clone(),
                    line: self.lines + 1,
                    why,
                })?;
            self.offset += line.len() as u64;
            self.lines += 1;
            take(record);
        }
    }

    /// Appends records, all or none. Everything before must have been
    /// [read](Self::read_new) since the lock was taken.
    pub(super) fn append(
        &mut self,
        _lock: &AppendLock,
        records: &[Record],
        durability: Durability,
    ) -> Result<(), StorageError> {
        let mut text = String::new();
        for record in records {
            record.write(&mut text);
        }
        let length = self
            .file
            .metadata()
            .map_err(StorageError::io("read", &self.path))?
            .len();
        if length > self.offset {
            self.cut().map_err(StorageError::io("repair", &self.path))?;
        }
        let mut file = &*self.file;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| match durability {
                Durability::Now => file.sync_data(),
                Durability::WithTheNext => Ok(()),
            });
        if let Err(error) = written {
            // If this fails too, the next append cuts.
            let _ = self.cut();
            return Err(StorageError::io("write", &self.path)(error));
        }
        self.offset += text.len() as u64;
        self.lines += records.len() as u64;
        Ok(())
    }

    /// Cuts off what is not a whole line.
    fn cut(&self) -> std::io::Result<()> {
        self.file.set_len(self.offset)
    }
}
