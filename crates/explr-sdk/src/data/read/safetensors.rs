use super::ReadError;
use crate::data::Tensors;
use crate::error::without_cpp_trace;
use std::path::Path;
use tch::Tensor;

/// Reads the tensors of a safetensors file, by name.
pub fn safetensors(path: impl AsRef<Path>) -> Result<Tensors, ReadError> {
    let path = path.as_ref();
    let mut tensors = Tensor::read_safetensors(path)
        .map_err(|error| ReadError::format(path, without_cpp_trace(&error.to_string())))?;
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors.into_iter().collect())
}
