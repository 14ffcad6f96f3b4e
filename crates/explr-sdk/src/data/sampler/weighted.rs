use super::{Batching, Sampler};
use crate::Result;
use crate::data::{DataError, Rng};

/// Draws samples with replacement, each with the probability of its weight.
///
/// An epoch has as many samples as the data set, or as [`Weighted::samples`]
/// says. Weights need not add up to anything.
#[derive(Debug, Clone)]
pub struct Weighted {
    table: Table,
    samples: usize,
    seed: u64,
    epoch: u64,
    batching: Batching,
}

impl Weighted {
    /// One weight for each sample of the data set.
    pub fn new(weights: &[f64], seed: u64) -> Result<Self, DataError> {
        Ok(Self {
            table: Table::new(weights.iter().copied())?,
            samples: weights.len(),
            seed,
            epoch: 0,
            batching: Batching {
                size: 1,
                drop_last: false,
            },
        })
    }

    /// Sets the number of samples in an epoch.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }
}

impl Sampler for Weighted {
    fn batches(&self, batching: Batching) -> usize {
        batching.count(self.samples)
    }

    fn begin(&mut self, epoch: u64, batching: Batching) {
        self.epoch = epoch;
        self.batching = batching;
    }

    fn batch(&mut self, batch: usize, _step: u64) -> Result<Vec<usize>> {
        let mut rng = Rng::keyed(&[self.seed, self.epoch, batch as u64]);
        let count = self.batching.range(batch, self.samples).len();
        Ok((0..count).map(|_| self.table.draw(&mut rng)).collect())
    }
}

/// Sums of weights, in which a draw is a binary search.
#[derive(Debug, Clone)]
pub(super) struct Table {
    sums: Vec<f64>,
    total: f64,
}

impl Table {
    pub(super) fn new(weights: impl Iterator<Item = f64>) -> Result<Self, DataError> {
        let mut total = 0.0;
        let mut sums = Vec::with_capacity(weights.size_hint().0);
        for (index, weight) in weights.enumerate() {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(DataError::invalid(format!(
                    "sample {index} has the weight {weight}: weights must be 0 or more, and finite"
                )));
            }
            total += weight;
            sums.push(total);
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(DataError::invalid(format!(
                "the weights of {} samples add up to {total}: at least one must be more than 0",
                sums.len()
            )));
        }
        Ok(Self { sums, total })
    }

    /// An index, never one of weight 0.
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.uniform() * self.total;
        // Rounding can give the total itself, which is past the end.
        let last = self.sums.partition_point(|sum| *sum < self.total);
        self.sums.partition_point(|sum| *sum <= at).min(last)
    }
}
