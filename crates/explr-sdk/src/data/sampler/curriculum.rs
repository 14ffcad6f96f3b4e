use super::weighted::Table;
use super::{Batching, Sampler};
use crate::Result;
use crate::data::{DataError, Rng};
use std::fmt;
use tch::{Kind, Tensor};

/// How many samples are refused before the exact table is made.
const TRIES: usize = 64;

type Weight = Box<dyn Fn(f64, u64) -> f64 + Send>;

/// Draws samples with replacement, by weights that change from optimiser
/// step to optimiser step: easy ones first, for example.
///
/// Each sample has a score, and a function gives its weight, from 0 to 1, at
/// a step. A batch is drawn by the weights of the step that it is used for,
/// however far ahead workers read: the loader counts the steps (see
/// [`LoaderBuilder::accumulate`](crate::data::LoaderBuilder::accumulate)).
///
/// ```
/// use explr_sdk::data::Curriculum;
///
/// // Samples of low difficulty only, then all within 1000 steps.
/// let difficulty = vec![0.1, 0.9, 0.4];
/// let sampler = Curriculum::new(difficulty, 42, |difficulty, step| {
///     let allowed = 0.2 + step as f64 / 1000.0;
///     if difficulty <= allowed { 1.0 } else { 0.0 }
/// });
/// ```
///
/// A sample is drawn evenly and kept with the probability of its weight, so
/// a batch costs the same however many samples there are. Where that fails
/// too often, all weights are computed.
pub struct Curriculum {
    scores: Vec<f64>,
    samples: usize,
    weight: Weight,
    seed: u64,
    epoch: u64,
    batching: Batching,
}

impl Curriculum {
    /// One score for each sample of the data set, and the weight of a score
    /// at an optimiser step, from 0 to 1.
    pub fn new(
        scores: Vec<f64>,
        seed: u64,
        weight: impl Fn(f64, u64) -> f64 + Send + 'static,
    ) -> Self {
        Self {
            samples: scores.len(),
            scores,
            weight: Box::new(weight),
            seed,
            epoch: 0,
            batching: Batching {
                size: 1,
                drop_last: false,
            },
        }
    }

    /// Samples of high contrast first, as in `VisionCore`: the weight is
    /// `min(1, alpha * score)`, where alpha goes from 0.5 to 1 within
    /// `warmup` steps; after them all samples weigh the same.
    ///
    /// [`contrast_scores`] computes the scores.
    pub fn contrast(scores: Vec<f64>, warmup: u64, seed: u64) -> Self {
        Self::new(scores, seed, move |score, step| {
            if step >= warmup {
                return 1.0;
            }
            let alpha = 0.5 + 0.5 * step as f64 / warmup as f64;
            (alpha * score).clamp(0.0, 1.0)
        })
    }

    /// Sets the number of samples in an epoch; that of the data set if not
    /// set.
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    fn weight(&self, index: usize, step: u64) -> Result<f64, DataError> {
        let weight = (self.weight)(self.scores[index], step);
        if (0.0..=1.0).contains(&weight) {
            return Ok(weight);
        }
        Err(DataError::invalid(format!(
            "the curriculum gives sample {index}, score {}, the weight {weight} at step {step}: \
             weights must be from 0 to 1",
            self.scores[index]
        )))
    }

    /// Draws evenly until a sample is kept; `None` when too many are refused.
    fn keep_one(&self, step: u64, rng: &mut Rng) -> Result<Option<usize>, DataError> {
        if self.scores.is_empty() {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let index = rng.below(self.scores.len());
            if rng.chance(self.weight(index, step)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn table(&self, step: u64) -> Result<Table, DataError> {
        let weights = (0..self.scores.len())
            .map(|index| self.weight(index, step))
            .collect::<Result<Vec<_>, _>>()?;
        Table::new(weights.into_iter())
            .map_err(|error| DataError::invalid(format!("the curriculum at step {step}: {error}")))
    }
}

impl Sampler for Curriculum {
    fn batches(&self, batching: Batching) -> usize {
        batching.count(self.samples)
    }

    fn begin(&mut self, epoch: u64, batching: Batching) {
        self.epoch = epoch;
        self.batching = batching;
    }

    fn batch(&mut self, batch: usize, step: u64) -> Result<Vec<usize>> {
        let mut rng = Rng::keyed(&[self.seed, self.epoch, batch as u64]);
        let count = self.batching.range(batch, self.samples).len();
        let mut table: Option<Table> = None;
        let mut indices = Vec::with_capacity(count);
        for _ in 0..count {
            let kept = match &table {
                Some(_) => None,
                None => self.keep_one(step, &mut rng)?,
            };
            indices.push(match (kept, &table) {
                (Some(index), _) => index,
                (None, Some(table)) => table.draw(&mut rng),
                (None, None) => table.insert(self.table(step)?).draw(&mut rng),
            });
        }
        Ok(indices)
    }
}

impl fmt::Debug for Curriculum {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Curriculum")
            .field("samples", &self.samples)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// The contrast of each sample of `[samples, ...]`: the standard deviation
/// of its elements over the median of all samples'.
pub fn contrast_scores(samples: &Tensor) -> Result<Vec<f64>, DataError> {
    let count = samples.size().first().copied().unwrap_or(0);
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut deviations = Vec::new();
    // In pieces, as the numbers take several times the memory of bytes.
    for piece in samples.f_split(1024, 0)? {
        let rows = piece.f_flatten(1, -1)?.f_to_kind(Kind::Double)?;
        deviations.push(rows.f_std_dim(&[1][..], false, false)?);
    }
    let deviations = Tensor::f_cat(&deviations, 0)?;
    let median = deviations.f_median()?.f_double_value(&[])?;
    if median.is_nan() || median <= 0.0 {
        return Err(DataError::invalid(format!(
            "the median contrast of the samples is {median}: scores can't be relative to it"
        )));
    }
    let scores = deviations
        .f_div_scalar(median)?
        .f_to_device(tch::Device::Cpu)?;
    Ok(Vec::<f64>::try_from(scores)?)
}
