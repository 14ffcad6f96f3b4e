//! The default sampler: tree-structured Parzen estimators, with a Gaussian
//! process beside them.

mod columns;
mod estimate;
mod model;
mod pareto;
mod parzen;

use super::{Proposal, Qmc, Sampler};
use crate::{History, Rng, SearchSpace, StudyError};
use columns::Columns;
use model::Step;

/// Trials until which the Gaussian process is affordable.
const MODEL_UNTIL: usize = 200;

/// Of so many trials one is the estimators' and the others are the model's.
const MODEL_EVERY: u64 = 2;

/// The default sampler. Quasi-random points come first. Then two proposals
/// take turns:
///
/// - The tree-structured Parzen estimator draws candidates from the density of
///   good trials and takes the one whose density among the others is lowest
///   (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization").
///   Parameters that occur together are estimated together (Watanabe 2023,
///   "Tree-structured Parzen estimator: understanding its algorithm
///   components and their roles for better empirical performance"), good
///   trials count the more the better they are, and running trials count as
///   bad ones.
/// - A Gaussian process of at most 100 trials proposes the point of greatest
///   expected improvement, as [`Gp`](super::Gp) does, while there are no more
///   than 200 trials and most of them are complete: of pruned ones it knows
///   too little. With several objectives there is none.
#[derive(Debug)]
pub struct Tpe {
    seed: u64,
    n_startup_trials: usize,
    columns: Columns,
    step: Step,
}

impl Tpe {
    /// A sampler whose first `n_startup_trials` points are quasi-random, of
    /// the sequence of this seed.
    pub fn new(seed: u64, n_startup_trials: usize) -> Self {
        Self {
            seed,
            n_startup_trials,
            columns: Columns::default(),
            step: Step::default(),
        }
    }
}

