use super::{Proposal, Sampler};
use crate::{History, Rng, SearchSpace, StudyError};
use rand::RngExt;

/// Every parameter by itself, from its distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Sampler for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn propose(
        &mut self,
        _: &History,
        space: &SearchSpace,
        _: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        Ok(Some(draw(space, rng)))
    }
}

/// A value for every parameter of the space, active or not.
pub(crate) fn draw(space: &SearchSpace, rng: &mut Rng) -> Proposal {
    space
        .parameters()
        .iter()
        .filter_map(|parameter| {
            let distribution = parameter.distribution()?;
            Some((parameter.name.clone(), distribution.from_unit(rng.random())))
        })
        .collect()
}
