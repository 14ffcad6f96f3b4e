//! Batches, in order, made by threads ahead of their use.
//!
//! | file | |
//! |---|---|
//! | `builder` | the settings |
//! | `source` | what is to be done for each batch, in order |
//! | `recipe` | how a batch is made of it |
//! | `pool` | the threads, which take work and put batches in order |
//! | `state` | where the loader is |

mod batch;
mod builder;
mod pool;
mod recipe;
mod source;
mod state;

pub use batch::Batch;
pub use builder::LoaderBuilder;
pub use state::LoaderState;

use crate::data::{Batching, DataError, Dataset, IterableDataset, Sampler, Shard};
use pool::Pool;
use recipe::Recipe;
use source::Source;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Device;

/// Gives the batches of an epoch in order, made ahead by threads.
///
/// What it gives depends on the data set, the sampler and its seed only,
/// never on the number of workers or their speed. See [the
/// module](crate::data) for an example, and [`DataLoader::restore`] for
/// going on in the middle of an epoch.
pub struct DataLoader {
    recipe: Arc<Recipe>,
    samples: Samples,
    /// Over all processes.
    batching: Batching,
    workers: usize,
    ahead: usize,
    shard: Shard,
    accumulate: u64,
    device: Option<Device>,
    epoch: u64,
    /// Batches given in the epoch.
    batch: u64,
    /// Optimiser steps before the epoch.
    step: u64,
    /// Whether the next epoch begins where a saved one was.
    restored: bool,
}

enum Samples {
    Indexed {
        sampler: Arc<Mutex<Box<dyn Sampler>>>,
        len: usize,
    },
    Stream(Arc<dyn IterableDataset>),
}

impl DataLoader {
    /// A loader of a data set, in its order if nothing else is set.
    pub fn builder(dataset: impl Dataset + 'static) -> LoaderBuilder {
        LoaderBuilder::dataset(Arc::new(dataset))
    }

    /// A loader of a stream. One thread at a time reads it; the workers share
    /// what is done to its samples.
    pub fn stream(dataset: impl IterableDataset + 'static) -> LoaderBuilder {
        LoaderBuilder::new(builder::Samples::Stream(Arc::new(dataset)))
    }

    /// Number of batches in an epoch; `None` for a stream.
    pub fn batches(&self) -> Option<u64> {
        match &self.samples {
            Samples::Indexed { sampler, .. } => {
                let sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
                Some(sampler.batches(self.batching) as u64)
            }
            Samples::Stream(_) => None,
        }
    }

