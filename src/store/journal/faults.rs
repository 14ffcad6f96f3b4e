//! The way SQLite is tested: every write fails once, at every byte, and what
//! was promised is checked after each.

use super::{AppendFile, Reader, Writer};
use crate::store::StoreError;
use explr_protocol::{Event, LogLevel};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// A disk with room for `room` more bytes.
#[derive(Debug)]
struct FullDisk {
    file: File,
    room: usize,
    /// What happens when the room is used up.
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Every later write fails.
    Lasting,
    /// One write fails, then there is room again.
    Passing,
    /// As passing, and the file can't be cut right after the failed write.
    UncutOnce,
}

impl AppendFile for FullDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room);
        self.room -= fits;
        if fits > 0 {
            return AppendFile::append(&mut self.file, &bytes[..fits]);
        }
        if self.fault != Fault::Lasting {
            self.room = usize::MAX;
        }
        Err(io::Error::from_raw_os_error(nix::libc::ENOSPC))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.fault == Fault::UncutOnce {
            self.fault = Fault::Passing;
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        self.file.truncate(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// What a run logs: single records and batches.
fn write_all(writer: &mut Writer) -> Vec<(u64, u64)> {
    let mut acknowledged = Vec::new();
    for step in 0..3 {
        let before = writer.len();
        if writer
            .append_metrics([("loss", 0.5), ("acc", f64::NAN)], step)
            .is_ok()
        {
            acknowledged.push((before, before + 2));
        }
        let before = writer.len();
        let event = Event::Log {
            level: LogLevel::Info,
            message: format!("step {step} é"),
        };
        if let Ok(seq) = writer.append(&event) {
            assert_eq!(seq, before);
            acknowledged.push((before, before + 1));
        }
    }
    acknowledged
}

fn journal(path: &Path, room: usize, fault: Fault) -> Writer {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    Writer::new(Box::new(FullDisk { file, room, fault }), path, 0, 0)
}

fn read(path: &Path) -> Vec<u64> {
    Reader::open(path, 0)
        .unwrap()
        .map(|entry| entry.unwrap().record.seq)
        .collect()
}

#[test]
fn whatever_byte_a_write_fails_at_all_that_was_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole");
    write_all(&mut journal(&path, usize::MAX, Fault::Lasting));
    let whole = std::fs::metadata(&path).unwrap().len();
    assert!(whole > 600);
    for fault in [Fault::Lasting, Fault::Passing, Fault::UncutOnce] {
        for room in 0..whole {
            let path = dir.path().join(format!("{fault:?}-{room}"));
            let mut writer = journal(&path, usize::try_from(room).unwrap(), fault);
            let acknowledged = write_all(&mut writer);
            let len = writer.len();
            drop(writer);
            // Without any repair: readable, numbered, nothing half there.
            let there = read(&path);
            assert_eq!(there, (0..len).collect::<Vec<_>>(), "{fault:?} {room}");
            for (first, end) in &acknowledged {
                assert!(*end <= len, "{fault:?} {room}: {first}..{end} of {len}");
            }
            let lost = 6 - acknowledged.len();
            assert!(
                fault == Fault::Lasting || lost == 1,
                "{fault:?} {room}: {lost} lost"
            );
            // And the next process goes on.
            let mut writer = Writer::open(&path).unwrap();
            assert_eq!(writer.append_metrics([("more", 1.0)], 9).unwrap(), len);
            assert_eq!(read(&path).len() as u64, len + 1);
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn a_reader_that_tails_a_failing_journal_never_sees_a_record_vanish() {
    let dir = tempfile::tempdir().unwrap();
    for room in 0..400 {
        let path = dir.path().join(format!("{room}"));
        let mut writer = journal(&path, room, Fault::UncutOnce);
        let mut reader = Reader::open(&path, 0).unwrap();
        let mut seen = 0;
        for step in 0..6 {
            let _ = writer.append_metrics([("loss", 0.5), ("acc", 0.25)], step);
            for entry in reader.by_ref() {
                assert_eq!(entry.unwrap().record.seq, seen);
                seen += 1;
            }
        }
        assert_eq!(seen, writer.len(), "{room}");
    }
}

#[test]
fn a_failed_write_names_the_journal_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut writer = journal(&path, 10, Fault::Lasting);
    let error = writer.append_metrics([("loss", 0.5)], 0).unwrap_err();
    assert!(matches!(&error, StoreError::JournalWrite { .. }));
    insta::assert_snapshot!(
        error.to_string().replace(&dir.path().display().to_string(), "RUN"),
        @"can't write to RUN/events.jsonl: No space left on device (os error 28); make room on the disk. Everything recorded before is intact"
    );
}
