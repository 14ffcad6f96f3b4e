use super::{Proposal, Sampler};
use crate::{Direction, Distribution, History, Rng, SearchSpace, StudyError, Trial, TrialState};
use rand::RngExt;
use tpe::{TpeOptimizer, histogram_estimator, parzen_estimator};

/// Tree-structured Parzen estimators of one parameter at a time, as in the
/// first paper (Bergstra et al. 2011), by the crate `tpe`.
///
/// Each parameter has an optimiser in its own scale, which is told of the
/// complete trials that used the parameter. Running, pruned and failed trials
/// mean nothing to it. With several objectives the first one counts.
#[derive(Debug, Clone, Copy)]
pub struct Univariate {
    n_startup_trials: usize,
}

impl Univariate {
    /// A sampler whose first `n_startup_trials` trials are random.
    pub fn new(n_startup_trials: usize) -> Self {
        Self { n_startup_trials }
    }

    fn draw(
        self,
        history: &History,
        name: &str,
        distribution: &Distribution,
        rng: &mut Rng,
    ) -> f64 {
        let known: Vec<(f64, f64)> = history
            .trials()
            .iter()
            .filter(|trial| trial.state == TrialState::Complete)
            .filter_map(|trial| {
                let internal = trial.params.get(name)?.internal;
                let value = *trial.values.first()?;
                let loss = match history.direction() {
                    Direction::Minimize => value,
                    Direction::Maximize => -value,
                };
                distribution.contains(internal).then_some((internal, loss))
            })
            .collect();
        let drawn = if known.len() < self.n_startup_trials {
            None
        } else {
            estimate(distribution, &known, rng)
        };
        drawn.unwrap_or_else(|| distribution.from_unit(rng.random()))
    }
}

/// What the crate proposes after these values and losses.
fn estimate(distribution: &Distribution, known: &[(f64, f64)], rng: &mut Rng) -> Option<f64> {
    if let Distribution::Categorical(categories) = distribution {
        let range = tpe::categorical_range(categories.values().len()).ok()?;
        let mut optimiser = TpeOptimizer::new(histogram_estimator(), range);
        for (value, loss) in known {
            optimiser.tell(*value, *loss).ok()?;
        }
        return Some(optimiser.ask(rng).ok()?.floor());
    }
    // The range of the crate excludes its end.
    let range = tpe::range(0.0, 1.0 + f64::EPSILON).ok()?;
    let mut optimiser = TpeOptimizer::new(parzen_estimator(), range);
    for (value, loss) in known {
        optimiser.tell(distribution.to_unit(*value), *loss).ok()?;
    }
    Some(distribution.from_unit(optimiser.ask(rng).ok()?))
}

impl Sampler for Univariate {
    fn name(&self) -> &'static str {
        "tpe (univariate)"
    }

    fn propose(
        &mut self,
        _: &History,
        _: &SearchSpace,
        _: u64,
        _: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        // Every parameter is chosen by itself, and only if it is active.
        Ok(Some(Proposal::new()))
    }

    fn propose_one(
        &mut self,
        history: &History,
        _: &Trial,
        name: &str,
        distribution: &Distribution,
        rng: &mut Rng,
    ) -> f64 {
        self.draw(history, name, distribution, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::Univariate;
    use crate::{SearchSpace, Study};

    #[test]
    fn it_finds_the_good_corner_of_every_kind_of_parameter() {
        let space = SearchSpace::builder()
            .float("x", -5.0..=5.0)
            .log_float("lr", 1e-5..=1.0)
            .int("depth", 1..=9)
            .categorical("kind", ["a", "b", "c"])
            .build()
            .unwrap();
        let mut study = Study::builder("univariate")
            .space(space)
            .sampler(Univariate::new(10))
            .seed(3)
            .build()
            .unwrap();
        study
            .optimize(80, |trial| {
                let kind = if trial.str("kind")? == "b" { 0.0 } else { 4.0 };
                let lr = trial.f64("lr")?.log10() + 3.0;
                let depth = trial.i64("depth")? as f64 - 7.0;
                Ok((trial.f64("x")? - 3.0).powi(2) + lr * lr + depth.abs() + kind)
            })
            .unwrap();
        let best = study.history().best().unwrap();
        assert!(best.values[0] < 3.0, "{}", best.values[0]);
        assert_eq!(best.param("kind").unwrap(), "b");
    }
}
