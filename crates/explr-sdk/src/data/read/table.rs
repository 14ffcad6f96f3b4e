use super::{ReadError, bytes};
use crate::data::int;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tch::{TchError, Tensor};

/// Reads a CSV file, gzipped or not, whose first line names the columns.
///
/// ```no_run
/// use explr_sdk::data::{InMemory, read};
///
/// # fn example() -> explr_sdk::Result<()> {
/// let table = read::csv("iris.csv")?;
/// let features = table.numbers(&["sepal_length", "sepal_width"])?;
/// let (species, names) = table.classes("species")?;
/// let data = InMemory::pair(&features, &species)?;
/// # Ok(())
/// # }
/// ```
pub fn csv(path: impl AsRef<Path>) -> Result<Table, ReadError> {
    let path = path.as_ref();
    let bytes = bytes(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(&*bytes);
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(source) => ReadError::io(path, source),
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => ReadError::format(
            path,
            format!(
                "line {} has {len} values; there are {expected_len} columns",
                line(&bytes, pos.as_ref())
            ),
        ),
        csv::ErrorKind::Utf8 { pos, err } => {
            ReadError::format(path, format!("line {}: {err}", line(&bytes, pos.as_ref())))
        }
        other => ReadError::format(path, format!("{other:?}")),
    };
    let columns = reader
        .headers()
        .map_err(failed)?
        .iter()
        .map(str::to_owned)
        .collect();
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        rows.push((line(&bytes, row.position()), row));
    }
    Ok(Table {
        path: path.to_owned(),
        columns,
        rows,
    })
}

/// The line that a row is on. Its position is that of empty lines before it.
fn line(bytes: &[u8], position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let before = bytes.get(start..).unwrap_or_default();
    let before = before
        .iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() + before.filter(|byte| **byte == b'\n').count() as u64
}

/// A table of text, as a CSV file has it.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    /// Each with its line in the file.
    rows: Vec<(u64, csv::StringRecord)>,
}

impl Table {
    /// Names of the columns.
    pub fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The values of a column.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>, ReadError> {
        let at = self.find(column)?;
        Ok(self
            .rows
            .iter()
            .map(|(_, row)| row.get(at).unwrap_or_default())
            .collect())
    }

    /// Numbers, as `f32` `[rows, columns]`. An empty value is an error.
    pub fn numbers(&self, columns: &[&str]) -> Result<Tensor, ReadError> {
        let places = columns
            .iter()
            .map(|column| Ok((*column, self.find(column)?)))
            .collect::<Result<Vec<_>, ReadError>>()?;
        let mut numbers = Vec::with_capacity(self.len() * places.len());
        for row in &self.rows {
            for (column, at) in &places {
                numbers.push(self.parse::<f32>(row, column, *at, "a number")?);
            }
        }
        let shape = [int(self.len()), int(places.len())];
        self.tensor(Tensor::f_from_slice(&numbers).and_then(|all| all.f_view(shape)))
    }

    /// Whole numbers of a column, as `i64` `[rows]`.
    pub fn integers(&self, column: &str) -> Result<Tensor, ReadError> {
        let at = self.find(column)?;
        let numbers = self
            .rows
            .iter()
            .map(|row| self.parse::<i64>(row, column, at, "a whole number"))
            .collect::<Result<Vec<_>, _>>()?;
        self.tensor(Tensor::f_from_slice(&numbers))
    }

    /// The values of a column as numbers of classes, `i64` `[rows]`, with the
    /// classes' names in their order.
    pub fn classes(&self, column: &str) -> Result<(Tensor, Vec<String>), ReadError> {
        let texts = self.texts(column)?;
        let names: Vec<&str> = texts
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let class = |text: &str| int(names.binary_search(&text).unwrap_or_default());
        let numbers: Vec<i64> = texts.iter().map(|text| class(text)).collect();
        let numbers = self.tensor(Tensor::f_from_slice(&numbers))?;
        Ok((numbers, names.into_iter().map(str::to_owned).collect()))
    }

    fn find(&self, column: &str) -> Result<usize, ReadError> {
        self.columns
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| {
                let near = self
                    .columns
                    .iter()
                    .max_by(|a, b| strsim::jaro(a, column).total_cmp(&strsim::jaro(b, column)));
                ReadError::format(
                    &self.path,
                    match near {
                        Some(near) => format!(
                            "there is no column `{column}`; did you mean `{near}`? There are: {}",
                            self.columns.join(", ")
                        ),
                        None => format!("there is no column `{column}`: the file is empty"),
                    },
                )
            })
    }

    fn parse<T: std::str::FromStr>(
        &self,
        (line, row): &(u64, csv::StringRecord),
        column: &str,
        at: usize,
        wanted: &str,
    ) -> Result<T, ReadError> {
        let text = row.get(at).unwrap_or_default();
        text.parse().map_err(|_| ReadError::Value {
            path: self.path.clone(),
            line: *line,
            column: column.to_owned(),
            problem: match text {
                "" => format!("no value; {wanted} is needed"),
                text => format!("`{text}` is not {wanted}"),
            },
        })
    }

    fn tensor(&self, made: Result<Tensor, TchError>) -> Result<Tensor, ReadError> {
        made.map_err(|error| ReadError::format(&self.path, error))
    }
}
