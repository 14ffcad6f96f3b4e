use super::{Pruner, PrunerError};
use crate::{History, Trial};

/// From this many differences on, the normal distribution is used.
const MANY: usize = 51;

/// Options of [`Wilcoxon`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WilcoxonOptions {
    /// A trial is pruned if a trial as good as the best would look so bad with
    /// a probability below this one. Default: 0.1.
    pub p_threshold: f64,
    /// Common steps that it takes to judge, 2 at least. Default: 2.
    pub n_startup_steps: u64,
}

impl Default for WilcoxonOptions {
    fn default() -> Self {
        Self {
            p_threshold: 0.1,
            n_startup_steps: 2,
        }
    }
}

/// Prunes a trial that is worse than the best one by the signed-rank test
/// (Wilcoxon 1945) over the steps that both have reported: for objectives
/// that are the mean over problem instances or folds, with the instance as
/// the step.
///
/// Nothing is pruned while the trial's mean is as good as the best trial's,
/// or if either has reported something that is not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    p_threshold: f64,
    n_startup_steps: usize,
}

impl Wilcoxon {
    /// A pruner with these options.
    pub fn new(options: WilcoxonOptions) -> Result<Self, PrunerError> {
        if !(0.0..=1.0).contains(&options.p_threshold) {
            return Err(PrunerError::new(
                "p_threshold",
                format!(
                    "must lie between 0 and 1, and {} doesn't",
                    options.p_threshold
                ),
            ));
        }
        Ok(Self {
            p_threshold: options.p_threshold,
            n_startup_steps: usize::try_from(options.n_startup_steps).unwrap_or(usize::MAX),
        })
    }
}

impl Pruner for Wilcoxon {
    fn name(&self) -> &'static str {
        "wilcoxon"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        let Some(best) = history.best() else {
            return false;
        };
        let finite = |trial: &Trial| trial.intermediate.values().all(|value| value.is_finite());
        if !finite(trial) || !finite(best) {
            return false;
        }
        let differences: Vec<f64> = trial
            .intermediate
            .iter()
            .filter_map(|(step, value)| Some((value, best.intermediate.get(step)?)))
            .map(|(own, best)| history.loss(*own) - history.loss(*best))
            .collect();
        if differences.len() < self.n_startup_steps.max(2) {
            return false;
        }
        let mean = |trial: &Trial| {
            let sum: f64 = trial.intermediate.values().sum();
            history.loss(sum / trial.intermediate.len() as f64)
        };
        mean(best) < mean(trial) && p_greater(&differences) < self.p_threshold
    }
}

/// The probability that differences distributed evenly around 0 lie above it
/// as clearly as these. Zeros count half on either side. Exact up to 50
/// differences, also with ties.
fn p_greater(differences: &[f64]) -> f64 {
    let ranked = double_ranks(differences);
    let sum = |chosen: fn(f64) -> bool| -> usize {
        let chosen = ranked.iter().filter(|(difference, _)| chosen(*difference));
        chosen.map(|(_, rank)| rank).sum()
    };
    let zeros = sum(|difference| difference == 0.0) / 2;
    let observed = sum(|difference| difference > 0.0) + zeros;
    if differences.len() >= MANY {
        return p_normal(&ranked, observed);
    }
    // Share of all choices of signs, by the sum of the positive double ranks.
    let most = sum(|_| true);
    let mut share = vec![0.0; most + 1];
    share[zeros] = 1.0;
    for (_, rank) in ranked.iter().filter(|(difference, _)| *difference != 0.0) {
        for sum in (0..=most).rev() {
            let with = sum.checked_sub(*rank).map_or(0.0, |rest| share[rest]);
            share[sum] = 0.5 * (share[sum] + with);
        }
    }
    share[observed..].iter().sum()
}

/// Each difference with twice its rank by size: whole numbers even where ties
/// share the mean of their ranks.
fn double_ranks(differences: &[f64]) -> Vec<(f64, usize)> {
    let mut sorted = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut ranked = Vec::with_capacity(sorted.len());
    #[expect(clippy::float_cmp, reason = "ties are equal values")]
    for tie in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = ranked.len() + 1;
        let double = 2 * first + tie.len() - 1;
        ranked.extend(tie.iter().map(|difference| (*difference, double)));
    }
    ranked
}

/// The same by the normal distribution with the variance corrected for ties.
fn p_normal(ranked: &[(f64, usize)], observed: usize) -> f64 {
    let n = ranked.len() as f64;
    let ties: f64 = ranked
        .chunk_by(|a, b| a.1 == b.1)
        .map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64)
        .sum();
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    let z = (observed as f64 / 2.0 - n * (n + 1.0) / 4.0) / variance.sqrt();
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::p_greater;

    /// What `scipy.stats.wilcoxon(d, alternative="greater",
    /// zero_method="zsplit").pvalue` of `SciPy` 1.17 gives.
    #[test]
    fn probabilities_are_those_of_scipy() {
        let cases: [(&[f64], f64); 5] = [
            (&[1.0, 2.0], 0.25),
            (&[1.0, -2.0, 3.0, 4.0, -5.0, 6.0], 0.28125),
            (&[0.0, 1.0, 1.0, -1.0, 2.0, 0.0], 0.25),
            (&[0.0, 0.0, 0.0], 1.0),
            (&[-1.0, -2.0, -3.0], 1.0),
        ];
        for (differences, expected) in cases {
            let p = p_greater(differences);
            assert!((p - expected).abs() < 1e-12, "{differences:?}: {p}");
        }
    }

    #[test]
    fn many_differences_use_the_normal_distribution_as_scipy_does() {
        let differences: Vec<f64> = (0..60).map(|i| f64::from(i % 17) - 7.0).collect();
        let p = p_greater(&differences);
        assert!((p - 0.297_770_547_406_892_1).abs() < 1e-9, "{p}");
    }
}