impl Sampler for Tpe {
    fn name(&self) -> &'static str {
        "tpe"
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        number: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        self.columns.look(history);
        let known = self.columns.ranked().len();
        if known < self.n_startup_trials {
            return Ok(Some(Qmc::new(self.seed).draw(space, number)));
        }
        let is_models_turn = history.directions().len() == 1
            && known <= MODEL_UNTIL
            && !number.is_multiple_of(MODEL_EVERY)
            && 2 * self.columns.complete() >= known;
        let modelled = if is_models_turn {
            self.step
                .propose(history, &self.columns, space, number, rng)
        } else {
            None
        };
        Ok(Some(modelled.unwrap_or_else(|| {
            estimate::propose(history, &self.columns, space, number, rng)
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::Tpe;
    use crate::random::generator;
    use crate::sampler::Random;
    use crate::{Finish, Sampler, SearchSpace, Study};

    fn study(sampler: impl Sampler + 'static, trials: u64) -> Study {
        let space = SearchSpace::builder()
            .float("x", -5.0..=5.0)
            .log_float("lr", 1e-6..=1.0)
            .int("depth", 1..=9)
            .categorical("kind", ["a", "b", "c"])
            .float("momentum", 0.0..=1.0)
            .when("kind", ["b"])
            .build()
            .unwrap();
        let mut study = Study::builder("s")
            .space(space)
            .sampler(sampler)
            .seed(4)
            .build()
            .unwrap();
        for number in 0..trials {
            let asked = study.ask().unwrap().unwrap();
            let x = asked.params["x"].as_f64().unwrap();
            let lr = asked.params["lr"].as_f64().unwrap();
            let value = (x - 3.0).powi(2) + (lr.log10() + 2.0).powi(2);
            study.report(asked.number, 1, value).unwrap();
            let finish = match number % 7 {
                5 => Finish::Pruned,
                6 => Finish::Failed,
                _ => Finish::Complete(vec![value]),
            };
            study.tell(asked.number, finish).unwrap();
        }
        study
    }

    #[test]
    fn what_was_looked_at_before_changes_no_proposal() {
        let study = study(Tpe::new(4, 10), 60);
        let mut warm = Tpe::new(4, 10);
        for number in [20, 41, 60] {
            let propose = |sampler: &mut Tpe| {
                let mut rng = generator(4, number, "test");
                sampler
                    .propose(study.history(), study.space(), number, &mut rng)
                    .unwrap()
            };
            let proposed = propose(&mut warm);
            assert_eq!(proposed, propose(&mut Tpe::new(4, 10)), "trial {number}");
            assert_eq!(proposed.unwrap().len(), 5);
        }
    }

    #[test]
    fn it_comes_closer_than_random_search_does() {
        let best = |study: Study| study.history().best().unwrap().values[0];
        let (own, random) = (best(study(Tpe::new(4, 10), 100)), best(study(Random, 100)));
        assert!(own < 0.5 * random, "{own} {random}");
    }

    /// A study over two numbers.
    fn plane(objectives: usize) -> Study {
        let space = SearchSpace::builder()
            .float("x", 0.0..=1.0)
            .float("y", 0.0..=1.0)
            .build()
            .unwrap();
        Study::builder("plane")
            .space(space)
            .sampler(Tpe::new(7, 10))
            .directions(vec![crate::Direction::Minimize; objectives])
            .seed(7)
            .build()
            .unwrap()
    }

    fn at(asked: &crate::Asked) -> (f64, f64) {
        let coordinate = |name: &str| asked.params[name].as_f64().unwrap();
        (coordinate("x"), coordinate("y"))
    }

    #[test]
    fn parallel_trials_are_spread() {
        let mut study = plane(1);
        for _ in 0..16 {
            let asked = study.ask().unwrap().unwrap();
            let (x, y) = at(&asked);
            let loss = (x - 0.3).powi(2) + (y - 0.6).powi(2);
            study
                .tell(asked.number, Finish::Complete(vec![loss]))
                .unwrap();
        }
        let running: Vec<(f64, f64)> = (0..8).map(|_| at(&study.ask().unwrap().unwrap())).collect();
        let nearest = |index: usize| {
            let (x, y) = running[index];
            let earlier = running[..index].iter();
            earlier
                .map(|other| (other.0 - x).hypot(other.1 - y))
                .fold(f64::INFINITY, f64::min)
        };
        assert!((0..8).all(|index| nearest(index) > 1e-6), "{running:?}");
        let apart = (0..8).filter(|index| nearest(*index) > 0.1).count();
        assert!(apart >= 5, "{running:?}");
    }

    #[test]
    fn several_objectives_are_all_served() {
        // The best trials lie on the line between two corners.
        let mut study = plane(2);
        let mut near = 0;
        for number in 0..120 {
            let asked = study.ask().unwrap().unwrap();
            let (x, y) = at(&asked);
            let values = vec![x * x + y * y, (x - 1.0).powi(2) + (y - 1.0).powi(2)];
            study.tell(asked.number, Finish::Complete(values)).unwrap();
            near += usize::from(number >= 60 && (x - y).abs() < 0.2);
        }
        // Chance alone would bring 0.36 of them there.
        assert!(near > 36, "{near} of 60");
        let front = study.history().pareto_front();
        let along: Vec<f64> = front
            .iter()
            .map(|trial| trial.params["x"].internal)
            .collect();
        let (low, high) = (
            along.iter().copied().reduce(f64::min),
            along.iter().copied().reduce(f64::max),
        );
        assert!(low.unwrap() < 0.25 && high.unwrap() > 0.75, "{along:?}");
    }

    #[test]
    fn equal_and_infinite_losses_are_no_obstacle() {
        for losses in [
            [1.0; 3],
            [f64::INFINITY; 3],
            [f64::NEG_INFINITY, 0.0, f64::INFINITY],
        ] {
            let mut study = plane(1);
            let mut seen = std::collections::BTreeSet::new();
            for number in 0..60 {
                let asked = study.ask().unwrap().unwrap();
                let (x, y) = at(&asked);
                assert!((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y));
                seen.insert((x.to_bits(), y.to_bits()));
                study
                    .tell(asked.number, Finish::Complete(vec![losses[number % 3]]))
                    .unwrap();
            }
            assert!(seen.len() > 55, "{} points for {losses:?}", seen.len());
        }
    }
}
