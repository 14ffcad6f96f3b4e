use super::{DataError, Dataset, Tensors, int};
use crate::Result;
use std::collections::BTreeMap;
use std::fmt;
use tch::Tensor;

/// Several data sets one after the other, their samples tagged.
///
/// Every sample gets a tensor `dataset`, an `i64`: the number of its data
/// set. With the sampler [`ByDataset`](super::ByDataset) a batch has samples
/// of one data set only; their tensors may then be others in each.
///
/// ```
/// use explr_sdk::data::{Concat, Dataset, InMemory};
/// use explr_sdk::tch::Tensor;
///
/// # fn example() -> explr_sdk::Result<()> {
/// let part = |n: i64| InMemory::new(&Tensor::arange(n, explr_sdk::tch::kind::FLOAT_CPU).into());
/// let both = Concat::new().and("first", part(3)?).and("second", part(5)?);
/// assert_eq!(both.len(), 8);
/// assert_eq!(both.locate(4), Some((1, 1)));
/// assert_eq!(both.get(4)?.get("dataset")?.f_int64_value(&[])?, 1);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Default)]
pub struct Concat {
    sets: Vec<(String, Box<dyn Dataset>)>,
    /// Where each set ends.
    ends: Vec<usize>,
}

impl Concat {
    /// No data sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a data set at the end.
    pub fn and(mut self, name: impl Into<String>, dataset: impl Dataset + 'static) -> Self {
        self.ends.push(self.len() + dataset.len());
        self.sets.push((name.into(), Box::new(dataset)));
        self
    }

    /// Names of the data sets, by number.
    pub fn names(&self) -> Vec<&str> {
        self.sets.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Numbers of samples of the data sets.
    pub fn lens(&self) -> Vec<usize> {
        self.sets.iter().map(|(_, dataset)| dataset.len()).collect()
    }

    /// Number of the data set that a sample is in, and its index there.
    pub fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let set = self.ends.partition_point(|end| *end <= index);
        let end = self.ends.get(set)?;
        Some((set, index - (end - self.sets[set].1.len())))
    }

    /// Weights for [`Weighted`](super::Weighted) by which samples of each
    /// data set come up in the given proportion, however many it has.
    pub fn weights(&self, proportions: &[f64]) -> Result<Vec<f64>, DataError> {
        if proportions.len() != self.sets.len() {
            return Err(DataError::invalid(format!(
                "there are {} weights for {} data sets",
                proportions.len(),
                self.sets.len()
            )));
        }
        let each = self.lens().into_iter().zip(proportions);
        Ok(each
            .flat_map(|(len, weight)| std::iter::repeat_n(weight / len.max(1) as f64, len))
            .collect())
    }

    fn find(&self, index: usize) -> Result<(usize, usize)> {
        let len = self.len();
        Ok(self
            .locate(index)
            .ok_or_else(|| format!("there is no sample {index} in data sets of {len} samples"))?)
    }
}

impl Dataset for Concat {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        let (set, index) = self.find(index)?;
        let (name, dataset) = &self.sets[set];
        let sample = dataset
            .get(index)
            .map_err(|error| format!("data set `{name}`, sample {index}: {error}"))?;
        Ok(sample.with("dataset", Tensor::from(int(set))))
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        let mut parts: BTreeMap<usize, (Vec<usize>, Vec<i64>)> = BTreeMap::new();
        let mut tags = Vec::with_capacity(indices.len());
        for (place, index) in indices.iter().enumerate() {
            let (set, index) = self.find(*index)?;
            let (inner, places) = parts.entry(set).or_default();
            inner.push(index);
            places.push(int(place));
            tags.push(int(set));
        }
        let mut batches = Vec::with_capacity(parts.len());
        let mut places = Vec::with_capacity(indices.len());
        for (set, (inner, at)) in &parts {
            let (name, dataset) = &self.sets[*set];
            let part = dataset
                .get_batch(inner)
                .map_err(|error| format!("data set `{name}`, samples {inner:?}: {error}"))?;
            let Some(part) = part else { return Ok(None) };
            batches.push((name, part));
            places.extend_from_slice(at);
        }
        let tags = Tensor::f_from_slice(&tags)?;
        let joined = match &mut *batches {
            [(_, only)] => std::mem::take(only),
            _ => join(&batches, &places)?,
        };
        Ok(Some(joined.with("dataset", tags)))
    }
}

/// Puts the parts of a mixed batch together, in the order of its samples.
fn join(parts: &[(&String, Tensors)], places: &[i64]) -> Result<Tensors> {
    let Some((_, first)) = parts.first() else {
        return Ok(Tensors::new());
    };
    for (name, part) in parts {
        if part.len() != first.len() {
            return Err(format!(
                "data set `{name}` has {} tensors and data set `{}` has {}: use the sampler \
                 `ByDataset`, so that no batch mixes them",
                part.len(),
                parts[0].0,
                first.len()
            )
            .into());
        }
    }
    // The inverse of `places`.
    let order = Tensor::f_from_slice(places)?.f_argsort(0, false)?;
    let mut joined = Tensors::new();
    for (field, tensor) in &first.0 {
        let mut each = Vec::with_capacity(parts.len());
        for (name, part) in parts {
            let part = part.get(field);
            each.push(part.map_err(|error| format!("data set `{name}`: {error}"))?);
        }
        let order = order.f_to_device(tensor.device())?;
        let mixed = Tensor::f_cat(&each, 0)?.f_index_select(0, &order)?;
        joined = joined.with(field.clone(), mixed);
    }
    Ok(joined)
}

impl fmt::Debug for Concat {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_map()
            .entries(self.names().into_iter().zip(self.lens()))
            .finish()
    }
}
