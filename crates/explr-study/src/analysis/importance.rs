use super::forest::{Explained, Feature, Tree};
use crate::random::generator;
use crate::{Distribution, History, Trial, TrialState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Trees of a forest, as in Optuna.
const TREES: u64 = 64;

/// How much a parameter matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// The parameter.
    pub name: String,
    /// Its share; the shares of all parameters add up to 1.
    pub share: f64,
}

/// How much of an objective's variance over the search space each parameter
/// explains by itself, the greatest first: functional ANOVA over a random
/// forest (Hutter, Hoos and Leyton-Brown 2014), scaled to a sum of 1.
///
/// Complete trials with a finite value count, in the parameters' own scales:
/// logarithmic ones in the logarithm, and categories without an order. (Optuna
/// has plain scales and one column a category, which favours categories.) A parameter that only some trials have
/// is judged among these, next to the parameters that all of them have, and
/// weighs as much as they are of all trials. Only trials that chose it
/// from the newest distribution count for it. The result is the same each
/// time.
///
/// Empty when there is nothing to explain: fewer than two trials, no
/// parameter that varies, or always the same value.
pub fn importances(history: &History, objective: usize) -> Vec<Importance> {
    let trials: Vec<(&Trial, f64)> = history
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .filter_map(|trial| Some((trial, *trial.values.get(objective)?)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let mut newest: BTreeMap<&str, &Arc<Distribution>> = BTreeMap::new();
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, (trial, _)) in trials.iter().enumerate().rev() {
        for (name, assigned) in &trial.params {
            if *newest.entry(name).or_insert(&assigned.distribution) == &assigned.distribution {
                members.entry(name).or_default().push(place);
            }
        }
    }
    newest.retain(|_, distribution| distribution.count() != Some(1));
    let groups: BTreeSet<&Vec<usize>> =
        newest.keys().filter_map(|name| members.get(name)).collect();
    let mut found = Vec::new();
    for group in groups {
        // Those that all trials of this group have; the group is theirs if no
        // trial beside it has them.
        let present: Vec<(&str, &Distribution)> = newest
            .iter()
            .filter(|(name, _)| members.get(*name).is_some_and(|all| is_within(group, all)))
            .map(|(name, distribution)| (*name, &***distribution))
            .collect();
        let weight = group.len() as f64 / trials.len() as f64;
        let shares = explained(&trials, group, &present);
        for ((name, _), share) in present.iter().zip(shares) {
            if members.get(name) == Some(group) && share.is_finite() {
                found.push(Importance {
                    name: (*name).to_owned(),
                    share: share * weight,
                });
            }
        }
    }
    let sum: f64 = found.iter().map(|importance| importance.share).sum();
    if sum.is_nan() || sum <= 0.0 {
        return Vec::new();
    }
    for importance in &mut found {
        importance.share /= sum;
    }
    found.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.name.cmp(&b.name)));
    found
}

/// The variance within `group` that each parameter explains.
fn explained(
    trials: &[(&Trial, f64)],
    group: &[usize],
    present: &[(&str, &Distribution)],
) -> Vec<f64> {
    let features: Vec<Feature> = present
        .iter()
        .map(|(_, distribution)| match distribution {
            Distribution::Categorical(categories) => Feature::Categories(categories.values().len()),
            Distribution::Float(_) | Distribution::Int(_) => Feature::Unit,
        })
        .collect();
    let rows: Vec<Vec<f64>> = group
        .iter()
        .map(|place| {
            let encode = |(name, distribution): &(&str, &Distribution)| {
                let internal = trials[*place].0.params.get(*name)?.internal;
                Some(match distribution {
                    Distribution::Categorical(_) => internal,
                    Distribution::Float(_) | Distribution::Int(_) => distribution.to_unit(internal),
                })
            };
            present.iter().filter_map(encode).collect()
        })
        .collect();
    let targets: Vec<f64> = group.iter().map(|place| trials[*place].1).collect();
    let forest: Vec<Explained> = (0..TREES)
        .filter_map(|number| {
            let mut rng = generator(0, number, "importance");
            Tree::grow(&features, &rows, &targets, &mut rng).explained(&features)
        })
        .collect();
    let mean = |of: &dyn Fn(&Explained) -> f64| -> f64 {
        forest.iter().map(of).sum::<f64>() / forest.len() as f64
    };
    let variance = mean(&|tree| tree.variance);
    (0..features.len())
        .map(|place| variance * mean(&|tree| tree.fractions[place]))
        .collect()
}

/// Whether `all`, in the same order, holds everything that `some` does.
fn is_within(some: &[usize], all: &[usize]) -> bool {
    let mut all = all.iter();
    some.iter().all(|place| all.any(|other| other == place))
}
