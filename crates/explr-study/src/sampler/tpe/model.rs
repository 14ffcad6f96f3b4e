use super::columns::{Columns, Ranked};
use crate::sampler::gp::{Effort, Encoding, Model, Scales, most_promising, warp};
use crate::{History, Proposal, Rng, SearchSpace, Trial};

/// Most trials that the model is made of: the better half are the best there
/// are, the others the newest.
const MOST: usize = 100;

/// Most trials that its hyperparameters are learned from.
const MOST_LEARNED: usize = 64;

/// Good trials around which the next one is looked for.
const LEADERS: usize = 5;

const EFFORT: Effort = Effort {
    candidates: 128,
    neighbours: 64,
    climbs: 3,
};

/// Proposes the point of greatest expected improvement under a Gaussian
/// process, as [`Gp`](crate::sampler::Gp) does, with less effort: its
/// hyperparameters are learned anew only when there are a fifth more trials.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The hyperparameters, and of which and how many trials they are.
    learned: Option<(Key, Scales)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    /// They are of trials below this number.
    below: usize,
    /// As many as had finished.
    count: usize,
}

impl Step {
    /// A value for every parameter of the space, if there is a model.
    pub(super) fn propose(
        &mut self,
        history: &History,
        columns: &Columns,
        space: &SearchSpace,
        number: u64,
        rng: &mut Rng,
    ) -> Option<Proposal> {
        let encoding = Encoding::new(space);
        if encoding.axes().is_empty() {
            return None;
        }
        let known = Known::new(history, &encoding, chosen(columns.ranked(), MOST));
        self.learn(history, &encoding, columns, number)?;
        let (_, scales) = self.learned.as_ref()?;
        let model = Model::new(known.points, &known.targets, encoding.groups(), scales)?;
        let running = columns
            .open()
            .iter()
            .filter(|other| **other as u64 != number)
            .filter_map(|other| encoding.units(&history.trials()[*other]));
        let leaders = &known.units[..LEADERS.min(known.units.len())];
        let units = most_promising(&encoding, model, leaders, running, EFFORT, rng);
        let values = encoding.axes().iter().zip(units);
        Some(
            values
                .map(|(axis, unit)| (axis.name.clone(), axis.distribution.from_unit(unit)))
                .collect(),
        )
    }

    /// Renews the hyperparameters when it is time. They depend on finished
    /// trials below a number that grows by steps, whatever was learned before.
    fn learn(
        &mut self,
        history: &History,
        encoding: &Encoding,
        columns: &Columns,
        number: u64,
    ) -> Option<()> {
        let mut below = 10;
        while below + below / 5 <= usize::try_from(number).ok()? {
            below += below / 5;
        }
        let early: Vec<Ranked> = columns
            .ranked()
            .iter()
            .filter(|ranked| ranked.number < below)
            .copied()
            .collect();
        let key = Key {
            below,
            count: early.len(),
        };
        if self.learned.as_ref().is_none_or(|(old, _)| *old != key) {
            let known = Known::new(history, encoding, chosen(&early, MOST_LEARNED));
            let scales = Scales::learn(&known.points, &known.targets, encoding.groups())?;
            self.learned = Some((key, scales));
        }
        Some(())
    }
}

/// Trials as the model sees them, best first.
struct Known {
    units: Vec<Vec<Option<f64>>>,
    points: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

impl Known {
    fn new(history: &History, encoding: &Encoding, chosen: Vec<Ranked>) -> Self {
        let mut units = Vec::with_capacity(chosen.len());
        let mut losses = Vec::with_capacity(chosen.len());
        for ranked in chosen {
            let trial: &Trial = &history.trials()[ranked.number];
            if let Some(found) = encoding.units(trial) {
                units.push(found);
                losses.push(ranked);
            }
        }
        // A pruned trial is worse than any complete one. How much is unknown.
        let complete = losses.partition_point(Ranked::is_complete);
        let worst = losses[..complete].iter().map(|ranked| ranked.loss);
        let worst = worst.fold(0.0, f64::max);
        let losses: Vec<f64> = losses
            .iter()
            .enumerate()
            .map(|(place, ranked)| {
                if ranked.is_complete() {
                    ranked.loss
                } else {
                    worst + (1.0 + worst) * place as f64
                }
            })
            .collect();
        Self {
            points: units.iter().map(|units| encoding.point(units)).collect(),
            targets: warp(&losses, complete),
            units,
        }
    }
}

/// At most `most` of the trials, best first: half the best, half the newest.
fn chosen(ranked: &[Ranked], most: usize) -> Vec<Ranked> {
    let best = ranked.len().min(most / 2);
    let mut chosen = ranked[..best].to_vec();
    let mut rest = ranked[best..].to_vec();
    let room = most - best;
    if rest.len() > room {
        let mut numbers: Vec<usize> = rest.iter().map(|ranked| ranked.number).collect();
        numbers.sort_unstable();
        let oldest = numbers[numbers.len() - room];
        rest.retain(|ranked| ranked.number >= oldest);
    }
    chosen.append(&mut rest);
    chosen
}
