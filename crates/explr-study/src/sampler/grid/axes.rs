use crate::{Condition, Distribution, Domain, Proposal, SearchSpace, StudyError, Trial};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The sampler's name.
pub(super) const NAME: &str = "grid";

/// More points of one parameter than anyone means.
const MOST_POINTS: u32 = 1_000_000;

/// Which value each parameter has, by its place on the axis; none for an
/// inactive one.
pub(super) type Combination = Vec<Option<u64>>;

/// The parameters of a space with the values that a grid gives them. A fixed
/// parameter is an axis with one value.
#[derive(Debug)]
pub(super) struct Axes {
    axes: Vec<Axis>,
}

#[derive(Debug)]
struct Axis {
    name: String,
    /// None for a fixed parameter.
    distribution: Option<Distribution>,
    /// Internal values in ascending order, if they are not all there are.
    points: Option<Vec<f64>>,
    count: u64,
    when: Vec<Link>,
}

/// A condition: the axis `parent` must be at one of `places`.
#[derive(Debug)]
struct Link {
    parent: usize,
    places: BTreeSet<u64>,
}

pub(super) fn refuse(why: impl Into<String>) -> StudyError {
    StudyError::Sampler {
        sampler: NAME,
        why: why.into(),
    }
}

impl Axes {
    pub(super) fn new(
        space: &SearchSpace,
        points: &BTreeMap<String, u32>,
    ) -> Result<Self, StudyError> {
        let searched = |name: &str| space.get(name).and_then(|found| found.distribution());
        if let Some(name) = points.keys().find(|name| searched(name).is_none()) {
            return Err(refuse(format!(
                "has points for `{name}`, which is no parameter to search for"
            )));
        }
        let mut axes: Vec<Axis> = Vec::with_capacity(space.parameters().len());
        for parameter in space.parameters() {
            let mut axis = Axis::new(
                &parameter.name,
                parameter.distribution(),
                points.get(&parameter.name).copied(),
            )?;
            for condition in &parameter.when {
                axis.when.extend(link(&axes, space, condition));
            }
            axes.push(axis);
        }
        Ok(Self { axes })
    }

    /// The first combination.
    pub(super) fn first(&self) -> Combination {
        let mut combination = Vec::with_capacity(self.axes.len());
        self.complete(&mut combination);
        combination
    }

    /// The combination after this one.
    pub(super) fn after(&self, combination: &Combination) -> Option<Combination> {
        let last = (0..self.axes.len()).rev().find(|axis| {
            combination[*axis].is_some_and(|place| place + 1 < self.axes[*axis].count)
        })?;
        let mut next = combination[..=last].to_vec();
        next[last] = next[last].map(|place| place + 1);
        self.complete(&mut next);
        Some(next)
    }

    /// Puts the axes that are left at their beginning.
    fn complete(&self, combination: &mut Combination) {
        for axis in &self.axes[combination.len()..] {
            combination.push(axis.is_active(combination).then_some(0));
        }
    }

    /// The combination that a trial has; none if it is not one of the grid's.
    pub(super) fn combination(&self, trial: &Trial) -> Option<Combination> {
        let mut combination = Vec::with_capacity(self.axes.len());
        for axis in &self.axes {
            let place = match (axis.is_active(&combination), &axis.distribution) {
                (false, _) => None,
                (true, None) => Some(0),
                (true, Some(distribution)) => {
                    let assigned = trial.params.get(&axis.name)?;
                    let value = if *assigned.distribution == *distribution {
                        assigned.internal
                    } else {
                        distribution.internal(&assigned.external())?
                    };
                    Some(axis.place(value)?)
                }
            };
            combination.push(place);
        }
        Some(combination)
    }

    /// The internal values of a combination.
    pub(super) fn proposal(&self, combination: &Combination) -> Proposal {
        self.axes
            .iter()
            .zip(combination)
            .filter(|(axis, _)| axis.distribution.is_some())
            .filter_map(|(axis, place)| Some((axis.name.clone(), axis.value((*place)?))))
            .collect()
    }

