//! The normal distribution.

use crate::Rng;
use rand::RngExt;
use std::f64::consts::{PI, SQRT_2};

/// Its density.
pub(super) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// Probability of at most `z`.
pub(super) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The inverse of [`cumulative`]: infinite at 0 and 1.
///
/// A rational start (Abramowitz and Stegun 26.2.23, off by 4.5e-4 at most),
/// made exact by two steps of Halley's method.
pub(super) fn quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return -quantile(1.0 - probability);
    }
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let t = (-2.0 * probability.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = above / below - t;
    for _ in 0..2 {
        let off = (cumulative(z) - probability) / density(z);
        if off.is_finite() {
            z -= off / (1.0 + 0.5 * z * off);
        }
    }
    z
}

/// A draw from the standard normal distribution.
pub(super) fn draw(rng: &mut Rng) -> f64 {
    // 1 - u is never 0.
    quantile(1.0 - rng.random::<f64>()).min(9.0)
}

/// A draw from the standard normal distribution cut to `low..=high`.
pub(super) fn draw_within(low: f64, high: f64, rng: &mut Rng) -> f64 {
    // In the upper tail probabilities near 1 lose their digits.
    if low > 0.0 {
        return -draw_within(-high, -low, rng);
    }
    let (from, to) = (cumulative(low), cumulative(high));
    let z = quantile(from + (to - from) * rng.random::<f64>());
    z.clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::{cumulative, draw, draw_within, quantile};
    use crate::random::generator;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (probability, z) in [
            (0.5, 0.0),
            (0.841_344_746_068_542_9, 1.0),
            (0.975, 1.959_963_984_540_054),
            (1e-10, -6.361_340_902_404_056),
        ] {
            assert!((quantile(probability) - z).abs() < 1e-9, "{probability}");
        }
        for step in -370..=80 {
            let z = f64::from(step) / 10.0;
            let back = quantile(cumulative(z));
            assert!((back - z).abs() < 1e-2, "{z}: {back}");
        }
    }

    #[test]
    fn draws_have_mean_nought_and_variance_one() {
        let mut rng = generator(1, 0, "test");
        let draws: Vec<f64> = (0..20_000).map(|_| draw(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 2e4;
        let square = draws.iter().map(|z| z * z).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.05);
    }

    #[test]
    fn draws_stay_within_their_bounds_in_the_far_tail_too() {
        let mut rng = generator(1, 0, "test");
        for (low, high) in [(-1.0, 1.0), (6.0, 7.0), (-40.0, -39.0), (50.0, 51.0)] {
            for _ in 0..100 {
                let z = draw_within(low, high, &mut rng);
                assert!((low..=high).contains(&z), "{z}");
            }
        }
    }
}
