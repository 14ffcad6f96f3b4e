use crate::Result;
use crate::data::{DataError, SampleIter, Sampler, Shard, Tensors};
use std::sync::{Arc, Mutex, PoisonError};

/// What has to be done for a batch.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) epoch: u64,
    /// Number of the batch in the epoch.
    pub(super) batch: u64,
    pub(super) indices: Vec<usize>,
    /// The samples, where they come from a stream.
    pub(super) drawn: Option<Vec<Tensors>>,
}

/// The work of an epoch that is still to be given out.
pub(super) struct Source {
    pub(super) epoch: u64,
    /// The batch that comes next.
    pub(super) batch: u64,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Indexed {
        sampler: Arc<Mutex<Box<dyn Sampler>>>,
        /// Batches in the epoch.
        batches: u64,
        /// Samples in the data set.
        len: usize,
        shard: Shard,
        /// Optimiser steps before the epoch, and batches to each.
        step: u64,
        accumulate: u64,
    },
    Stream {
        samples: SampleIter,
        /// Number of the sample that comes next.
        next: usize,
        size: usize,
        drop_last: bool,
    },
}

impl Source {
    pub(super) fn next(&mut self) -> Result<Option<Work>, DataError> {
        let (epoch, batch) = (self.epoch, self.batch);
        let (indices, drawn) = match &mut self.kind {
            Kind::Indexed { batches, .. } if batch >= *batches => return Ok(None),
            Kind::Indexed {
                sampler,
                len,
                shard,
                step,
                accumulate,
                ..
            } => {
                let mut sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
                let indices = sampler
                    .batch(
                        usize::try_from(batch).unwrap_or(usize::MAX),
                        *step + batch / *accumulate,
                    )
                    .and_then(|indices| in_range(indices, *len))
                    .map_err(|error| DataError::Sampler {
                        epoch,
                        batch,
                        source: error.into_boxed(),
                    })?;
                (own(indices, *shard), None)
            }
            Kind::Stream {
                samples,
                next,
                size,
                drop_last,
            } => {
                let mut drawn = Vec::with_capacity(*size);
                while drawn.len() < *size {
                    match samples.next() {
                        None => break,
                        Some(Ok(sample)) => drawn.push(sample),
                        Some(Err(error)) => {
                            let index = *next + drawn.len();
                            return Err(DataError::Sample {
                                index,
                                source: error.into_boxed(),
                            });
                        }
                    }
                }
                if drawn.is_empty() || (*drop_last && drawn.len() < *size) {
                    return Ok(None);
                }
                let first = *next;
                *next += drawn.len();
                ((first..*next).collect(), Some(drawn))
            }
        };
        self.batch += 1;
        Ok(Some(Work {
            epoch,
            batch,
            indices,
            drawn,
        }))
    }
}

fn in_range(indices: Vec<usize>, len: usize) -> Result<Vec<usize>> {
    match indices.iter().find(|index| **index >= len) {
        Some(index) => Err(format!(
            "the sampler wants sample {index} of a data set that has {len}; make it with the \
             length of this data set"
        )
        .into()),
        None => Ok(indices),
    }
}

/// What of a batch is for this process. All get the same number of samples:
/// where some lack, those from the batch's start are used again.
fn own(indices: Vec<usize>, Shard { rank, world }: Shard) -> Vec<usize> {
    if world == 1 {
        return indices;
    }
    let each = indices.len().div_ceil(world);
    let all = indices.iter().cycle().skip(rank).step_by(world);
    all.take(each).copied().collect()
}
