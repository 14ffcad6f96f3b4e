use super::output::whole;
use super::source::Sample;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// Columns that say which step a row belongs to, the best one first.
const STEPS: [&str; 2] = ["step", "epoch"];
const CHUNK: usize = 256 << 10;
/// Longer lines are no rows.
const MAX_LINE: usize = 1 << 20;

/// A file to which a row is appended now and then.
pub(super) struct Rows {
    path: PathBuf,
    is_csv: bool,
    /// What was there before the command began is not its own.
    passed_over: Option<u64>,
    file: Option<File>,
    offset: u64,
    pending: Vec<u8>,
    /// The columns' names, as they are written.
    header: Vec<u8>,
    line: u64,
    count: u64,
    /// Rows to pass over: the file was written anew, with what it had.
    known: u64,
}

impl Rows {
    pub(super) fn csv(path: PathBuf) -> Self {
        Self::new(path, true)
    }

    pub(super) fn json(path: PathBuf) -> Self {
        Self::new(path, false)
    }

    fn new(path: PathBuf, is_csv: bool) -> Self {
        let passed_over = std::fs::metadata(&path).ok().map(|metadata| metadata.len());
        Self {
            path,
            is_csv,
            passed_over,
            file: None,
            offset: 0,
            pending: Vec::new(),
            header: Vec::new(),
            line: 0,
            count: 0,
            known: 0,
        }
    }

    pub(super) fn take(&mut self, has_ended: bool) -> Vec<Result<Sample, String>> {
        let mut found = Vec::new();
        let read = self.refresh().and_then(|()| {
            loop {
                let count = self.fill()?;
                self.split(&mut found);
                if count == 0 || !has_ended {
                    break Ok(());
                }
            }
        });
        if let Err(error) = read
            && error.kind() != io::ErrorKind::NotFound
        {
            found.push(Err(format!(
                "{} can't be read: {error}",
                self.path.display()
            )));
        }
        if has_ended && !self.pending.is_empty() {
            self.pending.push(b'\n');
            self.split(&mut found);
        }
        found
    }

    /// Opens the file, and begins anew when another one took its place.
    fn refresh(&mut self) -> io::Result<()> {
        let now = std::fs::metadata(&self.path)?;
        let length = match &self.file {
            Some(file) => {
                let open = file.metadata()?;
                let is_same = (open.ino(), open.dev()) == (now.ino(), now.dev());
                let has_header = is_same && self.has_header(file)?;
                if has_header && now.len() >= self.offset {
                    return Ok(());
                }
                // The same rows with one more column, as loggers write when a
                // metric comes late, are not told twice.
                self.known = if has_header { 0 } else { self.count };
                0
            }
            None => self
                .passed_over
                .take()
                .filter(|length| *length <= now.len())
                .unwrap_or(0),
        };
        let file = File::open(&self.path)?;
        self.pending.clear();
        self.header.clear();
        (self.offset, self.line, self.count) = (0, 0, 0);
        if self.is_csv && length > 0 {
            self.read_header(&file)?;
        }
        self.offset = self.offset.max(length);
        self.file = Some(file);
        Ok(())
    }

    /// The header of a file whose rows are not the command's own.
    fn read_header(&mut self, file: &File) -> io::Result<()> {
        let mut start = Vec::new();
        file.take(MAX_LINE as u64).read_to_end(&mut start)?;
        if let Some(end) = memchr::memchr(b'\n', &start) {
            self.header = start[..end].to_vec();
            self.line = 1;
        }
        Ok(())
    }

    /// Whether the file still begins with the columns that are known.
    fn has_header(&self, file: &File) -> io::Result<bool> {
        let mut start = vec![0; self.header.len() + 1];
        let count = file.read_at(&mut start, 0)?;
        let is_whole = start.last() == Some(&b'\n') && start.starts_with(&self.header);
        Ok(self.header.is_empty() || count < start.len() || is_whole)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Some(file) = &self.file else {
            return Ok(0);
        };
        if self.pending.len() > MAX_LINE {
            self.pending.clear();
        }
        let length = self.pending.len();
        self.pending.resize(length + CHUNK, 0);
        let count = file.read_at(&mut self.pending[length..], self.offset);
        self.pending
            .truncate(length + count.as_ref().map_or(0, |count| *count));
        let count = count?;
        self.offset += count as u64;
        Ok(count)
    }

    /// Reads the lines that are whole.
    fn split(&mut self, found: &mut Vec<Result<Sample, String>>) {
        let Some(end) = memchr::memrchr(b'\n', &self.pending) else {
            return;
        };
        let lines: Vec<u8> = self.pending.drain(..=end).collect();
        for line in lines[..end].split(|byte| *byte == b'\n') {
            self.line += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if self.is_csv && self.header.is_empty() {
                self.header = line.to_vec();
                continue;
            }
            self.count += 1;
            if self.count <= self.known {
                continue;
            }
            let row = if self.is_csv {
                csv_row(&self.header, line)
            } else {
                json_row(line)
            };
            match row {
                Ok(sample) if sample.values.is_empty() => {}
                Ok(sample) => found.push(Ok(sample)),
                Err(why) => {
                    let (line, path) = (self.line, self.path.display());
                    found.push(Err(format!("line {line} of {path} is passed over: {why}")));
                }
            }
        }
    }
}

