use super::batch::{Batch, stack};
use super::source::Work;
use crate::Result;
use crate::data::shared::pinned;
use crate::data::{DataError, Dataset, Rng, Tensors};
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use tch::Device;

pub(super) type Transform = dyn Fn(Tensors, &mut Rng) -> Result<Tensors> + Send + Sync;
pub(super) type Collate = dyn Fn(Vec<Tensors>) -> Result<Tensors> + Send + Sync;

/// How a batch is made. All workers share it.
pub(super) struct Recipe {
    /// None for a stream, whose work brings the samples along.
    pub(super) dataset: Option<Arc<dyn Dataset>>,
    pub(super) transform: Option<(u64, Box<Transform>)>,
    pub(super) collate: Option<Box<Collate>>,
    /// The GPU to pin memory for.
    pub(super) pin: Option<Device>,
}

impl Recipe {
    /// Makes a batch; `None` when `stopped` says that nobody wants it.
    pub(super) fn make(
        &self,
        work: Work,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Batch>, DataError> {
        let at = Cell::new(None);
        let made = panic::catch_unwind(AssertUnwindSafe(|| self.steps(work, stopped, &at)));
        made.unwrap_or_else(|payload| {
            Err(panicked(
                &*payload,
                match at.get() {
                    Some(index) => format!("reading sample {index}"),
                    None => "making a batch".to_owned(),
                },
            ))
        })
    }

    fn steps(
        &self,
        work: Work,
        stopped: &dyn Fn() -> bool,
        at: &Cell<Option<usize>>,
    ) -> Result<Option<Batch>, DataError> {
        let Work {
            epoch,
            batch,
            indices,
            drawn,
        } = work;
        let failed = |source: crate::Error, indices: &[usize]| DataError::Batch {
            indices: indices.to_vec(),
            source: source.into_boxed(),
        };
        let at_once = match (&self.dataset, &drawn) {
            (Some(dataset), None) if self.transform.is_none() && self.collate.is_none() => dataset
                .get_batch(&indices)
                .map_err(|error| failed(error, &indices))?,
            _ => None,
        };
        let tensors = if let Some(tensors) = at_once {
            tensors
        } else {
            let mut drawn = drawn.map(Vec::into_iter);
            let mut samples = Vec::with_capacity(indices.len());
            for (place, index) in indices.iter().enumerate() {
                if stopped() {
                    return Ok(None);
                }
                at.set(Some(*index));
                let ready = drawn.as_mut().and_then(Iterator::next);
                let sample = self.sample(*index, ready, [epoch, batch, place as u64]);
                samples.push(sample.map_err(|error| DataError::Sample {
                    index: *index,
                    source: error.into_boxed(),
                })?);
            }
            at.set(None);
            match &self.collate {
                Some(collate) => collate(samples).map_err(|error| failed(error, &indices))?,
                None => stack(&samples, &indices)?,
            }
        };
        let tensors = match self.pin {
            Some(device) => tensors.map(|tensor| match tensor.device() {
                Device::Cpu => pinned(&tensor, device),
                _ => Ok(tensor),
            })?,
            None => tensors,
        };
        Ok(Some(Batch { tensors, indices }))
    }

    fn sample(&self, index: usize, ready: Option<Tensors>, place: [u64; 3]) -> Result<Tensors> {
        let sample = match (ready, &self.dataset) {
            (Some(sample), _) => sample,
            (None, Some(dataset)) => dataset.get(index)?,
            (None, None) => return Err("the stream did not give it".into()),
        };
        match &self.transform {
            Some((seed, transform)) => {
                let [epoch, batch, place] = place;
                transform(sample, &mut Rng::keyed(&[*seed, epoch, batch, place]))
            }
            None => Ok(sample),
        }
    }
}

/// What code of the user's said when it panicked.
pub(super) fn panicked(payload: &(dyn Any + Send), what: String) -> DataError {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    DataError::Panic {
        what,
        message: text.unwrap_or("no message").to_owned(),
    }
}
