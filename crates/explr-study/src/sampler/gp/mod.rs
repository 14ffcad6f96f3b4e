mod acquisition;
mod ascent;
mod encoding;
mod kernel;
mod losses;
mod model;

use super::{Proposal, Qmc, Sampler};
use crate::{History, Rng, SearchSpace, StudyError, Trial, TrialState};
use acquisition::Acquisition;
pub(super) use acquisition::Effort;
pub(super) use encoding::Encoding;
pub(super) use losses::warp;
pub(super) use model::{Model, Scales};

const NAME: &str = "gp";

/// Trials before there is a model.
const STARTUP: usize = 10;

/// Most trials that the model is made of: the better half are the best there
/// are, the others the newest. The effort grows with the cube of their number.
const MOST: usize = 150;

/// Good trials around which the next one is looked for.
const LEADERS: usize = 5;

/// Bayesian optimisation with a Gaussian process: the best use of few and
/// expensive trials, up to some hundred.
///
/// After quasi-random trials it proposes the point of greatest expected
/// improvement under a model of the losses, over the parameters of the space
/// in their own scales. Whole numbers and steps are rounded before the model
/// sees them, a choice is equally far from every other, and a parameter that
/// is inactive does not matter. Running trials count as having come out as
/// expected, so parallel ones are spread. Failed trials count as the worst
/// complete one, pruned ones as their last value, but no better than the
/// median. It has one objective.
#[derive(Debug, Clone, Copy)]
pub struct Gp {
    startup: Qmc,
}

/// A finished trial with its units and loss.
struct Known {
    number: u64,
    units: Vec<Option<f64>>,
    loss: f64,
}

impl Gp {
    /// The sampler, with the study's seed.
    pub fn new(seed: u64) -> Self {
        Self {
            startup: Qmc::new(seed),
        }
    }
}

impl Sampler for Gp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        number: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        if history.directions().len() != 1 {
            return Err(StudyError::Sampler {
                sampler: NAME,
                why: "takes one objective only; `tpe` takes several".to_owned(),
            });
        }
        let encoding = Encoding::new(space);
        let known = known(history, &encoding);
        if encoding.axes().is_empty() || known.len() < STARTUP {
            return Ok(Some(self.startup.draw(space, number)));
        }
        let running = history
            .trials()
            .iter()
            .filter(|trial| !trial.state.is_finished() && trial.number != number)
            .filter_map(|trial| encoding.units(trial));
        let Some(units) = search(&encoding, known, running, rng) else {
            return Ok(Some(self.startup.draw(space, number)));
        };
        let values = encoding.axes().iter().zip(units);
        Ok(Some(
            values
                .map(|(axis, unit)| (axis.name.clone(), axis.distribution.from_unit(unit)))
                .collect(),
        ))
    }
}

/// The finished trials that the model is made of; none before one is complete.
fn known(history: &History, encoding: &Encoding) -> Vec<Known> {
    let complete = |trial: &&Trial| trial.state == TrialState::Complete;
    let mut losses: Vec<f64> = history
        .trials()
        .iter()
        .filter(complete)
        .filter_map(|trial| Some(history.loss(*trial.values.first()?)))
        .collect();
    losses.sort_by(f64::total_cmp);
    let (Some(median), Some(worst)) = (losses.get(losses.len() / 2), losses.last()) else {
        return Vec::new();
    };
    let mut known: Vec<Known> = history
        .trials()
        .iter()
        .filter(|trial| trial.state.is_finished())
        .filter_map(|trial| {
            let value = trial.values.first().filter(|value| !value.is_nan());
            let loss = match (trial.state, value) {
                (TrialState::Complete, Some(value)) => history.loss(*value),
                (TrialState::Pruned, Some(value)) => history.loss(*value).max(*median),
                _ => *worst,
            };
            Some(Known {
                number: trial.number,
                units: encoding.units(trial)?,
                loss,
            })
        })
        .collect();
    known.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(a.number.cmp(&b.number)));
    if known.len() > MOST {
        known[MOST / 2..].sort_by_key(|trial| std::cmp::Reverse(trial.number));
        known.truncate(MOST);
    }
    known
}

/// The most promising units, of `known` trials that begin with the best.
fn search(
    encoding: &Encoding,
    known: Vec<Known>,
    running: impl Iterator<Item = Vec<Option<f64>>>,
    rng: &mut Rng,
) -> Option<Vec<f64>> {
    let losses: Vec<f64> = known.iter().map(|trial| trial.loss).collect();
    let points: Vec<Vec<f64>> = known
        .iter()
        .map(|trial| encoding.point(&trial.units))
        .collect();
    let model = Model::fit(
        points,
        &losses::warp(&losses, losses.len()),
        encoding.groups(),
    )?;
    let leaders: Vec<Vec<Option<f64>>> = known
        .into_iter()
        .take(LEADERS)
        .map(|trial| trial.units)
        .collect();
    let effort = Effort {
        candidates: 512,
        neighbours: 128,
        climbs: 5,
    };
    Some(most_promising(
        encoding, model, &leaders, running, effort, rng,
    ))
}

/// The units of greatest expected improvement. `leaders` are good trials,
/// `running` ones count as having come out as expected.
pub(super) fn most_promising(
    encoding: &Encoding,
    mut model: Model,
    leaders: &[Vec<Option<f64>>],
    running: impl Iterator<Item = Vec<Option<f64>>>,
    effort: Effort,
    rng: &mut Rng,
) -> Vec<f64> {
    for units in running {
        model.believe(encoding.point(&units));
    }
    // Noise makes the luckiest trial look better than its parameters are.
    let best = model
        .points()
        .iter()
        .map(|point| model.predict(point).mean)
        .fold(f64::INFINITY, f64::min);
    let acquisition = Acquisition {
        model: &model,
        encoding,
        best,
        effort,
    };
    acquisition.maximise(leaders, rng)
}

#[cfg(test)]
mod tests;
