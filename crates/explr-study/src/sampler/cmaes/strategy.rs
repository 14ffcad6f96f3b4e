//! The constants of CMA-ES: table 1 of Hansen's tutorial (2016).

/// Individuals of the first generations.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn population(dimensions: usize) -> usize {
    4 + (3.0 * (dimensions as f64).ln()).floor() as usize
}

/// What the number of dimensions and individuals determine.
#[derive(Debug, Clone)]
pub(super) struct Strategy {
    /// Weights by rank. The first `parents` are positive and sum to 1.
    pub(super) weights: Vec<f64>,
    pub(super) parents: usize,
    /// Variance-effective number of parents.
    pub(super) mu_eff: f64,
    /// Learning rate of the step size's path.
    pub(super) c_sigma: f64,
    /// Damping of the step size.
    pub(super) d_sigma: f64,
    /// Learning rate of the covariance's path.
    pub(super) c_c: f64,
    /// Learning rate of the covariance from its path.
    pub(super) c_1: f64,
    /// Learning rate of the covariance from the generation.
    pub(super) c_mu: f64,
    /// Expected length of a standard normal vector.
    pub(super) chi: f64,
}

impl Strategy {
    pub(super) fn new(dimensions: usize, population: usize) -> Self {
        let d = dimensions as f64;
        let raw: Vec<f64> = (1..=population)
            .map(|rank| (f64::midpoint(population as f64, 1.0)).ln() - (rank as f64).ln())
            .collect();
        let parents = population / 2;
        let (good, bad) = raw.split_at(parents);
        let effective = |weights: &[f64]| {
            let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
            weights.iter().sum::<f64>().powi(2) / squares
        };
        let mu_eff = effective(good);
        let c_sigma = (mu_eff + 2.0) / (d + mu_eff + 5.0);
        let c_1 = 2.0 / ((d + 1.3).powi(2) + mu_eff);
        let c_mu =
            (2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((d + 2.0).powi(2) + mu_eff)).min(1.0 - c_1);
        // How much the bad individuals may take away, and the covariance stay
        // positive definite.
        let most = [
            1.0 + c_1 / c_mu,
            1.0 + 2.0 * effective(bad) / (mu_eff + 2.0),
            (1.0 - c_1 - c_mu) / (d * c_mu),
        ];
        let most = most.into_iter().fold(f64::INFINITY, f64::min);
        let (good, bad): (f64, f64) = (good.iter().sum(), -bad.iter().sum::<f64>());
        let weights = raw
            .into_iter()
            .map(|weight| {
                if weight >= 0.0 {
                    weight / good
                } else {
                    weight * most / bad
                }
            })
            .collect();
        Self {
            weights,
            parents,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / d) / (d + 4.0 + 2.0 * mu_eff / d),
            c_1,
            c_mu,
            chi: d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d)),
        }
    }
}
