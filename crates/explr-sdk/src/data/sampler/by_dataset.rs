use super::{Batching, Sampler};
use crate::Result;
use crate::data::sampler::weighted::Table;
use crate::data::{DataError, Rng};
use std::ops::Range;

/// Batches with samples of one data set each, in random order.
///
/// Without weights an epoch has every sample once. With weights each batch's
/// data set is drawn by them; a data set that comes up often begins again,
/// in another order, when all of its samples were used.
#[derive(Debug)]
pub struct ByDataset {
    sets: Vec<Range<usize>>,
    table: Option<Table>,
    batches: Option<usize>,
    seed: u64,
    epoch: u64,
    batching: Batching,
    /// The data set of each batch, and how many of its batches came before.
    plan: Vec<(usize, usize)>,
    /// The order of each data set in the pass that was used last.
    orders: Vec<(usize, Vec<usize>)>,
}

impl ByDataset {
    /// Data sets of these lengths, one after the other, as
    /// [`Concat::lens`](crate::data::Concat::lens) gives them.
    pub fn new(lens: &[usize], seed: u64) -> Self {
        let mut end = 0;
        let sets = lens.iter().map(|len| {
            end += len;
            end - len..end
        });
        Self {
            sets: sets.collect(),
            table: None,
            batches: None,
            seed,
            epoch: 0,
            batching: Batching {
                size: 1,
                drop_last: false,
            },
            plan: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// Draws the data set of each batch by these weights, one for each.
    pub fn weights(mut self, weights: &[f64]) -> Result<Self, DataError> {
        if weights.len() != self.sets.len() {
            return Err(DataError::invalid(format!(
                "there are {} weights for {} data sets",
                weights.len(),
                self.sets.len()
            )));
        }
        let empty = |(set, weight): (&Range<usize>, &f64)| set.is_empty() && *weight > 0.0;
        if let Some(set) = self.sets.iter().zip(weights).position(empty) {
            return Err(DataError::invalid(format!(
                "data set {set} is empty and has the weight {}: set it to 0",
                weights[set]
            )));
        }
        self.table = Some(Table::new(weights.iter().copied())?);
        Ok(self)
    }

    /// Sets the number of batches in an epoch, for use with weights; as many
    /// as all samples make if not set.
    pub fn batches(mut self, batches: usize) -> Self {
        self.batches = Some(batches);
        self
    }

    fn natural(&self, batching: Batching) -> impl Iterator<Item = usize> {
        self.sets.iter().map(move |set| batching.count(set.len()))
    }

    /// The order of a data set in one of its passes.
    fn order(&mut self, set: usize, pass: usize) -> &[usize] {
        let (known, order) = &mut self.orders[set];
        if *known != pass || order.is_empty() {
            *known = pass;
            *order = self.sets[set].clone().collect();
            Rng::keyed(&[self.seed, self.epoch, set as u64, pass as u64, 1]).shuffle(order);
        }
        order
    }
}

impl Sampler for ByDataset {
    fn batches(&self, batching: Batching) -> usize {
        match (&self.table, self.batches) {
            (Some(_), Some(batches)) => batches,
            _ => self.natural(batching).sum(),
        }
    }

    fn begin(&mut self, epoch: u64, batching: Batching) {
        self.epoch = epoch;
        self.batching = batching;
        self.orders = vec![(0, Vec::new()); self.sets.len()];
        let mut rng = Rng::keyed(&[self.seed, epoch]);
        let plan: Vec<usize> = if let Some(table) = &self.table {
            let batches = Sampler::batches(self, batching);
            (0..batches).map(|_| table.draw(&mut rng)).collect()
        } else {
            let sets = self.natural(batching).enumerate();
            let mut plan: Vec<usize> = sets
                .flat_map(|(set, batches)| std::iter::repeat_n(set, batches))
                .collect();
            rng.shuffle(&mut plan);
            plan
        };
        let mut used = vec![0; self.sets.len()];
        self.plan = plan
            .into_iter()
            .map(|set| {
                used[set] += 1;
                (set, used[set] - 1)
            })
            .collect();
    }

    fn batch(&mut self, batch: usize, _step: u64) -> Result<Vec<usize>> {
        let (set, used) = self.plan[batch];
        let len = self.sets[set].len();
        let Batching { size, .. } = self.batching;
        if self.table.is_none() {
            let range = self.batching.range(used, len);
            return Ok(self.order(set, 0)[range].to_vec());
        }
        // Always full: what a pass lacks, the next one gives.
        Ok((used * size..(used + 1) * size)
            .map(|at| self.order(set, at / len)[at % len])
            .collect())
    }
}
