use super::DataLoader;
use super::recipe::{Collate, Recipe, Transform};
use crate::Result;
use crate::data::{
    Batching, DataError, Dataset, IterableDataset, Random, Rng, Sampler, Sequential, Shard, Tensors,
};
use std::fmt;
use std::sync::{Arc, Mutex};
use tch::Device;

/// Settings of a [`DataLoader`].
pub struct LoaderBuilder {
    pub(super) samples: Samples,
    batch_size: usize,
    drop_last: bool,
    workers: usize,
    ahead: Option<usize>,
    shard: Shard,
    accumulate: u64,
    device: Option<Device>,
    transform: Option<(u64, Box<Transform>)>,
    collate: Option<Box<Collate>>,
    /// Whether a stream was given a sampler.
    stream_sampled: bool,
}

/// Where the samples come from.
pub(super) enum Samples {
    Dataset(Arc<dyn Dataset>, Box<dyn Sampler>),
    Stream(Arc<dyn IterableDataset>),
}

impl LoaderBuilder {
    pub(super) fn new(samples: Samples) -> Self {
        Self {
            samples,
            batch_size: 1,
            drop_last: false,
            workers: 0,
            ahead: None,
            shard: Shard::default(),
            accumulate: 1,
            device: None,
            transform: None,
            collate: None,
            stream_sampled: false,
        }
    }

    /// Samples in a batch of this process. 1 if not set.
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch_size = size;
        self
    }

    /// Leaves out a last batch that would be smaller.
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// All samples in another random order in each epoch. Not for a stream.
    pub fn shuffle(self, seed: u64) -> Self {
        let len = match &self.samples {
            Samples::Dataset(dataset, _) => dataset.len(),
            Samples::Stream(_) => 0,
        };
        self.sampler(Random::new(len, seed))
    }

    /// Chooses the samples of each batch. Not for a stream.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        match &mut self.samples {
            Samples::Dataset(_, current) => *current = Box::new(sampler),
            Samples::Stream(_) => self.stream_sampled = true,
        }
        self
    }

    /// Threads that make batches ahead of their use. With 0, the default, a
    /// batch is made when it is wanted: best for data in memory.
    ///
    /// The batches and their order are the same with any number. In a worker
    /// libtorch's operations use one core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many batches may be in the making or ready at a time: the bound
    /// on memory. Twice the number of workers if not set.
    pub fn ahead(mut self, batches: usize) -> Self {
        self.ahead = Some(batches);
        self
    }

    /// Takes every `world`-th sample, from `rank` on. Every process gets as
    /// many batches, with as many samples: where a last batch lacks some, its
    /// first ones are used again.
    pub fn shard(mut self, rank: usize, world: usize) -> Self {
        self.shard = Shard { rank, world };
        self
    }

    /// Batches to an optimiser step, 1 if not set: how the loader knows for
    /// which step a [`Curriculum`](crate::data::Curriculum) draws a batch. A
    /// last, smaller group in an epoch counts as a step too.
    pub fn accumulate(mut self, batches: u64) -> Self {
        self.accumulate = batches;
        self
    }

    /// Where the batches go. For a GPU they are put into pinned memory by the
    /// workers and copied while the host goes on.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Changes every sample, in the workers: to augment it, for example. The
    /// random generator is of this seed, and of the sample's place in the
    /// training: the same with any number of workers and after a resume.
    pub fn transform(
        mut self,
        seed: u64,
        transform: impl Fn(Tensors, &mut Rng) -> Result<Tensors> + Send + Sync + 'static,
    ) -> Self {
        self.transform = Some((seed, Box::new(transform)));
        self
    }

    /// Makes a batch of samples, instead of stacking their tensors.
    pub fn collate(
        mut self,
        collate: impl Fn(Vec<Tensors>) -> Result<Tensors> + Send + Sync + 'static,
    ) -> Self {
        self.collate = Some(Box::new(collate));
        self
    }

    /// The loader, unless a setting makes no sense.
    pub fn build(self) -> Result<DataLoader, DataError> {
        let Shard { rank, world } = self.shard;
        if self.batch_size == 0 {
            return Err(DataError::invalid(
                "the batch size is 0; it must be 1 or more",
            ));
        }
        if rank >= world {
            return Err(DataError::invalid(format!(
                "rank {rank} of {world} processes: ranks go from 0 to one less than their number"
            )));
        }
        if self.accumulate == 0 {
            return Err(DataError::invalid(
                "0 batches to an optimiser step; it must be 1 or more",
            ));
        }
        if self.stream_sampled {
            return Err(DataError::invalid(
                "a stream gives its samples in its own order: it takes no sampler, and is not \
                 shuffled; do so in its `samples`",
            ));
        }
        if self.ahead == Some(0) {
            return Err(DataError::invalid(
                "0 batches ahead leave the workers nothing to do; it must be 1 or more",
            ));
        }
        let pin = self.device.filter(|device| device.is_cuda());
        let dataset = match &self.samples {
            Samples::Dataset(dataset, _) => Some(Arc::clone(dataset)),
            Samples::Stream(_) => None,
        };
        Ok(DataLoader {
            recipe: Arc::new(Recipe {
                dataset,
                transform: self.transform,
                collate: self.collate,
                pin,
            }),
            batching: Batching {
                size: self.batch_size * world,
                drop_last: self.drop_last,
            },
            samples: match self.samples {
                Samples::Dataset(dataset, sampler) => super::Samples::Indexed {
                    len: dataset.len(),
                    sampler: Arc::new(Mutex::new(sampler)),
                },
                Samples::Stream(stream) => super::Samples::Stream(stream),
            },
            workers: self.workers,
            ahead: self.ahead.unwrap_or(2 * self.workers),
            shard: self.shard,
            accumulate: self.accumulate,
            device: self.device,
            epoch: 0,
            batch: 0,
            step: 0,
            restored: false,
        })
    }
}

impl LoaderBuilder {
    pub(super) fn dataset(dataset: Arc<dyn Dataset>) -> Self {
        let len = dataset.len();
        Self::new(Samples::Dataset(dataset, Box::new(Sequential::new(len))))
    }
}

impl fmt::Debug for LoaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("LoaderBuilder")
            .field("batch_size", &self.batch_size)
            .field("drop_last", &self.drop_last)
            .field("workers", &self.workers)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
