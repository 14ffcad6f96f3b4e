//! Scalars of `TensorBoard`'s event files.
//!
//! A file is a row of records: length, checksum, data, checksum (TensorFlow's
//! `TFRecord`). The data is a protobuf message `Event`, of which a few fields
//! matter here.

mod proto;
mod record;

use super::source::Sample;
use record::{Record, next};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const CHUNK: usize = 256 << 10;
/// How deep below the folder event files are looked for.
const DEPTH: usize = 4;

/// The event files below a folder.
pub(super) struct Scalars {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Follow>,
}

/// How far a file was read.
#[derive(Default)]
struct Follow {
    offset: u64,
    pending: Vec<u8>,
    is_broken: bool,
}

impl Scalars {
    /// What is there already is not the command's own.
    pub(super) fn new(folder: PathBuf) -> Self {
        let mut files = BTreeMap::new();
        for path in event_files(&folder, DEPTH) {
            let offset = path.metadata().map_or(0, |metadata| metadata.len());
            files.insert(
                path,
                Follow {
                    offset,
                    ..Follow::default()
                },
            );
        }
        Self { folder, files }
    }

    pub(super) fn take(&mut self) -> Vec<Result<Sample, String>> {
        let mut found = Vec::new();
        for path in event_files(&self.folder, DEPTH) {
            let follow = self.files.entry(path.clone()).or_default();
            if let Err(why) = follow.take(&path, &mut found) {
                follow.is_broken = true;
                found.push(Err(format!("{} is not read on: {why}", path.display())));
            }
        }
        found
    }
}

impl Follow {
    fn take(&mut self, path: &Path, found: &mut Vec<Result<Sample, String>>) -> Result<(), String> {
        if self.is_broken || path.metadata().is_ok_and(|now| now.len() <= self.offset) {
            return Ok(());
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        while self.fill(&file).map_err(|error| error.to_string())? > 0 {
            let mut start = 0;
            while let Record::Whole { data, length } = next(&self.pending[start..])? {
                found.extend(proto::scalars(data)?.map(Ok));
                start += length;
            }
            self.pending.drain(..start);
        }
        Ok(())
    }

    fn fill(&mut self, file: &File) -> io::Result<usize> {
        let length = self.pending.len();
        self.pending.resize(length + CHUNK, 0);
        let count = file.read_at(&mut self.pending[length..], self.offset);
        self.pending
            .truncate(length + count.as_ref().map_or(0, |count| *count));
        let count = count?;
        self.offset += count as u64;
        Ok(count)
    }
}

fn event_files(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) && depth > 0 {
            files.append(&mut event_files(&path, depth - 1));
        } else if entry.file_name().to_string_lossy().contains("tfevents") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::Scalars;
    use std::fs::{OpenOptions, create_dir, write};
    use std::io::Write;

    /// Written by `torch.utils.tensorboard`, its records: the version; `loss`
    /// 0.5 at 1; `loss` 0.25 at 2; a histogram; a new-style scalar `acc` 0.75
    /// at 3.
    const TORCH: &[u8] = include_bytes!("scalars/torch.tfevents");

    fn taken(scalars: &mut Scalars) -> String {
        let found = scalars.take().into_iter().map(|sample| match sample {
            Ok(sample) => format!("{:?} {:?}", sample.step, sample.values),
            Err(why) => why,
        });
        found.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn scalars_are_read_as_the_file_grows_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut scalars = Scalars::new(folder.path().to_owned());
        let path = folder.path().join("run");
        create_dir(&path).unwrap();
        let path = path.join("events.out.tfevents.1.host");
        let mut said = Vec::new();
        for part in TORCH.chunks(7) {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap();
            file.write_all(part).unwrap();
            said.push(taken(&mut scalars));
        }
        said.retain(|text| !text.is_empty());
        assert_eq!(
            said,
            [
                r#"Some(1) {"loss": 0.5}"#,
                r#"Some(2) {"loss": 0.25}"#,
                r#"Some(3) {"acc": 0.75}"#
            ]
        );
    }

    #[test]
    fn a_damaged_record_is_told_once_and_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mut scalars = Scalars::new(folder.path().to_owned());
        let mut bytes = TORCH.to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        write(folder.path().join("events.out.tfevents.1"), bytes).unwrap();
        let said = taken(&mut scalars);
        assert!(said.contains("checksum"), "{said}");
        assert_eq!(taken(&mut scalars), "");
    }

    #[test]
    fn what_was_there_before_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("events.out.tfevents.1"), TORCH).unwrap();
        let mut scalars = Scalars::new(folder.path().to_owned());
        assert_eq!(taken(&mut scalars), "");
    }
}
