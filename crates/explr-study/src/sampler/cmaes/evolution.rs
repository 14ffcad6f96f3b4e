use super::cells::cell;
use super::strategy::Strategy;
use crate::sampler::linalg::{Cholesky, dot};
use crate::sampler::normal;
use crate::{Distribution, Rng};

/// Standard deviation at the beginning, in the unit cube.
const FIRST_SIGMA: f64 = 0.2;

/// A standard deviation above this is one that lost its way: little of it is
/// left in the cube.
const WIDEST: f64 = 0.5;

/// The search has come to a point when all standard deviations are below.
const NARROWEST: f64 = 1e-6;

/// How often a point outside of the cube is drawn again before it is moved to
/// the cube's surface.
const RETRIES: usize = 100;

/// The normal distribution that the strategy has come to, in the unit cube.
///
/// Where the tutorial takes the symmetric root of the covariance matrix, this
/// takes its Cholesky factor, as Krause, Arbonès and Igel do (2016, "CMA-ES
/// with optimal covariance update and storage complexity").
#[derive(Debug, Clone)]
pub(super) struct Evolution {
    strategy: Strategy,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<Vec<f64>>,
    factor: Cholesky,
    /// How much wider a discrete parameter is sampled than the covariance
    /// says, so that it keeps a chance to change.
    stretch: Vec<f64>,
    sigma_path: Vec<f64>,
    path: Vec<f64>,
    generation: i32,
    /// Generations in a row in which all individuals were alike.
    flat: usize,
}

impl Evolution {
    pub(super) fn new(mean: Vec<f64>, population: usize) -> Self {
        let dimensions = mean.len();
        let unit = |row: usize| -> Vec<f64> {
            (0..dimensions)
                .map(|column| if row == column { 1.0 } else { 0.0 })
                .collect()
        };
        let covariance: Vec<Vec<f64>> = (0..dimensions).map(unit).collect();
        Self {
            strategy: Strategy::new(dimensions, population),
            mean,
            sigma: FIRST_SIGMA,
            factor: Cholesky::new(dimensions, |i, j| covariance[i][j]).unwrap_or_default(),
            covariance,
            stretch: vec![1.0; dimensions],
            sigma_path: vec![0.0; dimensions],
            path: vec![0.0; dimensions],
            generation: 0,
            flat: 0,
        }
    }

    /// Individuals in a generation.
    pub(super) fn population(&self) -> usize {
        self.strategy.weights.len()
    }

    /// A point of the unit cube.
    pub(super) fn sample(&self, rng: &mut Rng) -> Vec<f64> {
        let mut point = Vec::new();
        for _ in 0..RETRIES {
            let z: Vec<f64> = self.mean.iter().map(|_| normal::draw(rng)).collect();
            let y = self.factor.times(&z);
            point = (0..y.len())
                .map(|axis| self.mean[axis] + self.sigma * self.stretch[axis] * y[axis])
                .collect();
            if point.iter().all(|unit| (0.0..=1.0).contains(unit)) {
                break;
            }
        }
        for unit in &mut point {
            *unit = unit.clamp(0.0, 1.0);
        }
        point
    }

    /// Draws again where in the cell of its discrete values a point was: the
    /// history knows the cell only, and its middle would make the distribution
    /// narrower than it was.
    pub(super) fn within_cells(
        &self,
        axes: &[(&str, &Distribution)],
        point: &[f64],
        rng: &mut Rng,
    ) -> Vec<f64> {
        let place = |(axis, unit): (usize, &f64)| match cell(axes[axis].1, *unit) {
            Some((low, high)) => {
                let (mean, width) = (self.mean[axis], self.width(axis));
                let z = normal::draw_within((low - mean) / width, (high - mean) / width, rng);
                mean + width * z
            }
            None => *unit,
        };
        point.iter().enumerate().map(place).collect()
    }

    /// Learns from a generation, best point first; `alike` if all of them are
    /// as good as each other. False when there is nothing more to be found
    /// here.
    pub(super) fn update(
        &mut self,
        points: &[Vec<f64>],
        axes: &[(&str, &Distribution)],
        alike: bool,
    ) -> bool {
        let steps: Vec<(Vec<f64>, f64)> = points.iter().map(|point| self.step(point)).collect();
        self.generation += 1;
        let dimensions = self.mean.len();
        let mut mean_step = vec![0.0; dimensions];
        let parents = self.strategy.weights.iter().zip(&steps);
        for (weight, (step, _)) in parents.take(self.strategy.parents) {
            add(&mut mean_step, *weight, step);
        }
        for (mean, step) in self.mean.iter_mut().zip(&mean_step) {
            *mean = (*mean + self.sigma * step).clamp(0.0, 1.0);
        }
        let steady = self.follow(&mean_step);
        self.adapt(&steps, steady);
        let widest = (0..dimensions)
            .map(|axis| self.covariance[axis][axis].sqrt())
            .fold(0.0, f64::max);
        self.sigma = self.sigma.min(WIDEST / widest);
        self.flat = if alike { self.flat + 1 } else { 0 };
        let Some(factor) = Cholesky::new(dimensions, |i, j| self.covariance[i][j]) else {
            return false;
        };
        self.factor = factor;
        for (axis, (_, distribution)) in axes.iter().enumerate() {
            self.keep_margin(axis, distribution);
        }
        self.sigma * widest > NARROWEST && self.flat < 10 + 30 * dimensions / self.population()
    }

