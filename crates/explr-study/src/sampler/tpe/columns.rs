use crate::{Distribution, History, Trial, TrialState};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Note of a trial, under Optuna's name: by how much it breaks each of its
/// constraints, where above 0.
const CONSTRAINTS: &str = "constraints";

/// The finished trials of a history as columns, and from best to worst. Only
/// what is new since the last look is read.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Trials looked at; those not finished then are in `open`.
    looked: usize,
    open: Vec<usize>,
    /// By parameter.
    by_name: BTreeMap<String, Column>,
    /// Trials that say something, best first, for one objective; by number,
    /// for several.
    ranked: Vec<Ranked>,
}

/// One parameter in all trials.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its newest distribution.
    pub(super) distribution: Arc<Distribution>,
    /// Internal values by the trial's number; NaN where it was not used.
    values: Vec<f64>,
    /// Equal for parameters that were used in the same trials.
    together: u64,
    newest: usize,
}

/// How good a trial is; less is better.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub(super) number: usize,
    /// Sum of broken constraints.
    violation: f64,
    pruned: bool,
    /// For a pruned trial: further is better.
    step: i64,
    /// Of the first objective. NaN for a pruned trial without a value.
    pub(super) loss: f64,
}

impl Ranked {
    /// The place of a finished trial; none if it says nothing.
    fn new(history: &History, trial: &Trial) -> Option<Self> {
        let (pruned, step, value) = match trial.state {
            TrialState::Complete => (false, 0, *trial.values.first()?),
            TrialState::Pruned => {
                let (step, value) = trial.last_report().unwrap_or((i64::MIN, f64::NAN));
                (true, step, value)
            }
            _ => return None,
        };
        if value.is_nan() && !pruned {
            return None;
        }
        let broken = trial.system_attrs.get(CONSTRAINTS);
        let violation = broken
            .and_then(|broken| broken.as_array())
            .map(|broken| {
                let broken = broken.iter().filter_map(serde_json::Value::as_f64);
                broken.filter(|by| *by > 0.0).sum()
            })
            .unwrap_or_default();
        Some(Self {
            number: usize::try_from(trial.number).ok()?,
            violation,
            pruned,
            step,
            loss: history.loss(value),
        })
    }

    /// Whether the trial has values for all objectives.
    pub(super) fn is_complete(&self) -> bool {
        !self.pruned
    }

    fn order(&self, other: &Self) -> Ordering {
        // Any NaN is worst, whatever its sign.
        let loss = |ranked: &Self| (ranked.loss.is_nan(), ranked.loss);
        let ((a_nan, a), (b_nan, b)) = (loss(self), loss(other));
        self.violation
            .total_cmp(&other.violation)
            .then(self.pruned.cmp(&other.pruned))
            .then(other.step.cmp(&self.step))
            .then(a_nan.cmp(&b_nan))
            .then(a.total_cmp(&b))
            .then(self.number.cmp(&other.number))
    }
}

impl Columns {
    /// Takes in what has finished since the last time.
    pub(super) fn look(&mut self, history: &History) {
        let trials = history.trials();
        if trials.len() < self.looked {
            *self = Self::default();
        }
        let mut open = std::mem::take(&mut self.open);
        open.extend(self.looked..trials.len());
        self.looked = trials.len();
        let several = history.directions().len() > 1;
        for number in open {
            let trial = &trials[number];
            if !trial.state.is_finished() {
                self.open.push(number);
            } else if let Some(ranked) = Ranked::new(history, trial) {
                let place = self.ranked.partition_point(|other| {
                    if several {
                        other.number < number
                    } else {
                        other.order(&ranked).is_lt()
                    }
                });
                self.ranked.insert(place, ranked);
                self.add(number, trial);
            }
        }
    }

    /// Trials that say something: best first for one objective.
    pub(super) fn ranked(&self) -> &[Ranked] {
        &self.ranked
    }

    /// How many of them are complete.
    pub(super) fn complete(&self) -> usize {
        let ranked = self.ranked.iter();
        ranked.filter(|ranked| ranked.is_complete()).count()
    }

    /// Numbers of trials that are running or wait.
    pub(super) fn open(&self) -> &[usize] {
        &self.open
    }

    /// Parameters that were always used together, in groups.
    pub(super) fn groups(&self) -> Vec<Vec<(&str, &Column)>> {
        let mut groups: BTreeMap<u64, Vec<(&str, &Column)>> = BTreeMap::new();
        for (name, column) in &self.by_name {
            groups
                .entry(column.together)
                .or_default()
                .push((name, column));
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by(|a, b| a[0].0.cmp(b[0].0));
        groups
    }

    fn add(&mut self, number: usize, trial: &Trial) {
        for (name, assigned) in &trial.params {
            if !self.by_name.contains_key(name) {
                let column = Column {
                    distribution: Arc::clone(&assigned.distribution),
                    values: Vec::new(),
                    together: 0,
                    newest: number,
                };
                self.by_name.insert(name.clone(), column);
            }
            if let Some(column) = self.by_name.get_mut(name) {
                column.set(number, assigned.internal);
                if number >= column.newest {
                    column.newest = number;
                    column.distribution = Arc::clone(&assigned.distribution);
                }
            }
        }
    }
}

impl Column {
    /// The internal value in a trial, if it was used there.
    pub(super) fn value(&self, number: usize) -> Option<f64> {
        let value = self.values.get(number).copied();
        value.filter(|value| !value.is_nan())
    }

    fn set(&mut self, number: usize, internal: f64) {
        if self.values.len() <= number {
            self.values.resize(number + 1, f64::NAN);
        }
        self.values[number] = internal;
        self.together = self.together.wrapping_add(scatter(number as u64));
    }
}

/// A number whose sums over different sets of trials differ.
fn scatter(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}
