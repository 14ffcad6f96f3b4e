//! Readers for files of data.
//!
//! | | |
//! |---|---|
//! | [`idx()`] | IDX, the format of MNIST, also with gzip |
//! | [`csv()`] | tables of text, also with gzip |
//! | `ImageFolder` | PNG and JPEG, a folder for each class; with the feature `images` |
//! | [`safetensors()`] | tensors by name |
//! | [`npy`], [`npz`] | arrays of `NumPy` |

mod idx;
#[cfg(feature = "images")]
mod images;
mod numpy;
mod safetensors;
mod table;

pub use idx::idx;
#[cfg(feature = "images")]
pub use images::ImageFolder;
pub use numpy::{npy, npz};
pub use safetensors::safetensors;
pub use table::{Table, csv};

use flate2::bufread::MultiGzDecoder;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file of data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused, or the compressed data is damaged.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The content is not what the format allows.
    #[error("`{}`: {problem}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A value in a table is wrong.
    #[error("`{}:{line}`, column `{column}`: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// What is wrong.
        problem: String,
    },
}

impl ReadError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn format(path: &Path, problem: impl Display) -> Self {
        Self::Format {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// The content of a file, unpacked if gzip packed it. The first bytes tell,
/// not the name.
fn bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let packed = fs::read(path).map_err(|source| ReadError::io(path, source))?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(&*packed)
        .read_to_end(&mut bytes)
        .map_err(|source| ReadError::io(path, source))?;
    Ok(bytes)
}

/// Turns the bytes of numbers of `size` bytes round.
fn swap_bytes(bytes: &mut [u8], size: usize) {
    if size > 1 {
        for number in bytes.chunks_exact_mut(size) {
            number.reverse();
        }
    }
}
