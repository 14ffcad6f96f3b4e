use super::ascent::climb;
use super::encoding::{Axis, Encoding};
use super::model::{Model, Prediction};
use crate::sampler::{Qmc, normal};
use crate::{Distribution, Rng};
use rand::RngExt;
use std::cmp::Ordering;

/// How hard the maximum is looked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::sampler) struct Effort {
    /// Quasi-random points that the search begins with.
    pub(in crate::sampler) candidates: u64,
    /// Further ones near the best trials.
    pub(in crate::sampler) neighbours: usize,
    /// How many of them are refined.
    pub(in crate::sampler) climbs: usize,
}

/// Steps of a climb.
const ITERATIONS: usize = 40;

/// Most values of a whole number or choice that are tried in its turn.
const ALTERNATIVES: u64 = 12;

/// Searches the space for the greatest expected improvement on the best target
/// so far.
pub(super) struct Acquisition<'a> {
    pub(super) model: &'a Model,
    pub(super) encoding: &'a Encoding,
    /// Best target so far.
    pub(super) best: f64,
    pub(super) effort: Effort,
}

/// Units of all axes, active or not, and their value.
#[derive(Debug, Clone)]
struct Candidate {
    units: Vec<f64>,
    value: f64,
    /// Not tried yet. What has been tried must do only where all has been.
    fresh: bool,
}

impl Candidate {
    fn rank(&self, other: &Self) -> Ordering {
        let by_value = self.value.total_cmp(&other.value);
        self.fresh.cmp(&other.fresh).then(by_value)
    }
}

impl Acquisition<'_> {
    /// Units for all axes. `leaders` are good trials: units, inactive ones
    /// absent.
    pub(super) fn maximise(&self, leaders: &[Vec<Option<f64>>], rng: &mut Rng) -> Vec<f64> {
        let axes = self.encoding.axes();
        let sequence = Qmc::new(rng.random());
        let mut starts: Vec<Candidate> = (0..self.effort.candidates)
            .map(|index| {
                let mut units = sequence.point(index, axes.len());
                units.resize_with(axes.len(), || rng.random());
                self.candidate(units)
            })
            .collect();
        for leader in leaders.iter().cycle().take(self.effort.neighbours) {
            let units = axes
                .iter()
                .zip(leader)
                .map(|(axis, unit)| near(axis, *unit, rng))
                .collect();
            starts.push(self.candidate(units));
        }
        starts.sort_by(|a, b| b.rank(a));
        starts.truncate(self.effort.climbs);
        starts
            .into_iter()
            .map(|start| self.refine(start, rng))
            .max_by(Candidate::rank)
            .map(|best| best.units)
            .unwrap_or_default()
    }

    /// Moves a candidate up: all numbers along the gradient, then whole
    /// numbers and choices one by one, then the real numbers again.
    fn refine(&self, start: Candidate, rng: &mut Rng) -> Candidate {
        let smooth = self.climb(start, |axis| !axis.is_choice());
        let discrete = |axis: &Axis| axis.distribution.count().is_some();
        if !self.encoding.axes().iter().any(discrete) {
            return smooth;
        }
        let mut best = smooth;
        for (index, axis) in self.encoding.axes().iter().enumerate() {
            for unit in alternatives(axis, best.units[index], rng) {
                let mut units = best.units.clone();
                units[index] = unit;
                let other = self.candidate(units);
                if other.rank(&best).is_gt() {
                    best = other;
                }
            }
        }
        self.climb(best, |axis| !discrete(axis))
    }

    /// Follows the gradient along the active axes that `moves` chooses.
    fn climb(&self, start: Candidate, moves: impl Fn(&Axis) -> bool) -> Candidate {
        let active = self.encoding.active(&start.units);
        let moving: Vec<usize> = (0..start.units.len())
            .filter(|axis| active[*axis].is_some() && moves(&self.encoding.axes()[*axis]))
            .collect();
        if moving.is_empty() {
            return start;
        }
        let fixed = self.encoding.point(&active);
        let coordinates: Vec<usize> = moving
            .iter()
            .map(|axis| self.encoding.axes()[*axis].coordinate)
            .collect();
        let objective = |x: &[f64]| {
            let mut point = fixed.clone();
            for (coordinate, unit) in coordinates.iter().zip(x) {
                point[*coordinate] = *unit;
            }
            let (value, gradient) = self.value_with_gradient(&point);
            let along = coordinates.iter().map(|coordinate| gradient[*coordinate]);
            Some((value, along.collect()))
        };
        let from = moving.iter().map(|axis| start.units[*axis]).collect();
        let bounds = vec![(0.0, 1.0); moving.len()];
        let mut units = start.units.clone();
        if let Some((top, _)) = climb(from, &bounds, ITERATIONS, objective) {
            for (axis, unit) in moving.iter().zip(top) {
                units[*axis] = unit;
            }
        }
        let top = self.candidate(units);
        if top.rank(&start).is_gt() { top } else { start }
    }

    fn candidate(&self, mut units: Vec<f64>) -> Candidate {
        for (unit, axis) in units.iter_mut().zip(self.encoding.axes()) {
            *unit = axis.snap(*unit);
        }
        let point = self.encoding.point(&self.encoding.active(&units));
        let prediction = self.model.predict(&point);
        Candidate {
            value: log_improvement(self.best, prediction),
            fresh: !self.model.points().contains(&point),
            units,
        }
    }

    fn value_with_gradient(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let (prediction, by_mean, by_variance) = self.model.predict_with_gradients(point);
        let deviation = prediction.variance.sqrt();
        let z = (self.best - prediction.mean) / deviation;
        let ratio = log_h_slope(z);
        let of_mean = -ratio / deviation;
        let of_variance = (1.0 - z * ratio) / (2.0 * prediction.variance);
        let gradient = by_mean
            .iter()
            .zip(by_variance)
            .map(|(mean, variance)| of_mean * mean + of_variance * variance)
            .collect();
        (log_improvement(self.best, prediction), gradient)
    }
}

