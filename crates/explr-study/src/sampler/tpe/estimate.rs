use super::columns::{Column, Columns, Ranked};
use super::pareto;
use super::parzen::{Axis, Parzen};
use crate::{Direction, Distribution, History, Proposal, Rng, SearchSpace, TrialState};
use rand::RngExt;

/// Draws from the density of good trials, of which the likeliest to be good is
/// taken.
const CANDIDATES: usize = 48;

/// Part of the trials that count as good.
const GOOD: f64 = 0.1;

/// Most trials that count as good.
const MOST_GOOD: usize = 25;

/// Most trials that make up the density of the others.
const MOST_OTHERS: usize = 400;

/// Parameters estimated together, and the trials that used them.
struct Group<'a> {
    names: Vec<&'a str>,
    distributions: Vec<&'a Distribution>,
    columns: Vec<&'a Column>,
    axes: Vec<Axis>,
}

/// Values for all parameters of the space and those that trials used beyond
/// it: group by group, for parameters that always occur together are estimated
/// together.
pub(super) fn propose(
    history: &History,
    columns: &Columns,
    space: &SearchSpace,
    number: u64,
    rng: &mut Rng,
) -> Proposal {
    let mut proposal: Proposal = space
        .parameters()
        .iter()
        .filter_map(|parameter| {
            let distribution = parameter.distribution()?;
            Some((parameter.name.clone(), distribution.from_unit(rng.random())))
        })
        .collect();
    let ranked = ranked(history, columns);
    for group in columns.groups() {
        let group = Group::new(&group, space);
        if group.axes.is_empty() {
            continue;
        }
        let values = group.propose(history, columns, &ranked, number, rng);
        for ((name, distribution), (axis, value)) in group
            .names
            .iter()
            .zip(&group.distributions)
            .zip(group.axes.iter().zip(values))
        {
            proposal.insert((*name).to_owned(), axis.internal(distribution, value));
        }
    }
    proposal
}

/// All trials that say something; with several objectives only the first few
/// are in order.
fn ranked(history: &History, columns: &Columns) -> Vec<Ranked> {
    let ranked = columns.ranked();
    if history.directions().len() == 1 {
        return ranked.to_vec();
    }
    let (complete, others): (Vec<Ranked>, Vec<Ranked>) =
        ranked.iter().partition(|ranked| ranked.is_complete());
    let points: Vec<Vec<f64>> = complete
        .iter()
        .map(|ranked| losses(history, ranked.number))
        .collect();
    let best = pareto::best(&points, good_count(ranked.len()));
    let mut order: Vec<Ranked> = best.iter().map(|index| complete[*index]).collect();
    let mut is_best = vec![false; complete.len()];
    for index in best {
        is_best[index] = true;
    }
    order.extend(
        complete
            .iter()
            .zip(is_best)
            .filter(|(_, best)| !best)
            .map(|(ranked, _)| *ranked),
    );
    order.extend(others);
    order
}

/// All values of a trial, turned so that less is better.
fn losses(history: &History, number: usize) -> Vec<f64> {
    let values = history.trials()[number].values.iter();
    values
        .zip(history.directions())
        .map(|(value, direction)| match direction {
            Direction::Minimize => *value,
            Direction::Maximize => -*value,
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn good_count(count: usize) -> usize {
    ((GOOD * count as f64).ceil() as usize).min(MOST_GOOD)
}

impl<'a> Group<'a> {
    fn new(members: &[(&'a str, &'a Column)], space: &'a SearchSpace) -> Self {
        let mut group = Self {
            names: Vec::new(),
            distributions: Vec::new(),
            columns: Vec::new(),
            axes: Vec::new(),
        };
        for (name, column) in members {
            let declared = space
                .get(name)
                .and_then(|parameter| parameter.distribution());
            let distribution = declared.unwrap_or(&column.distribution);
            if distribution.count() == Some(1) {
                continue;
            }
            group.names.push(name);
            group.columns.push(column);
            group.axes.push(Axis::new(distribution));
            group.distributions.push(distribution);
        }
        group
    }

    fn propose(
        &self,
        history: &History,
        columns: &Columns,
        ranked: &[Ranked],
        number: u64,
        rng: &mut Rng,
    ) -> Vec<f64> {
        let used: Vec<Vec<f64>> = ranked
            .iter()
            .filter_map(|ranked| self.point(ranked.number))
            .collect();
        let good = good_count(used.len());
        let (good, others) = used.split_at(good);
        let weights: Vec<f64> = (0..good.len())
            .map(|place| (good.len() as f64 + 0.5 - place as f64).ln())
            .map(|weight| weight + 1.2)
            .collect();
        let stride = others.len().div_ceil(MOST_OTHERS).max(1);
        let running = columns
            .open()
            .iter()
            .filter(|other| **other as u64 != number)
            .filter_map(|other| self.running(history, *other));
        let above: Vec<f64> = others
            .iter()
            .step_by(stride)
            .cloned()
            .chain(running)
            .flatten()
            .collect();
        let count = above.len() / self.axes.len();
        let good = Parzen::new(self.axes.clone(), good.concat(), &weights);
        let bad = Parzen::new(self.axes.clone(), above, &vec![1.0; count]);
        let mut best: Option<(f64, Vec<f64>)> = None;
        for _ in 0..CANDIDATES {
            let drawn = self.snap(good.draw(rng));
            let ratio = good.log_density(&drawn) - bad.log_density(&drawn);
            if best.as_ref().is_none_or(|(most, _)| ratio > *most) {
                best = Some((ratio, drawn));
            }
        }
        best.map(|(_, drawn)| drawn).unwrap_or_default()
    }

    /// A finished trial's coordinates, if it used the group.
    fn point(&self, number: usize) -> Option<Vec<f64>> {
        self.columns
            .iter()
            .zip(self.axes.iter().zip(&self.distributions))
            .map(|(column, (axis, distribution))| {
                let value = column.value(number)?;
                distribution
                    .contains(value)
                    .then(|| axis.coordinate(distribution, value))
            })
            .collect()
    }

    fn running(&self, history: &History, number: usize) -> Option<Vec<f64>> {
        let trial = &history.trials()[number];
        if trial.state != TrialState::Running {
            return None;
        }
        self.names
            .iter()
            .zip(self.axes.iter().zip(&self.distributions))
            .map(|(name, (axis, distribution))| {
                let value = trial.params.get(*name)?.internal;
                distribution
                    .contains(value)
                    .then(|| axis.coordinate(distribution, value))
            })
            .collect()
    }

    /// The middle of each coordinate's cell.
    fn snap(&self, point: Vec<f64>) -> Vec<f64> {
        point
            .into_iter()
            .zip(self.axes.iter().zip(&self.distributions))
            .map(|(at, (axis, distribution))| {
                axis.coordinate(distribution, axis.internal(distribution, at))
            })
            .collect()
    }
}