    /// Number of combinations, if it is below 2^64.
    ///
    /// Axis by axis, counts the combinations so far by the places of those
    /// axes that later conditions still name; places that no condition can
    /// tell apart are counted together.
    pub(super) fn size(&self) -> Option<u64> {
        let order = self.children_soon();
        let mut counts: HashMap<Combination, u128> =
            HashMap::from([(vec![None; self.axes.len()], 1)]);
        for (done, &index) in order.iter().enumerate() {
            let later = || {
                order[done + 1..]
                    .iter()
                    .flat_map(|axis| &self.axes[*axis].when)
            };
            let open: Vec<bool> = (0..self.axes.len())
                .map(|axis| later().any(|link| link.parent == axis))
                .collect();
            let classes = self.classes(index);
            let mut next = HashMap::new();
            for (state, count) in counts {
                let inactive = [(None, 1)];
                let active = self.axes[index].is_active(&state);
                for (place, times) in if active { &classes[..] } else { &inactive } {
                    let mut state = state.clone();
                    state[index] = *place;
                    for (place, open) in state.iter_mut().zip(&open) {
                        *place = place.filter(|_| *open);
                    }
                    let total: &mut u128 = next.entry(state).or_default();
                    *total = total.saturating_add(count.saturating_mul(u128::from(*times)));
                }
            }
            counts = next;
        }
        let total = counts.into_values().fold(0, u128::saturating_add);
        u64::try_from(total).ok()
    }

    /// The places of an axis that conditions name, each once, and one other
    /// place for all the others.
    fn classes(&self, index: usize) -> Vec<(Option<u64>, u64)> {
        let named: BTreeSet<u64> = self
            .axes
            .iter()
            .flat_map(|axis| &axis.when)
            .filter(|link| link.parent == index)
            .flat_map(|link| link.places.iter().copied())
            .collect();
        let others = self.axes[index].count - named.len() as u64;
        let other = (0..=named.len() as u64).find(|place| !named.contains(place));
        named
            .into_iter()
            .map(|place| (Some(place), 1))
            .chain((others > 0).then_some((other, others)))
            .collect()
    }

    /// The axes in an order in which each follows its parents as soon as it
    /// can, so that few conditions are open at a time.
    fn children_soon(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::with_capacity(self.axes.len());
        while order.len() < self.axes.len() {
            let ready = |axis: &usize| {
                !order.contains(axis)
                    && self.axes[*axis]
                        .when
                        .iter()
                        .all(|link| order.contains(&link.parent))
            };
            let newest_parent = |axis: &usize| {
                let parents = self.axes[*axis].when.iter().map(|link| link.parent);
                parents
                    .filter_map(|parent| order.iter().position(|placed| *placed == parent))
                    .max()
            };
            // Of equals, `max_by_key` takes the last: turned round, the first.
            let next = (0..self.axes.len())
                .rev()
                .filter(ready)
                .max_by_key(newest_parent);
            let Some(next) = next else { break };
            order.push(next);
        }
        order
    }
}

