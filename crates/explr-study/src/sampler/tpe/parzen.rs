use crate::sampler::normal;
use crate::{Distribution, Rng};
use rand::RngExt;
use std::f64::consts::PI;

/// Standard deviation of a kernel where there is one trial, as a share of the
/// range.
const WIDEST: f64 = 0.3;

/// No kernel is narrower, as a share of the range.
const NARROWEST: f64 = 0.01;

/// A parameter as an estimator sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Axis {
    /// A number in the unit interval, in cells of this width at least.
    Number {
        /// 0 for real numbers.
        cell: f64,
    },
    /// The index of one of so many choices.
    Choice {
        /// Number of choices.
        count: usize,
    },
}

impl Axis {
    pub(super) fn new(distribution: &Distribution) -> Self {
        match distribution {
            Distribution::Categorical(choices) => Self::Choice {
                count: choices.values().len(),
            },
            Distribution::Float(_) | Distribution::Int(_) => Self::Number {
                cell: distribution.count().map_or(0.0, |count| 1.0 / count as f64),
            },
        }
    }

    /// An internal value as a coordinate.
    pub(super) fn coordinate(self, distribution: &Distribution, internal: f64) -> f64 {
        match self {
            Self::Number { .. } => distribution.to_unit(internal),
            Self::Choice { .. } => internal,
        }
    }

    /// A coordinate as an internal value.
    pub(super) fn internal(self, distribution: &Distribution, coordinate: f64) -> f64 {
        match self {
            Self::Number { .. } => distribution.from_unit(coordinate),
            Self::Choice { .. } => coordinate,
        }
    }

    fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Number { .. } => rng.random(),
            Self::Choice { count } => rng.random_range(0..count) as f64,
        }
    }
}

/// A density over several parameters at once: a kernel for each trial, the
/// product of one-dimensional ones with the same width in all trials, and a
/// uniform one for what was believed before (Bergstra et al. 2011; Falkner et
/// al. 2018 for the product).
#[derive(Debug)]
pub(super) struct Parzen {
    axes: Vec<Axis>,
    /// Point by point.
    points: Vec<f64>,
    /// Cumulative weights; the uniform kernel's is the rest up to 1.
    cumulative: Vec<f64>,
    /// Logarithm of each kernel's weight over the mass that lies inside.
    scales: Vec<f64>,
    /// Logarithm of the uniform kernel's density, with its weight.
    prior: f64,
    widths: Vec<Width>,
}

/// How far a kernel reaches along an axis.
#[derive(Debug, Clone, Copy)]
enum Width {
    /// Standard deviation.
    Number(f64),
    /// Probability of the trial's own choice, and of each other.
    Choice(f64, f64),
}

impl Parzen {
    /// A kernel for each of `points`, with its weight; the uniform kernel has
    /// the mean weight.
    pub(super) fn new(axes: Vec<Axis>, points: Vec<f64>, weights: &[f64]) -> Self {
        let count = weights.len();
        let total: f64 = weights.iter().sum();
        let uniform = if count == 0 {
            1.0
        } else {
            total / count as f64
        };
        let all = total + uniform;
        let mut sum = 0.0;
        let cumulative = weights
            .iter()
            .map(|weight| {
                sum += weight / all;
                sum
            })
            .collect();
        let widths: Vec<Width> = (0..axes.len())
            .map(|index| {
                let column = points.iter().skip(index).step_by(axes.len()).copied();
                width(axes[index], axes.len(), column, weights)
            })
            .collect();
        let scales = points
            .chunks_exact(axes.len().max(1))
            .zip(weights)
            .map(|(point, weight)| {
                let inside: f64 = point
                    .iter()
                    .zip(&widths)
                    .map(|(at, width)| match width {
                        Width::Number(deviation) => {
                            let mass = normal::cumulative((1.0 - at) / deviation)
                                - normal::cumulative(-at / deviation);
                            mass * deviation * (2.0 * PI).sqrt()
                        }
                        Width::Choice(..) => 1.0,
                    })
                    .product();
                (weight / all / inside).ln()
            })
            .collect();
        let choices = axes.iter().map(|axis| match axis {
            Axis::Number { .. } => 0.0,
            Axis::Choice { count } => (*count as f64).ln(),
        });
        Self {
            prior: (uniform / all).ln() - choices.sum::<f64>(),
            axes,
            points,
            cumulative,
            scales,
            widths,
        }
    }

    /// A draw.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let u: f64 = rng.random();
        let kernel = self.cumulative.partition_point(|sum| *sum <= u);
        let point = self.points.chunks_exact(self.axes.len().max(1)).nth(kernel);
        let Some(point) = point else {
            return self.axes.iter().map(|axis| axis.draw(rng)).collect();
        };
        point
            .iter()
            .zip(&self.axes)
            .zip(&self.widths)
            .map(|((at, axis), width)| match width {
                Width::Number(deviation) => {
                    let (low, high) = (-at / deviation, (1.0 - at) / deviation);
                    at + deviation * normal::draw_within(low, high, rng)
                }
                Width::Choice(own, other) if rng.random::<f64>() < own - other => *at,
                Width::Choice(..) => axis.draw(rng),
            })
            .collect()
    }

    /// Logarithm of the density.
    pub(super) fn log_density(&self, at: &[f64]) -> f64 {
        let logs: Vec<f64> = self
            .points
            .chunks_exact(self.axes.len().max(1))
            .zip(&self.scales)
            .map(|(point, scale)| {
                let parts = point.iter().zip(at).zip(&self.widths);
                parts.fold(*scale, |sum, ((point, at), width)| match width {
                    Width::Number(deviation) => {
                        let z = (at - point) / deviation;
                        sum - 0.5 * z * z
                    }
                    #[expect(clippy::float_cmp, reason = "indices are exact")]
                    Width::Choice(own, other) => sum + if at == point { *own } else { *other }.ln(),
                })
            })
            .collect();
        let most = logs.iter().copied().fold(self.prior, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
        most + (sum + (self.prior - most).exp()).ln()
    }
}

/// Widths shrink with the number of trials and with their spread (Scott 1992),
/// but not below what one cell or a hundredth of the range needs.
fn width(
    axis: Axis,
    dimensions: usize,
    column: impl Iterator<Item = f64> + Clone,
    weights: &[f64],
) -> Width {
    let count = weights.len() as f64;
    match axis {
        Axis::Choice { count: choices } => {
            // As if every choice had been seen once, shared by all kernels.
            let choices = choices as f64;
            Width::Choice((count + 1.0) / (count + choices), 1.0 / (count + choices))
        }
        Axis::Number { cell } => {
            let total: f64 = weights.iter().sum();
            let weighed = column.zip(weights);
            let mean = weighed.clone().map(|(at, weight)| at * weight).sum::<f64>() / total;
            let square = weighed
                .map(|(at, weight)| weight * (at - mean).powi(2))
                .sum::<f64>()
                / total;
            let spread = if count > 1.0 { square.sqrt() } else { WIDEST };
            let scott = spread.min(WIDEST) * count.max(1.0).powf(-1.0 / (dimensions as f64 + 4.0));
            Width::Number(scott.max(NARROWEST).max(0.5 * cell))
        }
    }
}