    /// A point's step from the mean in units of sigma, and its squared length
    /// in units of the distribution. Too long a step, which the distribution
    /// would not have made, is shortened.
    fn step(&self, point: &[f64]) -> (Vec<f64>, f64) {
        let mut step: Vec<f64> = (0..point.len())
            .map(|axis| (point[axis] - self.mean[axis]) / (self.sigma * self.stretch[axis]))
            .collect();
        let mut white = step.clone();
        self.factor.forward(&mut white);
        let d = step.len() as f64;
        let longest = d.sqrt() + 2.0 * d / (d + 2.0);
        let length = dot(&white, &white).sqrt();
        if length > longest {
            for entry in &mut step {
                *entry *= longest / length;
            }
        }
        (step, length.min(longest).powi(2))
    }

    /// Moves the paths along and adapts sigma. False while the step size's
    /// path is so long that the covariance's should stand still.
    fn follow(&mut self, mean_step: &[f64]) -> bool {
        let s = &self.strategy;
        let mut white = mean_step.to_vec();
        self.factor.forward(&mut white);
        scale(&mut self.sigma_path, 1.0 - s.c_sigma);
        let gain = (s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff).sqrt();
        add(&mut self.sigma_path, gain, &white);
        let length = dot(&self.sigma_path, &self.sigma_path).sqrt();
        self.sigma *= (s.c_sigma / s.d_sigma * (length / s.chi - 1.0)).exp();
        let settled = (1.0 - (1.0 - s.c_sigma).powi(2 * (self.generation + 1))).sqrt();
        let steady = length / settled < (1.4 + 2.0 / (mean_step.len() as f64 + 1.0)) * s.chi;
        scale(&mut self.path, 1.0 - s.c_c);
        if steady {
            let gain = (s.c_c * (2.0 - s.c_c) * s.mu_eff).sqrt();
            add(&mut self.path, gain, mean_step);
        }
        steady
    }

    /// Adapts the covariance: towards the path and the good steps, away from
    /// the bad ones.
    fn adapt(&mut self, steps: &[(Vec<f64>, f64)], steady: bool) {
        let s = &self.strategy;
        let lost = if steady {
            0.0
        } else {
            s.c_1 * s.c_c * (2.0 - s.c_c)
        };
        let keep = 1.0 + lost - s.c_1 - s.c_mu * s.weights.iter().sum::<f64>();
        for row in &mut self.covariance {
            scale(row, keep);
        }
        add_outer(&mut self.covariance, s.c_1, &self.path);
        for (weight, (step, square)) in s.weights.iter().zip(steps) {
            let weight = if *weight >= 0.0 {
                *weight
            } else {
                weight * step.len() as f64 / square.max(f64::MIN_POSITIVE)
            };
            add_outer(&mut self.covariance, s.c_mu * weight, step);
        }
    }

    /// Moves and stretches the distribution of a discrete parameter so that
    /// the values beside its mean keep a probability (Hamano et al. 2022,
    /// section 4).
    fn keep_margin(&mut self, axis: usize, distribution: &Distribution) {
        let Some((low, high)) = cell(distribution, self.mean[axis]) else {
            return;
        };
        let margin = 1.0 / (self.mean.len() * self.population()) as f64;
        let (mean, width) = (self.mean[axis], self.width(axis));
        let first = low <= 0.0;
        if first || high >= 1.0 {
            let (edge, away) = if first { (high, -1.0) } else { (low, 1.0) };
            let most = width * normal::quantile(1.0 - margin);
            self.mean[axis] = edge + away * (mean - edge).abs().min(most);
            return;
        }
        let below = normal::cumulative((low - mean) / width);
        let above = normal::cumulative((mean - high) / width);
        let least = margin / 2.0;
        if below >= least && above >= least {
            return;
        }
        let within = 1.0 - below - above;
        let (raised_below, raised_above) = (below.max(least), above.max(least));
        // What was added on one side is taken from where there is enough.
        let sum = raised_below + raised_above + within;
        let share = (1.0 - sum) / (sum - 3.0 * least);
        let z_below = -normal::quantile(raised_below + share * (raised_below - least));
        let z_above = -normal::quantile(raised_above + share * (raised_above - least));
        let both = z_below + z_above;
        if both > 0.0 {
            self.mean[axis] = (low * z_above + high * z_below) / both;
            self.stretch[axis] *= (high - low) / both / width;
        }
    }

    /// Standard deviation of a parameter.
    fn width(&self, axis: usize) -> f64 {
        self.sigma * self.stretch[axis] * self.covariance[axis][axis].sqrt()
    }
}

fn scale(vector: &mut [f64], by: f64) {
    for entry in vector {
        *entry *= by;
    }
}

fn add(sum: &mut [f64], weight: f64, vector: &[f64]) {
    for (sum, entry) in sum.iter_mut().zip(vector) {
        *sum += weight * entry;
    }
}

fn add_outer(matrix: &mut [Vec<f64>], weight: f64, vector: &[f64]) {
    for (row, entry) in matrix.iter_mut().zip(vector) {
        add(row, weight * entry, vector);
    }
}
