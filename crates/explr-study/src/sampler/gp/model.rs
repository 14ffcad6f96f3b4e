use super::ascent::climb;
use super::kernel::{correlation, slope};
use crate::sampler::linalg::{Cholesky, dot};

/// Steps of the search for hyperparameters.
const ITERATIONS: usize = 40;

/// Bounds of the length scales, and of the noise in units of the variance.
const SCALES: (f64, f64) = (0.01, 1000.0);
const NOISES: (f64, f64) = (1e-6, 3.0);

/// How many trials the belief in a variance of 1 is worth.
const BELIEF: f64 = 5.0;

/// A Gaussian process over points of some Euclidean space: Matérn kernel, a
/// length scale for each group of coordinates, noise, constant mean.
///
/// The hyperparameters are those of highest posterior density. The priors of
/// the length scales grow with the number of groups (Hvarfner, Hellsten and
/// Nardi 2024, "Vanilla Bayesian optimization performs great in high
/// dimensions").
#[derive(Debug, Clone)]
pub(in crate::sampler) struct Model {
    points: Vec<Vec<f64>>,
    /// For each coordinate, 1 / length scale².
    weights: Vec<f64>,
    noise: f64,
    factor: Cholesky,
    /// The inverse of the correlations times the targets less the mean.
    pull: Vec<f64>,
    mean: f64,
    variance: f64,
}

/// The hyperparameters of a process.
#[derive(Debug, Clone)]
pub(in crate::sampler) struct Scales {
    /// For each group of coordinates, the logarithm of its length scale.
    logs: Vec<f64>,
    /// The noise, in units of the variance.
    noise: f64,
}

/// What the process says of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sampler) struct Prediction {
    /// Expected target.
    pub(in crate::sampler) mean: f64,
    /// Variance of the target without its noise, above 0.
    pub(in crate::sampler) variance: f64,
}

/// The inside of the process for given hyperparameters.
struct Posterior {
    factor: Cholesky,
    pull: Vec<f64>,
    mean: f64,
    variance: f64,
    /// Logarithm of the posterior density, but for a constant and the priors.
    evidence: f64,
}

impl Model {
    /// Learns from points and their targets, which should be about standard
    /// normal. `groups` says for each coordinate which length scale it has,
    /// from 0 on. None without points, or where a number is not finite.
    pub(in crate::sampler) fn fit(
        points: Vec<Vec<f64>>,
        targets: &[f64],
        groups: &[usize],
    ) -> Option<Self> {
        let scales = Scales::learn(&points, targets, groups)?;
        Self::new(points, targets, groups, &scales)
    }

    /// As [`fit`](Self::fit), with hyperparameters that are known.
    pub(in crate::sampler) fn new(
        points: Vec<Vec<f64>>,
        targets: &[f64],
        groups: &[usize],
        scales: &Scales,
    ) -> Option<Self> {
        let weights: Vec<f64> = groups
            .iter()
            .map(|group| (-2.0 * scales.logs[*group]).exp())
            .collect();
        let correlations: Vec<Vec<f64>> = (1..=points.len())
            .map(|size| {
                let row = points[..size].iter();
                row.map(|other| correlation(square(&weights, &points[size - 1], other)))
                    .collect()
            })
            .collect();
        let posterior = Posterior::new(&correlations, scales.noise, targets)?;
        Some(Self {
            points,
            weights,
            noise: scales.noise,
            factor: posterior.factor,
            pull: posterior.pull,
            mean: posterior.mean,
            variance: posterior.variance,
        })
    }

    /// The points it learned from, and those it believes.
    pub(in crate::sampler) fn points(&self) -> &[Vec<f64>] {
        &self.points
    }

    /// What to expect at a point.
    pub(in crate::sampler) fn predict(&self, point: &[f64]) -> Prediction {
        let mut correlated: Vec<f64> = self
            .points
            .iter()
            .map(|known| correlation(self.square(known, point)))
            .collect();
        let mean = self.mean + dot(&correlated, &self.pull);
        self.factor.forward(&mut correlated);
        Prediction {
            mean,
            variance: self.left(&correlated),
        }
    }

