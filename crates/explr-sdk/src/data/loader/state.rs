use crate::data::DataError;
use serde::{Deserialize, Serialize};

/// Where a loader is, for a checkpoint.
///
/// It is a few numbers: orders and random draws follow from the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderState {
    /// The epoch that is under way, or comes next.
    pub epoch: u64,
    /// Batches of it that were given out.
    pub batch: u64,
    /// Optimiser steps done before the epoch began.
    pub step: u64,
    /// Samples in a batch.
    pub batch_size: u64,
    /// Processes that train together.
    pub world: u64,
    /// Samples of the data set; 0 for a stream.
    pub samples: u64,
}

impl LoaderState {
    /// Refuses a state with which other samples would come next.
    pub(super) fn check(&self, saved: &Self) -> Result<(), DataError> {
        let parts = [
            ("the batch size", saved.batch_size, self.batch_size),
            ("the number of processes", saved.world, self.world),
            ("the number of samples", saved.samples, self.samples),
        ];
        match parts
            .into_iter()
            .find(|(_, saved, current)| saved != current)
        {
            Some((what, saved, current)) => Err(DataError::Position {
                what,
                saved,
                current,
            }),
            None => Ok(()),
        }
    }
}
