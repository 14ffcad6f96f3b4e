use crate::data::{DataError, Tensors};
use std::ops::Deref;
use tch::Tensor;

/// Samples put together, and which they are.
#[derive(Debug)]
pub struct Batch {
    pub(super) tensors: Tensors,
    pub(super) indices: Vec<usize>,
}

impl Batch {
    /// Indices of the samples in the data set; numbers, from 0, in a stream.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.indices.len()
    }

    /// The tensors alone.
    pub fn into_tensors(self) -> Tensors {
        self.tensors
    }
}

impl Deref for Batch {
    type Target = Tensors;

    fn deref(&self) -> &Tensors {
        &self.tensors
    }
}

/// Stacks each tensor of the samples along a new first dimension.
pub(super) fn stack(samples: &[Tensors], indices: &[usize]) -> Result<Tensors, DataError> {
    let Some(first) = samples.first() else {
        return Ok(Tensors::new());
    };
    if let Some(other) = samples
        .iter()
        .position(|sample| sample.len() != first.len())
    {
        return Err(DataError::invalid(format!(
            "sample {} has {} tensors and sample {} has {}",
            indices[0],
            first.len(),
            indices[other],
            samples[other].len()
        )));
    }
    let mut batch = Tensors::new();
    for (name, tensor) in &first.0 {
        let mut column: Vec<&Tensor> = Vec::with_capacity(samples.len());
        for (sample, index) in samples.iter().zip(indices) {
            let other = sample.get(name).map_err(|error| DataError::Sample {
                index: *index,
                source: error.into(),
            })?;
            if other.size() != tensor.size() {
                return Err(DataError::invalid(format!(
                    "`{name}` has the shape {:?} in sample {} and {:?} in sample {index}; give \
                     the loader a `collate` that pads them, or the data set one shape",
                    tensor.size(),
                    indices[0],
                    other.size()
                )));
            }
            column.push(other);
        }
        batch = batch.with(name.clone(), Tensor::f_stack(&column, 0)?);
    }
    Ok(batch)
}