    /// What to expect at a point, and the gradients of mean and variance.
    pub(super) fn predict_with_gradients(&self, point: &[f64]) -> (Prediction, Vec<f64>, Vec<f64>) {
        let squares: Vec<f64> = self
            .points
            .iter()
            .map(|known| self.square(known, point))
            .collect();
        let mut solved: Vec<f64> = squares.iter().map(|square| correlation(*square)).collect();
        let mean = self.mean + dot(&solved, &self.pull);
        self.factor.forward(&mut solved);
        let variance = self.left(&solved);
        self.factor.backward(&mut solved);
        let (mut by_mean, mut by_variance) = (vec![0.0; point.len()], vec![0.0; point.len()]);
        for (index, known) in self.points.iter().enumerate() {
            let slope = 2.0 * slope(squares[index]);
            let of_mean = slope * self.pull[index];
            let of_variance = -2.0 * self.variance * slope * solved[index];
            for (axis, weight) in self.weights.iter().enumerate() {
                let along = weight * (point[axis] - known[axis]);
                by_mean[axis] += along * of_mean;
                by_variance[axis] += along * of_variance;
            }
        }
        (Prediction { mean, variance }, by_mean, by_variance)
    }

    /// Takes for granted that a point will have the target expected there:
    /// nothing changes but that it is known ("kriging believer", Ginsbourger
    /// et al. 2010).
    pub(super) fn believe(&mut self, point: Vec<f64>) {
        let mut row: Vec<f64> = self
            .points
            .iter()
            .map(|known| correlation(self.square(known, &point)))
            .collect();
        row.push(1.0 + self.noise);
        if self.factor.push(row) {
            self.points.push(point);
            self.pull.push(0.0);
        }
    }

    fn left(&self, whitened: &[f64]) -> f64 {
        self.variance * (1.0 - dot(whitened, whitened)).max(1e-12)
    }

    /// Squared distance in length scales.
    fn square(&self, a: &[f64], b: &[f64]) -> f64 {
        square(&self.weights, a, b)
    }
}

impl Scales {
    /// The hyperparameters of highest posterior density.
    pub(in crate::sampler) fn learn(
        points: &[Vec<f64>],
        targets: &[f64],
        groups: &[usize],
    ) -> Option<Self> {
        let count = groups.iter().max().map_or(0, |group| group + 1);
        let distances = group_distances(points, groups, count);
        let density = |x: &[f64]| density(x, &distances, targets);
        let mut bounds = vec![(SCALES.0.ln(), SCALES.1.ln()); count];
        bounds.push((NOISES.0.ln(), NOISES.1.ln()));
        let mut start = vec![(0.5 * (count as f64).sqrt()).ln(); count];
        start.push((1e-3_f64).ln());
        let (mut logs, _) = climb(start, &bounds, ITERATIONS, density)?;
        let noise = logs.pop()?.exp();
        Some(Self { logs, noise })
    }
}

fn square(weights: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let parts = a.iter().zip(b).zip(weights);
    parts.map(|((a, b), weight)| weight * (a - b).powi(2)).sum()
}

impl Posterior {
    fn new(correlations: &[Vec<f64>], noise: f64, targets: &[f64]) -> Option<Self> {
        let size = targets.len();
        let factor = Cholesky::new(size, |i, j| {
            correlations[i][j] + if i == j { noise } else { 0.0 }
        })?;
        let solve = |mut vector: Vec<f64>| {
            factor.forward(&mut vector);
            factor.backward(&mut vector);
            vector
        };
        let (solved, ones) = (solve(targets.to_vec()), solve(vec![1.0; size]));
        // The mean and the variance that make the targets likeliest.
        let mean = solved.iter().sum::<f64>() / ones.iter().sum::<f64>();
        let pull: Vec<f64> = solved
            .iter()
            .zip(&ones)
            .map(|(solved, one)| solved - mean * one)
            .collect();
        let trials = size as f64 + BELIEF;
        let variance = (dot(targets, &pull) + BELIEF) / trials;
        let evidence = -0.5 * (trials * variance.ln() + factor.log_determinant());
        (mean.is_finite() && evidence.is_finite()).then_some(Self {
            factor,
            pull,
            mean,
            variance,
            evidence,
        })
    }
}

