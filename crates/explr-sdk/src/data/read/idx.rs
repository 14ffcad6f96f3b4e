use super::{ReadError, bytes, swap_bytes};
use std::path::Path;
use tch::{Kind, Tensor};

/// Reads an IDX file, the format of MNIST, gzipped or not.
///
/// The tensor has the file's dimensions and type: `[60000, 28, 28]` bytes for
/// the pictures of MNIST.
pub fn idx(path: impl AsRef<Path>) -> Result<Tensor, ReadError> {
    let path = path.as_ref();
    let mut bytes = bytes(path)?;
    let format = |problem: String| ReadError::format(path, problem);
    let [0, 0, kind, dims, ..] = *bytes else {
        return Err(format(
            "not an IDX file: it does not begin with two zero bytes".to_owned(),
        ));
    };
    let (kind, size) = match kind {
        0x08 => (Kind::Uint8, 1),
        0x09 => (Kind::Int8, 1),
        0x0b => (Kind::Int16, 2),
        0x0c => (Kind::Int, 4),
        0x0d => (Kind::Float, 4),
        0x0e => (Kind::Double, 8),
        other => {
            return Err(format(format!(
                "not an IDX file: type {other:#04x} is unknown"
            )));
        }
    };
    let start = 4 + 4 * usize::from(dims);
    let Some(header) = bytes.get(4..start) else {
        return Err(format(format!(
            "the file ends within the sizes of its {dims} dimensions"
        )));
    };
    let shape: Vec<i64> = header
        .chunks_exact(4)
        .map(|size| {
            size.iter()
                .fold(0, |value, byte| value << 8 | i64::from(*byte))
        })
        .collect();
    let wanted = shape.iter().try_fold(size as u64, |product, size| {
        product.checked_mul(size.cast_unsigned())
    });
    let has = (bytes.len() - start) as u64;
    if wanted != Some(has) {
        return Err(format(format!(
            "{shape:?} elements of {size} bytes do not fit {has} bytes: the file is damaged or \
             was not copied whole"
        )));
    }
    let data = &mut bytes[start..];
    if cfg!(target_endian = "little") {
        swap_bytes(data, size);
    }
    Tensor::f_from_data_size(data, &shape, kind).map_err(|error| ReadError::format(path, error))
}
