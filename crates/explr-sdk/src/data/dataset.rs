use super::{DataError, Rng, Tensors};
use crate::Result;
use std::sync::Arc;

/// Samples that can be had by number.
///
/// Worker threads call it at the same time. A data set that holds tensors
/// keeps them as [`SharedTensor`](super::SharedTensor); the finished
/// [`InMemory`](super::InMemory) does so.
///
/// ```
/// use explr_sdk::Result;
/// use explr_sdk::data::{Dataset, Tensors};
/// use explr_sdk::tch::Tensor;
///
/// struct Squares;
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         100
///     }
///
///     fn get(&self, index: usize) -> Result<Tensors> {
///         let x = index as f32;
///         Ok((Tensor::from(x), Tensor::from(x * x)).into())
///     }
/// }
/// ```
#[allow(
    clippy::len_without_is_empty,
    reason = "an implementor has one method less to write"
)]
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// The sample at an index below [`len`](Dataset::len).
    fn get(&self, index: usize) -> Result<Tensors>;

    /// Several samples at once, stacked along a new first dimension, where
    /// that is faster than one by one. `None`, the default, where it is not.
    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        let _ = indices;
        Ok(None)
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        (**self).get(index)
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        (**self).get_batch(indices)
    }
}

impl<D: Dataset + ?Sized> Dataset for Box<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        (**self).get(index)
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        (**self).get_batch(indices)
    }
}

/// The samples of a stream, in its order.
pub type SampleIter = Box<dyn Iterator<Item = Result<Tensors>> + Send>;

/// Samples that come one after the other, such as lines of a large file.
pub trait IterableDataset: Send + Sync {
    /// The samples of an epoch for one of `shard.world` processes, without
    /// the first `skip` of them: those were used before an interruption.
    ///
    /// `iterator.skip(skip)` always does; a file that can be searched has a
    /// faster way.
    fn samples(&self, epoch: u64, shard: Shard, skip: usize) -> Result<SampleIter>;
}

/// Which part of the data a process has when several train one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { rank: 0, world: 1 }
    }
}

/// Some samples of a data set, in an order of their own.
#[derive(Debug, Clone)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples at `indices`; each must be below the data set's length.
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self, DataError> {
        let len = dataset.len();
        match indices.iter().find(|index| **index >= len) {
            Some(index) => Err(DataError::invalid(format!(
                "a subset wants sample {index} of a data set that has {len}"
            ))),
            None => Ok(Self { dataset, indices }),
        }
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        self.dataset.get(self.indices[index])
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        let indices: Vec<usize> = indices.iter().map(|index| self.indices[*index]).collect();
        self.dataset.get_batch(&indices)
    }
}

/// Splits the indices below `len` at random into parts of the given shares,
/// such as `&[0.8, 0.1, 0.1]`. Every index is in one part.
pub fn random_split(len: usize, shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    let sum: f64 = shares.iter().sum();
    if shares.iter().any(|share| share.is_nan() || *share < 0.0) || (sum - 1.0).abs() > 1e-9 {
        return Err(DataError::invalid(format!(
            "the shares of a split are {shares:?}: they must be 0 or more and add up to 1"
        )));
    }
    let mut indices: Vec<usize> = (0..len).collect();
    Rng::keyed(&[seed]).shuffle(&mut indices);
    let mut before = 0.0;
    let mut rest = indices.as_slice();
    let mut parts = Vec::with_capacity(shares.len());
    for share in shares {
        before += share;
        // How many are behind this part, of all: a number from 0 to `len`.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let behind = len - ((before * len as f64).round() as usize).min(len);
        let (part, behind) = rest.split_at(rest.len() - behind.min(rest.len()));
        parts.push(part.to_vec());
        rest = behind;
    }
    Ok(parts)
}
