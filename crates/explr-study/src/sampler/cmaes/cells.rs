//! Where the values of a discrete distribution lie in the unit interval.

use crate::Distribution;

/// What of the unit interval maps to the value at `unit`. None for real
/// numbers without a step.
pub(super) fn cell(distribution: &Distribution, unit: f64) -> Option<(f64, f64)> {
    let count = distribution.count()?;
    let value = distribution.from_unit(unit);
    let (low, high) = match distribution {
        Distribution::Int(range) if range.is_log() => {
            let (from, to) = (range.low() as f64 - 0.5, range.high() as f64 + 0.5);
            let place = |bound: f64| (bound / from).ln() / (to / from).ln();
            (place(value - 0.5), place(value + 0.5))
        }
        _ => {
            let middle = distribution.to_unit(value);
            (middle - 0.5 / count as f64, middle + 0.5 / count as f64)
        }
    };
    Some((low.max(0.0), high.min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::cell;
    use crate::{Distribution, IntRange};

    #[test]
    fn cells_meet_and_hold_one_value_each() {
        for log in [false, true] {
            let distribution = Distribution::Int(IntRange::new(1, 9, log, 1).unwrap());
            let mut edge = 0.0;
            for value in 1..=9 {
                let unit = distribution.to_unit(f64::from(value));
                let (low, high) = cell(&distribution, unit).unwrap();
                assert!((low - edge).abs() < 1e-12, "{value}: {low} {edge}");
                for inside in [low + 1e-9, high - 1e-9] {
                    let back = distribution.from_unit(inside);
                    assert!((back - f64::from(value)).abs() < 1e-12);
                }
                edge = high;
            }
            assert!((edge - 1.0).abs() < 1e-12);
        }
    }
}