/// For each group, the squared distances of the points in its coordinates:
/// rows to the diagonal.
fn group_distances(points: &[Vec<f64>], groups: &[usize], count: usize) -> Vec<Vec<Vec<f64>>> {
    let mut distances: Vec<Vec<Vec<f64>>> = (0..count)
        .map(|_| (1..=points.len()).map(|size| vec![0.0; size]).collect())
        .collect();
    for (axis, group) in groups.iter().enumerate() {
        for (i, row) in distances[*group].iter_mut().enumerate() {
            for (j, distance) in row.iter_mut().enumerate() {
                *distance += (points[i][axis] - points[j][axis]).powi(2);
            }
        }
    }
    distances
}

/// Squared distances in length scales: rows to the diagonal.
fn squares(size: usize, distances: &[Vec<Vec<f64>>], logs: &[f64]) -> Vec<Vec<f64>> {
    let mut squares: Vec<Vec<f64>> = (1..=size).map(|size| vec![0.0; size]).collect();
    for (distances, log) in distances.iter().zip(logs) {
        let weight = (-2.0 * log).exp();
        for (row, distances) in squares.iter_mut().zip(distances) {
            for (square, distance) in row.iter_mut().zip(distances) {
                *square += weight * distance;
            }
        }
    }
    squares
}

fn correlations(squares: &[Vec<f64>]) -> Vec<Vec<f64>> {
    squares
        .iter()
        .map(|row| row.iter().map(|square| correlation(*square)).collect())
        .collect()
}

/// Logarithm of the posterior density of the hyperparameters `x`, the
/// logarithms of the length scales and of the noise, and its gradient.
fn density(x: &[f64], distances: &[Vec<Vec<f64>>], targets: &[f64]) -> Option<(f64, Vec<f64>)> {
    let (logs, noise) = (&x[..distances.len()], x[distances.len()].exp());
    let squares = squares(targets.len(), distances, logs);
    let posterior = Posterior::new(&correlations(&squares), noise, targets)?;
    // d evidence = ½ Σ (pull pullᵀ / variance - inverse) d correlations
    let mut by_entry = posterior.factor.inverse();
    for (i, row) in by_entry.iter_mut().enumerate() {
        for (j, entry) in row.iter_mut().enumerate() {
            *entry = posterior.pull[i] * posterior.pull[j] / posterior.variance - *entry;
        }
    }
    let trace: f64 = by_entry.iter().filter_map(|row| row.last()).sum();
    for (row, squares) in by_entry.iter_mut().zip(&squares) {
        for (entry, square) in row.iter_mut().zip(squares) {
            *entry *= slope(*square);
        }
    }
    let mut gradient = Vec::with_capacity(x.len());
    let mut value = posterior.evidence;
    let middle = 2.0_f64.sqrt() + 0.5 * (distances.len() as f64).ln();
    for (distances, log) in distances.iter().zip(logs) {
        let weight = (-2.0 * log).exp();
        let sum: f64 = by_entry
            .iter()
            .zip(distances)
            .map(|(entries, distances)| dot(entries, distances))
            .sum();
        // Entries below the diagonal stand for those above, too. The prior is
        // log-normal with variance 3.
        gradient.push(-2.0 * weight * sum - (log - middle) / 3.0);
        value -= (log - middle).powi(2) / 6.0;
    }
    // A gamma prior: noise is believed to be less than the variance.
    value += 0.1 * noise.ln() - 3.0 * noise;
    gradient.push(0.5 * noise * trace + 0.1 - 3.0 * noise);
    Some((value, gradient))
}