impl Axis {
    fn new(
        name: &str,
        distribution: Option<&Distribution>,
        points: Option<u32>,
    ) -> Result<Self, StudyError> {
        let mut axis = Self {
            name: name.to_owned(),
            distribution: distribution.cloned(),
            points: None,
            count: 1,
            when: Vec::new(),
        };
        let Some(distribution) = distribution else {
            return Ok(axis);
        };
        let Some(points) = points else {
            axis.count = distribution.count().ok_or_else(|| {
                refuse(format!(
                    "needs a number of points for `{name}`: it is a real number without a step"
                ))
            })?;
            return Ok(axis);
        };
        if points == 0 {
            return Err(refuse(format!("needs at least one point for `{name}`")));
        }
        if points > MOST_POINTS {
            return Err(refuse(format!(
                "takes at most {MOST_POINTS} points for `{name}`, not {points}"
            )));
        }
        let mut values: Vec<f64> = match distribution {
            Distribution::Categorical(_) => {
                return Err(refuse(format!(
                    "can't lay out points over the choices of `{name}`"
                )));
            }
            Distribution::Float(range) => even(points, range.low(), range.high(), range.is_log())
                .map(|value| range.round(value))
                .collect(),
            Distribution::Int(range) => {
                let (low, high) = (range.low() as f64, range.high() as f64);
                even(points, low, high, range.is_log())
                    .map(|value| range.round(value))
                    .collect()
            }
        };
        values.dedup();
        axis.count = values.len() as u64;
        axis.points = Some(values);
        Ok(axis)
    }

    fn is_active(&self, before: &[Option<u64>]) -> bool {
        self.when.iter().all(|link| {
            let place = before.get(link.parent).copied().flatten();
            place.is_some_and(|place| link.places.contains(&place))
        })
    }

    /// The internal value at a place.
    fn value(&self, place: u64) -> f64 {
        let listed = usize::try_from(place)
            .ok()
            .and_then(|place| self.points.as_ref()?.get(place));
        let place = place as f64;
        match (listed, &self.distribution) {
            (Some(value), _) => *value,
            (None, Some(Distribution::Float(range))) => {
                range.round(range.low() + place * range.step().unwrap_or(0.0))
            }
            (None, Some(Distribution::Int(range))) => {
                range.low() as f64 + place * range.step() as f64
            }
            (None, _) => place,
        }
    }

    /// The place of an internal value; none if it is not on the axis.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn place(&self, value: f64) -> Option<u64> {
        let place = match (&self.points, &self.distribution) {
            (Some(points), _) => {
                let after = points.partition_point(|point| *point < value);
                let nearest = [after.saturating_sub(1), after.min(points.len() - 1)]
                    .into_iter()
                    .min_by(|a, b| {
                        (points[*a] - value)
                            .abs()
                            .total_cmp(&(points[*b] - value).abs())
                    })?;
                nearest as u64
            }
            (None, Some(Distribution::Float(range))) => {
                let step = range.step().unwrap_or(1.0);
                ((value - range.low()) / step).round() as u64
            }
            (None, Some(Distribution::Int(range))) => {
                ((value - range.low() as f64) / range.step() as f64) as u64
            }
            (None, _) => value as u64,
        };
        // Others compute steps and logarithms otherwise, to the last digit.
        let scale = match &self.distribution {
            Some(Distribution::Float(range)) if !range.is_log() => range.high() - range.low(),
            _ => value.abs(),
        };
        let same = (self.value(place) - value).abs() <= 1e-9 * scale;
        (same && place < self.count).then_some(place)
    }
}

/// `points` values from `low` to `high`, evenly, or the middle.
fn even(points: u32, low: f64, high: f64, log: bool) -> impl Iterator<Item = f64> {
    let (from, to) = if log {
        (low.ln(), high.ln())
    } else {
        (low, high)
    };
    (0..points).map(move |point| {
        let share = if points == 1 {
            0.5
        } else {
            f64::from(point) / f64::from(points - 1)
        };
        let value = from + share * (to - from);
        if log { value.exp() } else { value }
    })
}

/// The condition in places. A valid space has its parent among the axes before.
fn link(axes: &[Axis], space: &SearchSpace, condition: &Condition) -> Option<Link> {
    let parent = axes.iter().position(|axis| axis.name == condition.parent)?;
    let place = |value: &Value| match &space.parameters()[parent].domain {
        Domain::Fixed(fixed) => (fixed == value).then_some(0),
        Domain::Search(distribution) => axes[parent].place(distribution.internal(value)?),
    };
    Some(Link {
        parent,
        places: condition.any_of.iter().filter_map(place).collect(),
    })
}
