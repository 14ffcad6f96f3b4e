use super::{Proposal, Sampler};
use crate::random::generator;
use crate::{Distribution, History, Rng, SearchSpace, StudyError};
use rand::RngExt;
use sobol_burley::{NUM_DIMENSIONS, sample};

/// Points of one scrambled sequence; the next ones are scrambled anew.
const BLOCK: u64 = 1 << 16;

/// Points of a Sobol sequence, which cover the space more evenly than random
/// ones: a trial's number is its place in the sequence.
///
/// The sequence is Owen-scrambled by the seed (Burley 2020, "Practical
/// hash-based Owen scrambling"), so each seed has its own. Every parameter of
/// the space has its dimension whether it is active or not; what lies beyond
/// the 256th is drawn at random.
#[derive(Debug, Clone, Copy)]
pub struct Qmc {
    seed: u64,
}

impl Qmc {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The point at `index` of the sequence, in the unit cube. Ends with the
    /// last dimension that the sequence has.
    pub(super) fn point(self, index: u64, dimensions: usize) -> Vec<f64> {
        let mut rng = generator(self.seed, index / BLOCK, "sobol");
        let scramble: u32 = rng.random();
        let index = (index % BLOCK) as u32;
        (0..NUM_DIMENSIONS)
            .take(dimensions)
            .map(|dimension| f64::from(sample(index, dimension, scramble)))
            .collect()
    }

    /// A value for every parameter that has a dimension.
    pub(super) fn draw(self, space: &SearchSpace, number: u64) -> Proposal {
        let searched: Vec<(&str, &Distribution)> = space
            .parameters()
            .iter()
            .filter_map(|parameter| Some((parameter.name.as_str(), parameter.distribution()?)))
            .collect();
        let point = self.point(number, searched.len());
        searched
            .into_iter()
            .zip(point)
            .map(|((name, distribution), unit)| (name.to_owned(), distribution.from_unit(unit)))
            .collect()
    }
}

impl Sampler for Qmc {
    fn name(&self) -> &'static str {
        "qmc"
    }

    fn propose(
        &mut self,
        _: &History,
        space: &SearchSpace,
        number: u64,
        _: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        Ok(Some(self.draw(space, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::Qmc;
    use crate::{SearchSpace, Study};
    use std::collections::BTreeSet;

    #[test]
    fn sixteen_points_fall_into_sixteen_strata_of_every_dimension() {
        for seed in 0..5 {
            let qmc = Qmc::new(seed);
            let points: Vec<_> = (0..16).map(|index| qmc.point(index, 6)).collect();
            for dimension in 0..6 {
                let strata: BTreeSet<_> = points
                    .iter()
                    .map(|point| format!("{}", (point[dimension] * 16.0).floor()))
                    .collect();
                assert_eq!(strata.len(), 16, "seed {seed}, dimension {dimension}");
            }
        }
    }

    #[test]
    fn each_seed_and_each_block_has_its_own_points() {
        let points: BTreeSet<_> = [(0, 3), (1, 3), (0, 65_539)]
            .into_iter()
            .map(|(seed, index)| format!("{:?}", Qmc::new(seed).point(index, 2)))
            .collect();
        assert_eq!(points.len(), 3);
    }

    #[test]
    fn parameters_beyond_the_last_dimension_are_drawn_at_random() {
        let mut space = SearchSpace::builder();
        for index in 0..300 {
            space = space.float(&format!("x{index}"), 0.0..=1.0);
        }
        let mut study = Study::builder("wide")
            .space(space.build().unwrap())
            .sampler(Qmc::new(1))
            .build()
            .unwrap();
        let asked = study.ask().unwrap().unwrap();
        assert_eq!(asked.params.len(), 300);
    }

    #[test]
    fn an_empty_space_is_a_trial_without_parameters() {
        let mut study = Study::builder("nothing")
            .sampler(Qmc::new(1))
            .build()
            .unwrap();
        assert!(study.ask().unwrap().unwrap().params.is_empty());
    }
}
