use crate::sampler::normal;
use crate::{Distribution, Rng};
use rand::RngExt;
use std::f64::consts::PI;

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
/// product of one-dimensional ones, and a uniform one for what was believed
/// before (Bergstra et al. 2011; Falkner et al. 2018 for the product).
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
    /// Point by point, as `points`.
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
        let widths = widths(&axes, &points);
        let scales = points
            .chunks_exact(axes.len().max(1))
            .zip(widths.chunks_exact(axes.len().max(1)))
            .zip(weights)
            .map(|((point, widths), weight)| {
                let inside: f64 = point
                    .iter()
                    .zip(widths)
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

    /// Each kernel's middle and widths.
    fn kernels(&self) -> impl Iterator<Item = (&[f64], &[Width])> {
        let axes = self.axes.len().max(1);
        self.points
            .chunks_exact(axes)
            .zip(self.widths.chunks_exact(axes))
    }

    /// A draw.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let u: f64 = rng.random();
        let kernel = self.cumulative.partition_point(|sum| *sum <= u);
        let Some((point, widths)) = self.kernels().nth(kernel) else {
            return self.axes.iter().map(|axis| axis.draw(rng)).collect();
        };
        point
            .iter()
            .zip(&self.axes)
            .zip(widths)
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
            .kernels()
            .zip(&self.scales)
            .map(|((point, widths), scale)| {
                let parts = point.iter().zip(at).zip(widths);
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

/// A kernel reaches as far as the farther of its two neighbours along an axis
/// (Bergstra et al. 2011), or of the ends where it is alone: it is narrow where
/// trials crowd, and wide where there are few. The more kernels there are, the
/// narrower they may be.
fn widths(axes: &[Axis], points: &[f64]) -> Vec<Width> {
    let count = points.len() / axes.len().max(1);
    let least = (1.0 / (count as f64 + 2.0)).max(NARROWEST);
    let mut widths = vec![Width::Number(1.0); points.len()];
    for (index, axis) in axes.iter().enumerate() {
        let slot = |kernel: usize| kernel * axes.len() + index;
        match *axis {
            Axis::Choice { count: choices } => {
                // As if every choice had been seen once, shared by all kernels.
                let all = (count + choices) as f64;
                let width = Width::Choice((count as f64 + 1.0) / all, 1.0 / all);
                for kernel in 0..count {
                    widths[slot(kernel)] = width;
                }
            }
            Axis::Number { cell } => {
                let at = |kernel: usize| points[slot(kernel)];
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_unstable_by(|a, b| at(*a).total_cmp(&at(*b)));
                for (place, kernel) in order.iter().enumerate() {
                    let before = place.checked_sub(1).map(|place| order[place]);
                    let neighbours = [before, order.get(place + 1).copied()];
                    let gap = neighbours
                        .into_iter()
                        .flatten()
                        .map(|other| (at(other) - at(*kernel)).abs())
                        .reduce(f64::max);
                    let alone = at(*kernel).max(1.0 - at(*kernel));
                    let width = gap.unwrap_or(alone).clamp(least, 1.0);
                    widths[slot(*kernel)] = Width::Number(width.max(0.5 * cell));
                }
            }
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::{Axis, Parzen, Width, widths};
    use crate::random::generator;

    const NUMBER: Axis = Axis::Number { cell: 0.0 };

    #[test]
    fn a_kernel_is_as_wide_as_the_farther_neighbour_is_away() {
        let found: Vec<f64> = widths(&[NUMBER], &[0.9, 0.1, 0.3, 0.9, 0.9])
            .into_iter()
            .map(|width| match width {
                Width::Number(deviation) => deviation,
                Width::Choice(..) => f64::NAN,
            })
            .collect();
        let least = 1.0 / 7.0;
        assert!((found[1] - 0.2).abs() < 1e-12 && (found[2] - 0.6).abs() < 1e-12);
        let alike = [found[0], found[3], found[4]];
        let (first, others) = (0.6, least);
        assert_eq!(
            alike.iter().filter(|w| (**w - first).abs() < 1e-12).count(),
            1
        );
        assert_eq!(
            alike
                .iter()
                .filter(|w| (**w - others).abs() < 1e-12)
                .count(),
            2
        );
        assert!(
            matches!(widths(&[NUMBER], &[0.4])[0], Width::Number(width) if (width - 0.6).abs() < 1e-12)
        );
    }

    #[test]
    fn the_density_integrates_to_one_and_draws_follow_it() {
        let axes = vec![NUMBER, Axis::Choice { count: 3 }];
        let points = vec![0.05, 0.0, 0.1, 0.0, 0.7, 2.0, 0.72, 1.0];
        let parzen = Parzen::new(axes, points, &[2.0, 1.0, 1.0, 0.5]);
        let cells = 400;
        let mass = |low: f64, high: f64, choice: f64| -> f64 {
            let step = (high - low) / f64::from(cells);
            (0..cells)
                .map(|cell| low + step * (f64::from(cell) + 0.5))
                .map(|x| step * parzen.log_density(&[x, choice]).exp())
                .sum()
        };
        let all: f64 = [0.0, 1.0, 2.0]
            .map(|choice| mass(0.0, 1.0, choice))
            .iter()
            .sum();
        assert!((all - 1.0).abs() < 1e-6, "{all}");
        let mut rng = generator(1, 0, "test");
        let draws = 20_000;
        let inside = (0..draws)
            .map(|_| parzen.draw(&mut rng))
            .filter(|at| at[0] < 0.3 && at[1] < 0.5)
            .count();
        let (share, expected) = (inside as f64 / f64::from(draws), mass(0.0, 0.3, 0.0));
        assert!((share - expected).abs() < 0.015, "{share} {expected}");
    }
}
