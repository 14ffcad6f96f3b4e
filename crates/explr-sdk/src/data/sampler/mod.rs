//! Which samples make up each batch.
//!
//! A sampler is a function of seed, epoch, number of the batch and optimiser
//! step, and remembers nothing else. So there is no state to save, and any
//! batch can be the first.

mod by_dataset;
mod curriculum;
mod order;
mod weighted;

pub use by_dataset::ByDataset;
pub use curriculum::{Curriculum, contrast_scores};
pub use order::{Random, Sequential};
pub use weighted::Weighted;

use crate::Result;
use std::fmt::Debug;
use std::ops::Range;

/// How samples are put together to batches.
///
/// Where several processes train one model this is about all of their
/// batches together: each gets every `world`-th sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Samples in a batch.
    pub size: usize,
    /// Whether a last, smaller batch is left out.
    pub drop_last: bool,
}

impl Batching {
    /// Number of batches that `samples` make.
    pub fn count(self, samples: usize) -> usize {
        if self.drop_last {
            samples / self.size
        } else {
            samples.div_ceil(self.size)
        }
    }

    /// Which of `samples` are in a batch.
    pub fn range(self, batch: usize, samples: usize) -> Range<usize> {
        let start = (batch * self.size).min(samples);
        start..(start + self.size).min(samples)
    }
}

/// Which samples make up each batch.
///
/// [`DataLoader`](super::DataLoader) calls [`begin`](Sampler::begin) for each
/// epoch, and then [`batch`](Sampler::batch) for its batches in order,
/// beginning anywhere.
pub trait Sampler: Send + Debug {
    /// Number of batches in an epoch.
    fn batches(&self, batching: Batching) -> usize;

    /// Prepares an epoch.
    fn begin(&mut self, epoch: u64, batching: Batching);

    /// Indices of the samples of a batch of the epoch. `step` is the number
    /// of optimiser steps done before this batch is used.
    fn batch(&mut self, batch: usize, step: u64) -> Result<Vec<usize>>;
}