#[cfg(test)]
mod tests {
    use super::{Model, density, group_distances};

    fn data() -> (Vec<Vec<f64>>, Vec<f64>) {
        let points: Vec<Vec<f64>> = (0..25)
            .map(|index| {
                let (row, column) = (f64::from(index / 5), f64::from(index % 5));
                vec![row / 4.0, column / 4.0 + 0.02 * row]
            })
            .collect();
        let targets = points
            .iter()
            .map(|point| (5.0 * point[0]).sin() + 0.1 * point[1])
            .collect();
        (points, targets)
    }

    #[test]
    fn known_points_are_known_and_between_them_it_interpolates() {
        let (points, targets) = data();
        let model = Model::fit(points.clone(), &targets, &[0, 1]).unwrap();
        for (point, target) in points.iter().zip(targets) {
            let there = model.predict(point);
            assert!((there.mean - target).abs() < 0.02 && there.variance < 1e-3);
        }
        let between = model.predict(&[0.4, 0.55]);
        assert!((between.mean - (2.0_f64.sin() + 0.055)).abs() < 0.05);
        assert!(model.predict(&[9.0, 0.5]).variance > 10.0 * between.variance);
    }

    #[test]
    fn what_matters_little_gets_a_long_scale() {
        let (points, targets) = data();
        let model = Model::fit(points, &targets, &[0, 1]).unwrap();
        assert!(model.weights[0] > 5.0 * model.weights[1]);
    }

    #[test]
    fn gradients_are_those_of_small_differences() {
        let (points, targets) = data();
        let close = |exact: f64, above: f64, below: f64| {
            let difference = (above - below) / 2e-5;
            let scale = exact.abs().max(1e-2);
            assert!(
                (exact - difference).abs() / scale < 1e-3,
                "{exact} {difference}"
            );
        };
        let distances = group_distances(&points, &[0, 1], 2);
        let x = [-0.5, 0.7, -4.0];
        let (_, gradient) = density(&x, &distances, &targets).unwrap();
        for (axis, exact) in gradient.iter().enumerate() {
            let at = |by: f64| {
                let mut x = x;
                x[axis] += by;
                density(&x, &distances, &targets).unwrap().0
            };
            close(*exact, at(1e-5), at(-1e-5));
        }
        let model = Model::fit(points, &targets, &[0, 1]).unwrap();
        let point = [0.33, 0.81];
        let (_, by_mean, by_variance) = model.predict_with_gradients(&point);
        for axis in 0..2 {
            let at = |by: f64| {
                let mut point = point;
                point[axis] += by;
                model.predict(&point)
            };
            let (above, below) = (at(1e-5), at(-1e-5));
            close(by_mean[axis], above.mean, below.mean);
            close(by_variance[axis], above.variance, below.variance);
        }
    }

    #[test]
    fn a_believed_point_changes_what_is_certain_and_not_what_is_expected() {
        let (points, targets) = data();
        let mut model = Model::fit(points, &targets, &[0, 1]).unwrap();
        let (point, other) = (vec![1.5, 0.5], [1.4, 0.5]);
        let before = model.predict(&other);
        model.believe(point);
        let after = model.predict(&other);
        assert!((after.mean - before.mean).abs() < 1e-9);
        assert!(after.variance < 0.5 * before.variance);
    }

    #[test]
    fn equal_targets_and_equal_points_are_no_obstacle() {
        assert!(Model::fit(vec![vec![0.5]; 4], &[0.0; 4], &[0]).is_some());
        assert!(Model::fit(vec![vec![]; 3], &[0.0, 1.0, -1.0], &[]).is_some());
        assert!(Model::fit(vec![], &[], &[0]).is_none());
    }
}
