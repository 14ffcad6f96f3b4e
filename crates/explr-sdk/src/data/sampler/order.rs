use super::{Batching, Sampler};
use crate::Result;
use crate::data::Rng;

/// All samples in their order.
#[derive(Debug, Clone)]
pub struct Sequential {
    len: usize,
    batching: Batching,
}

impl Sequential {
    /// The samples of a data set of this length.
    pub fn new(len: usize) -> Self {
        Self {
            len,
            batching: Batching {
                size: 1,
                drop_last: false,
            },
        }
    }
}

impl Sampler for Sequential {
    fn batches(&self, batching: Batching) -> usize {
        batching.count(self.len)
    }

    fn begin(&mut self, _epoch: u64, batching: Batching) {
        self.batching = batching;
    }

    fn batch(&mut self, batch: usize, _step: u64) -> Result<Vec<usize>> {
        Ok(self.batching.range(batch, self.len).collect())
    }
}

/// All samples, in another random order in each epoch.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    order: Vec<usize>,
    batching: Batching,
}

impl Random {
    /// The samples of a data set of this length.
    pub fn new(len: usize, seed: u64) -> Self {
        Self {
            seed,
            order: (0..len).collect(),
            batching: Batching {
                size: 1,
                drop_last: false,
            },
        }
    }
}

impl Sampler for Random {
    fn batches(&self, batching: Batching) -> usize {
        batching.count(self.order.len())
    }

    fn begin(&mut self, epoch: u64, batching: Batching) {
        self.batching = batching;
        for (index, place) in self.order.iter_mut().enumerate() {
            *place = index;
        }
        Rng::keyed(&[self.seed, epoch]).shuffle(&mut self.order);
    }

    fn batch(&mut self, batch: usize, _step: u64) -> Result<Vec<usize>> {
        Ok(self.order[self.batching.range(batch, self.order.len())].to_vec())
    }
}