/// A value near that of a good trial. What the trial had no use for is drawn
/// from all values, as choices are at times.
fn near(axis: &Axis, unit: Option<f64>, rng: &mut Rng) -> f64 {
    match unit {
        Some(unit) if axis.is_choice() && rng.random::<f64>() < 0.8 => unit,
        Some(unit) if !axis.is_choice() => {
            let width = 10f64.powf(-3.0 * rng.random::<f64>());
            (unit + 0.3 * width * normal::draw(rng)).clamp(0.0, 1.0)
        }
        _ => rng.random(),
    }
}

/// Other values of a discrete axis: all, or its neighbours and some at random.
fn alternatives(axis: &Axis, unit: f64, rng: &mut Rng) -> Vec<f64> {
    let Some(count) = axis.distribution.count() else {
        return Vec::new();
    };
    if count <= ALTERNATIVES {
        return (0..count)
            .map(|place| (place as f64 + 0.5) / count as f64)
            .collect();
    }
    let mut units: Vec<f64> = (0..ALTERNATIVES).map(|_| rng.random()).collect();
    let value = axis.distribution.from_unit(unit);
    let step = match &axis.distribution {
        Distribution::Float(range) => range.step().unwrap_or_default(),
        Distribution::Int(range) => range.step() as f64,
        Distribution::Categorical(_) => return units,
    };
    for other in [value - step, value + step] {
        units.push(axis.distribution.to_unit(other));
    }
    units
}

/// The logarithm of the expected improvement (Ament et al. 2023, "Unexpected
/// improvements to expected improvement for Bayesian optimization"), which has
/// a slope where the improvement itself is 0 to the last digit.
fn log_improvement(best: f64, prediction: Prediction) -> f64 {
    let deviation = prediction.variance.sqrt();
    log_h((best - prediction.mean) / deviation) + deviation.ln()
}

/// Below this the sum in [`log_h`] loses its digits.
const FAR: f64 = -25.0;

/// Logarithm of density(z) + z · cumulative(z).
fn log_h(z: f64) -> f64 {
    if z > FAR {
        (normal::density(z) + z * normal::cumulative(z)).ln()
    } else {
        let inverse = 1.0 / (z * z);
        -0.5 * (z * z + (2.0 * std::f64::consts::PI).ln())
            + inverse.ln()
            + (-3.0 * inverse + 15.0 * inverse * inverse).ln_1p()
    }
}

/// Derivative of [`log_h`].
fn log_h_slope(z: f64) -> f64 {
    if z > FAR {
        normal::cumulative(z) / (normal::density(z) + z * normal::cumulative(z))
    } else {
        -z - 2.0 / z
    }
}

#[cfg(test)]
mod tests {
    use super::{FAR, log_h, log_h_slope};

    #[test]
    fn the_logarithm_of_the_improvement_is_smooth_everywhere() {
        for z in [-200.0, -30.0, FAR - 1e-3, FAR + 1e-3, -5.0, 0.0, 3.0] {
            let difference = (log_h(z + 1e-4) - log_h(z - 1e-4)) / 2e-4;
            let exact = log_h_slope(z);
            assert!(
                (exact / difference - 1.0).abs() < 1e-3,
                "{z}: {exact} {difference}"
            );
        }
        assert!((log_h(FAR + 1e-9) - log_h(FAR - 1e-9)).abs() < 1e-5);
        assert!((log_h(0.0) - 0.398_942_28_f64.ln()).abs() < 1e-8);
    }
}