    /// The batches of an epoch, counted from 0.
    ///
    /// It begins with the first batch, or after the last one that was given
    /// before the state was saved, if one was restored for this epoch.
    pub fn epoch(&mut self, epoch: u64) -> Result<Batches<'_>, DataError> {
        if !(std::mem::take(&mut self.restored) && self.epoch == epoch) {
            self.step += self.batch.div_ceil(self.accumulate);
            self.batch = 0;
            self.epoch = epoch;
        }
        let kind = match &self.samples {
            Samples::Indexed { sampler, len } => {
                let mut begun = sampler.lock().unwrap_or_else(PoisonError::into_inner);
                let batches = begun.batches(self.batching) as u64;
                begun.begin(epoch, self.batching);
                source::Kind::Indexed {
                    sampler: Arc::clone(sampler),
                    batches,
                    len: *len,
                    shard: self.shard,
                    step: self.step,
                    accumulate: self.accumulate,
                }
            }
            Samples::Stream(stream) => {
                let size = self.batching.size / self.shard.world;
                let next = usize::try_from(self.batch).unwrap_or(usize::MAX) * size;
                let samples =
                    stream
                        .samples(epoch, self.shard, next)
                        .map_err(|error| DataError::Sample {
                            index: next,
                            source: error.into_boxed(),
                        })?;
                source::Kind::Stream {
                    samples,
                    next,
                    size,
                    drop_last: self.batching.drop_last,
                }
            }
        };
        let source = Source {
            epoch,
            batch: self.batch,
            kind,
        };
        let feed = match self.workers {
            0 => Feed::Here(source),
            workers => Feed::Pool(Pool::new(&self.recipe, source, workers, self.ahead)?),
        };
        Ok(Batches { loader: self, feed })
    }

    /// Where the loader is. In an epoch, [`Batches::state`] tells.
    pub fn state(&self) -> LoaderState {
        LoaderState {
            epoch: self.epoch,
            batch: self.batch,
            step: self.step,
            batch_size: (self.batching.size / self.shard.world) as u64,
            world: self.shard.world as u64,
            samples: match &self.samples {
                Samples::Indexed { len, .. } => *len as u64,
                Samples::Stream(_) => 0,
            },
        }
    }

    /// Goes on where a saved loader was: the epoch of the state, when it is
    /// asked for, begins after its last batch that was given.
    ///
    /// ```
    /// use explr_sdk::data::{DataLoader, InMemory, LoaderState};
    /// use explr_sdk::tch::{Tensor, kind};
    ///
    /// # fn example() -> explr_sdk::Result<()> {
    /// let loader = || -> explr_sdk::Result<DataLoader> {
    ///     let data = InMemory::new(&Tensor::arange(100, kind::FLOAT_CPU).into())?;
    ///     Ok(DataLoader::builder(data).batch_size(10).shuffle(42).build()?)
    /// };
    /// let mut first = loader()?;
    /// let mut batches = first.epoch(0)?;
    /// batches.next().transpose()?;
    /// let saved: LoaderState = batches.state();
    /// let wanted = batches.next().transpose()?.map(|batch| batch.indices().to_vec());
    ///
    /// let mut second = loader()?;
    /// second.restore(&saved)?;
    /// let next = second.epoch(saved.epoch)?.next().transpose()?;
    /// assert_eq!(next.map(|batch| batch.indices().to_vec()), wanted);
    /// # Ok(())
    /// # }
    /// # example().unwrap();
    /// ```
    pub fn restore(&mut self, state: &LoaderState) -> Result<(), DataError> {
        self.state().check(state)?;
        self.epoch = state.epoch;
        self.batch = state.batch;
        self.step = state.step;
        self.restored = true;
        Ok(())
    }

    /// Sets the batches to an optimiser step, as the builder does.
    pub(crate) fn set_accumulate(&mut self, batches: u64) {
        self.accumulate = batches;
    }

    /// Sets the number of optimiser steps done before the next epoch, where
    /// it is not what follows from the number of batches: when steps were
    /// left out, for example.
    pub fn set_step(&mut self, step: u64) {
        self.step = step.saturating_sub(self.batch.div_ceil(self.accumulate));
    }
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("DataLoader")
            .field("workers", &self.workers)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The batches of an epoch.
///
/// An error is the last that it gives, and the state stays before the batch
/// that could not be made. Dropped early, it ends its threads, as soon as the
/// samples that they are reading are read.
pub struct Batches<'a> {
    loader: &'a mut DataLoader,
    feed: Feed,
}

enum Feed {
    Here(Source),
    Pool(Pool),
    Ended,
}

impl Batches<'_> {
    /// Where the loader is after the batches that were given.
    pub fn state(&self) -> LoaderState {
        self.loader.state()
    }

    fn make(&mut self) -> Result<Option<Batch>, DataError> {
        let made = match &mut self.feed {
            Feed::Here(source) => match source.next()? {
                Some(work) => self.loader.recipe.make(work, &|| false)?,
                None => None,
            },
            Feed::Pool(pool) => pool.next()?,
            Feed::Ended => return Ok(None),
        };
        let Some(Batch { tensors, indices }) = made else {
            self.loader.step += self.loader.batch.div_ceil(self.loader.accumulate);
            self.loader.batch = 0;
            self.loader.epoch += 1;
            self.feed = Feed::Ended;
            return Ok(None);
        };
        let tensors = match self.loader.device {
            Some(device) => tensors.to_device(device)?,
            None => tensors,
        };
        self.loader.batch += 1;
        Ok(Some(Batch { tensors, indices }))
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let made = self.make();
        if made.is_err() {
            self.feed = Feed::Ended;
        }
        made.transpose()
    }
}

impl fmt::Debug for Batches<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("Batches").field(&self.loader).finish()
    }
}
