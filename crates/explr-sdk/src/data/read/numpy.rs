use super::{ReadError, bytes, swap_bytes};
use crate::data::{Tensors, int};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};

/// Reads an array that `numpy.save` wrote.
///
/// tch has a reader too; this one also takes arrays in Fortran's order, as
/// pandas gives them, and numbers with the high byte first.
pub fn npy(path: impl AsRef<Path>) -> Result<Tensor, ReadError> {
    let path = path.as_ref();
    array(bytes(path)?).map_err(|problem| ReadError::format(path, problem))
}

/// Reads the arrays that `numpy.savez` or `savez_compressed` wrote.
pub fn npz(path: impl AsRef<Path>) -> Result<Tensors, ReadError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| ReadError::io(path, source))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file))
        .map_err(|error| ReadError::format(path, error))?;
    (0..archive.len())
        .map(|index| {
            let mut file = archive
                .by_index(index)
                .map_err(|error| ReadError::format(path, error))?;
            let name = file.name().trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)
                .map_err(|source| ReadError::io(path, source))?;
            let tensor = array(bytes)
                .map_err(|problem| ReadError::format(path, format!("array `{name}`: {problem}")))?;
            Ok((name, tensor))
        })
        .collect()
}

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    size: usize,
    swapped: bool,
    fortran: bool,
    shape: Vec<i64>,
}

/// The format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html
fn array(mut bytes: Vec<u8>) -> Result<Tensor, String> {
    let Some([major, _]) = bytes
        .strip_prefix(b"\x93NUMPY")
        .and_then(|rest| rest.first_chunk())
    else {
        return Err("not an array of NumPy".to_owned());
    };
    let width = match major {
        1 => 2,
        2 | 3 => 4,
        other => return Err(format!("version {other} of NumPy's format is unknown")),
    };
    let cut = || "the file ends within its header".to_owned();
    let length = bytes.get(8..8 + width).ok_or_else(cut)?;
    let length = length
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | usize::from(*byte));
    let start = 8 + width + length;
    let text = bytes.get(8 + width..start).ok_or_else(cut)?;
    let header = header(&String::from_utf8_lossy(text))?;

    let wanted = header
        .shape
        .iter()
        .try_fold(header.size as u64, |product, size| {
            product.checked_mul(size.cast_unsigned())
        });
    let has = (bytes.len() - start) as u64;
    if wanted != Some(has) {
        return Err(format!(
            "{:?} elements of {} bytes do not fit {has} bytes: the file is damaged or was not \
             copied whole",
            header.shape, header.size
        ));
    }
    let data = &mut bytes[start..];
    if header.swapped {
        swap_bytes(data, header.size);
    }
    tensor(data, &header).map_err(|error| error.to_string())
}

fn tensor(data: &[u8], header: &Header) -> Result<Tensor, tch::TchError> {
    if !header.fortran {
        return Tensor::f_from_data_size(data, &header.shape, header.kind);
    }
    let reversed: Vec<i64> = header.shape.iter().rev().copied().collect();
    let dims: Vec<i64> = (0..int(reversed.len())).rev().collect();
    Tensor::f_from_data_size(data, &reversed, header.kind)?
        .f_permute(dims)?
        .f_contiguous()
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
fn header(text: &str) -> Result<Header, String> {
    let value = |key: &str| {
        text.split_once(&format!("'{key}':"))
            .map(|(_, rest)| rest.trim_start())
            .ok_or_else(|| format!("the header has no `{key}`: {text}"))
    };
    let descr = value("descr")?;
    let Some((descr, _)) = descr
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
    else {
        return Err("arrays of records can't become a tensor; save their fields apart".to_owned());
    };
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    let (kind, size) = match kind {
        "b1" => (Kind::Bool, 1),
        "u1" => (Kind::Uint8, 1),
        "i1" => (Kind::Int8, 1),
        "i2" => (Kind::Int16, 2),
        "i4" => (Kind::Int, 4),
        "i8" => (Kind::Int64, 8),
        "f2" => (Kind::Half, 2),
        "f4" => (Kind::Float, 4),
        "f8" => (Kind::Double, 8),
        _ => {
            return Err(format!(
                "a tensor can't have elements of type `{descr}`; convert the array with \
                 `.astype`, for example to `float32`"
            ));
        }
    };
    let foreign = if cfg!(target_endian = "little") {
        ">"
    } else {
        "<"
    };
    let shape = value("shape")?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or_else(|| format!("the header's shape is not a tuple: {text}"))?
        .0;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse::<u32>().map(i64::from))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the header's shape `({shape})`: {error}"))?;
    Ok(Header {
        kind,
        size,
        swapped: order == foreign,
        fortran: value("fortran_order")?.starts_with("True"),
        shape,
    })
}