fn csv_row(header: &[u8], line: &[u8]) -> Result<Sample, String> {
    let names = cells(header)?;
    let cells = cells(line)?;
    if names.len() != cells.len() {
        return Err(format!(
            "it has {} cells, and the header {}",
            cells.len(),
            names.len()
        ));
    }
    let numbers = names.iter().zip(&cells);
    Ok(sample(numbers.filter_map(|(name, cell)| {
        Some((name.trim().to_owned(), cell.trim().parse().ok()?))
    })))
}

fn cells(line: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line);
    let record = reader.records().next().transpose();
    let record = record.map_err(|error| error.to_string())?;
    Ok(record.iter().flatten().map(str::to_owned).collect())
}

fn json_row(line: &[u8]) -> Result<Sample, String> {
    let row: Map<String, Value> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    Ok(sample(row.into_iter().filter_map(|(name, value)| {
        let value = value.as_f64().or_else(|| match value.as_str()? {
            word @ ("NaN" | "Infinity" | "-Infinity") => word.parse().ok(),
            _ => None,
        });
        Some((name, value?))
    })))
}

fn sample(numbers: impl Iterator<Item = (String, f64)>) -> Sample {
    let mut values: BTreeMap<String, f64> = numbers.collect();
    let steps = STEPS.map(|name| values.remove(name));
    Sample {
        step: steps.into_iter().flatten().next().map(whole),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use std::fs::{OpenOptions, write};
    use std::io::Write;
    use std::path::Path;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn taken(rows: &mut Rows, has_ended: bool) -> String {
        let found = rows.take(has_ended).into_iter().map(|row| match row {
            Ok(sample) => format!("{:?} {:?}", sample.step, sample.values),
            Err(why) => why.rsplit('/').next().unwrap().to_owned(),
        });
        found.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_csv_is_read_as_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut rows = Rows::csv(path.clone());
        assert_eq!(taken(&mut rows, false), "");
        append(&path, "epoch,loss,note,acc\n1,0.5,\"a, b\",");
        assert_eq!(taken(&mut rows, false), "");
        append(&path, "\n2,nan,x,0.25\n3,1\n");
        assert_eq!(
            taken(&mut rows, false),
            r#"Some(1) {"loss": 0.5}; Some(2) {"acc": 0.25, "loss": NaN}; metrics.csv is passed over: it has 2 cells, and the header 4"#
        );
        append(&path, "4,4.0,x,4.0");
        assert_eq!(
            taken(&mut rows, true),
            r#"Some(4) {"acc": 4.0, "loss": 4.0}"#
        );
    }

    #[test]
    fn a_file_that_was_there_before_gives_its_header_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        write(&path, "step,loss\n1,0.5\n").unwrap();
        let mut rows = Rows::csv(path.clone());
        assert_eq!(taken(&mut rows, false), "");
        append(&path, "2,0.25\n");
        assert_eq!(taken(&mut rows, false), r#"Some(2) {"loss": 0.25}"#);
    }

    #[test]
    fn a_file_with_one_more_column_is_not_told_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut rows = Rows::csv(path.clone());
        write(&path, "step,loss\n1,0.5\n").unwrap();
        assert_eq!(taken(&mut rows, false), r#"Some(1) {"loss": 0.5}"#);
        write(&path, "step,loss,acc\n1,0.5,\n2,0.25,0.75\n").unwrap();
        assert_eq!(
            taken(&mut rows, false),
            r#"Some(2) {"acc": 0.75, "loss": 0.25}"#
        );
        // Begun anew, with the same columns.
        write(&path, "step,loss,acc\n7,7,7\n").unwrap();
        assert_eq!(
            taken(&mut rows, false),
            r#"Some(7) {"acc": 7.0, "loss": 7.0}"#
        );
    }

    #[test]
    fn json_lines_give_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut rows = Rows::json(path.clone());
        append(
            &path,
            "{\"step\":1,\"epoch\":0.5,\"loss\":\"NaN\",\"name\":\"x\",\"n\":2}\n[]\n{\"loss\":1}\n",
        );
        let said = taken(&mut rows, false);
        let (first, rest) = said.split_once("; ").unwrap();
        assert_eq!(first, r#"Some(1) {"loss": NaN, "n": 2.0}"#);
        assert!(rest.starts_with("log.jsonl is passed over: "), "{rest}");
        assert!(rest.ends_with(r#"None {"loss": 1.0}"#), "{rest}");
    }
}
