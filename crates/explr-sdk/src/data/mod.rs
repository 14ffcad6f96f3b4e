//! Data for training: data sets, samplers and a loader that reads ahead.
//!
//! A [`Dataset`] gives samples, a [`Sampler`] says which make up each batch,
//! and a [`DataLoader`] puts them together, in threads, in an order that
//! depends on the seed alone:
//!
//! ```
//! use explr_sdk::data::{DataLoader, InMemory};
//! use explr_sdk::tch::{Tensor, kind};
//!
//! # fn example() -> explr_sdk::Result<()> {
//! let (x, y) = (Tensor::rand([100, 4], kind::FLOAT_CPU), Tensor::zeros([100], kind::INT64_CPU));
//! let mut loader = DataLoader::builder(InMemory::pair(&x, &y)?)
//!     .batch_size(32)
//!     .shuffle(42)
//!     .workers(2)
//!     .build()?;
//! for epoch in 0..3 {
//!     for batch in loader.epoch(epoch)? {
//!         let batch = batch?;
//!         let [x, y] = batch.all()?;
//!         assert_eq!(x.size()[0], y.size()[0]);
//!     }
//! }
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```
//!
//! [`read`] has readers for files: IDX, CSV, pictures in folders,
//! safetensors and `NumPy`.

mod concat;
mod dataset;
mod error;
mod in_memory;
mod loader;
pub mod read;
mod rng;
mod sampler;
mod shared;
mod tensors;

pub use concat::Concat;
pub use dataset::{Dataset, IterableDataset, SampleIter, Shard, Subset, random_split};
pub use error::DataError;
pub use in_memory::InMemory;
pub use loader::{Batch, Batches, DataLoader, LoaderBuilder, LoaderState};
pub use read::ReadError;
pub use rng::Rng;
pub use sampler::{
    Batching, ByDataset, Curriculum, Random, Sampler, Sequential, Weighted, contrast_scores,
};
pub use shared::SharedTensor;
pub use tensors::Tensors;

/// A count or an index as libtorch takes it.
fn int(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
