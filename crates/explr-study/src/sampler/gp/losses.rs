//! Losses made fit for a Gaussian process.

use crate::sampler::normal;

/// The losses, about standard normal. Those worse than the median only keep
/// their rank, and become the mirror image of the better half: how bad a bad
/// one is tells nothing about the good ones, and may be infinite (Song et al.
/// 2024, "The Vizier Gaussian process bandit algorithm"). Of all but the best
/// `measured` the rank alone is known, whatever half they are in.
pub(in crate::sampler) fn warp(losses: &[f64], measured: usize) -> Vec<f64> {
    let lowest = losses
        .iter()
        .copied()
        .filter(|loss| loss.is_finite())
        .fold(f64::INFINITY, f64::min);
    let losses: Vec<f64> = losses.iter().map(|loss| loss.max(lowest)).collect();
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    let sorted: Vec<f64> = order.iter().map(|index| losses[*index]).collect();
    let good = sorted.len().div_ceil(2).min(measured);
    let best = sorted.first().copied().unwrap_or_default();
    let median = sorted[..good].last().copied().unwrap_or_default();
    let range = median - best;
    if !(range > 0.0 && range.is_finite()) {
        // The better half is all alike, or not even finite.
        let ranks: Vec<f64> = losses.iter().map(|loss| rank(&sorted, *loss)).collect();
        return standard(&ranks);
    }
    let scaled = |loss: f64| (loss - median) / range;
    let squares: f64 = sorted[..good]
        .iter()
        .map(|loss| scaled(*loss).powi(2))
        .sum();
    let spread = (squares / good as f64).sqrt();
    let warped: Vec<f64> = losses
        .iter()
        .map(|loss| {
            if *loss <= median {
                scaled(*loss)
            } else {
                spread * normal::quantile(0.5 + 0.5 * rank(&sorted[good..], *loss))
            }
        })
        .collect();
    standard(&warped)
}

/// Where a loss stands among others, from 0 to 1; equal ones stand together.
fn rank(sorted: &[f64], loss: f64) -> f64 {
    let below = sorted.partition_point(|other| *other < loss);
    let up_to = sorted.partition_point(|other| *other <= loss);
    f64::midpoint(below as f64, up_to as f64) / sorted.len() as f64
}

/// Mean 0, variance 1; all 0 if there is none.
fn standard(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    values.iter().map(|value| (value - mean) / scale).collect()
}

#[cfg(test)]
mod tests {
    use super::warp;

    #[test]
    fn the_order_is_kept_and_the_good_half_its_proportions() {
        let warped = warp(&[3.0, 1.0, 2.0, 1e9, 50.0, f64::INFINITY], 6);
        let order = [1, 2, 0, 4, 3, 5];
        for pair in order.windows(2) {
            assert!(warped[pair[0]] < warped[pair[1]], "{warped:?}");
        }
        let (a, b) = (warped[2] - warped[1], warped[0] - warped[2]);
        assert!((a - b).abs() < 1e-9);
        assert!(warped.iter().all(|value| value.abs() < 4.0), "{warped:?}");
    }

    #[test]
    fn ranks_alone_say_nothing_about_proportions() {
        let (near, far) = (
            warp(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2),
            warp(&[1.0, 2.0, 9.0, 14.0, 15.0, 86.0], 2),
        );
        for (near, far) in near.iter().zip(far) {
            assert!((near - far).abs() < 1e-12);
        }
        assert!(near.is_sorted());
        assert!(warp(&[3.0, 4.0], 0).iter().all(|value| value.is_finite()));
    }

    #[test]
    fn equal_and_infinite_losses_give_finite_targets() {
        for losses in [
            vec![2.0; 5],
            vec![f64::INFINITY; 4],
            vec![f64::NEG_INFINITY, 1.0, 2.0],
            vec![1.0, f64::INFINITY, f64::INFINITY],
            vec![f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY],
            vec![1e300, -1e300, 0.0],
        ] {
            let warped = warp(&losses, losses.len());
            assert!(
                warped.iter().all(|value| value.is_finite()),
                "{losses:?}: {warped:?}"
            );
        }
    }
}
