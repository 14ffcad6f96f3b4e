use super::{Metric, MetricError, State, number};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

/// Metrics by name that see the same batches.
///
/// Those that gather the same, such as precision, recall, F1 score and
/// confusion matrix of a task, gather it once.
#[derive(Default)]
pub struct MetricCollection {
    members: Vec<Member>,
}

/// What a [`MetricCollection`] has gathered: a state for all metrics that
/// share it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CollectionState(Vec<State>);

impl CollectionState {
    /// Of these states.
    pub fn new(states: Vec<State>) -> Self {
        Self(states)
    }

    /// The states.
    pub fn states(&self) -> &[State] {
        &self.0
    }
}

struct Member {
    name: String,
    metric: Box<dyn Metric>,
    /// The member whose store it shares, or itself.
    gathers: usize,
}

impl MetricCollection {
    /// Without a metric.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a further metric, before the first batch. A metric of the same
    /// name is replaced.
    pub fn with(mut self, name: impl Into<String>, metric: impl Metric + 'static) -> Self {
        let name = name.into();
        let mut metrics: Vec<(String, Box<dyn Metric>)> = self
            .members
            .into_iter()
            .map(|member| (member.name, member.metric))
            .filter(|(other, _)| *other != name)
            .collect();
        metrics.push((name, Box::new(metric)));
        let mut first = BTreeMap::new();
        self.members = metrics
            .into_iter()
            .enumerate()
            .map(|(index, (name, metric))| Member {
                gathers: *first.entry(metric.state_name()).or_insert(index),
                name,
                metric,
            })
            .collect();
        self
    }

    /// Takes in a batch. Does not wait for the device.
    pub fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), MetricError> {
        self.gathering()
            .try_for_each(|metric| metric.update(predictions, targets))
    }

    /// All values, in the order of the metrics.
    pub fn compute(&self) -> Result<Vec<(&str, Tensor)>, MetricError> {
        self.members
            .iter()
            .map(|member| {
                let store = self.members[member.gathers].metric.store();
                Ok((member.name.as_str(), member.metric.compute_from(store)?))
            })
            .collect()
    }

    /// All values that are one number, for a log. Those of several, such as a
    /// confusion matrix, are left out.
    pub fn values(&self) -> Result<Vec<(&str, f64)>, MetricError> {
        self.compute()?
            .into_iter()
            .filter(|(_, value)| value.dim() == 0)
            .map(|(name, value)| Ok((name, number(&value, name)?)))
            .collect()
    }

    /// Forgets all batches.
    pub fn reset(&mut self) {
        self.gathering().for_each(Metric::reset);
    }

    /// What was gathered. Waits for the device.
    pub fn state(&self) -> Result<CollectionState, MetricError> {
        let states = self.members.iter().enumerate();
        let states = states.filter(|(index, member)| member.gathers == *index);
        let states = states.map(|(_, member)| member.metric.state());
        Ok(CollectionState(states.collect::<Result<_, _>>()?))
    }

    /// Puts a saved state in the place of what was gathered. After an error
    /// nothing is changed.
    pub fn restore(&mut self, state: &CollectionState) -> Result<(), MetricError> {
        self.with_states(state, Metric::restore)
    }

    /// Takes in what the same metrics have gathered elsewhere. After an error
    /// nothing is changed.
    pub fn merge(&mut self, other: &CollectionState) -> Result<(), MetricError> {
        self.with_states(other, Metric::merge)
    }

    /// Calls `change` with each metric that gathers and its state, once all of
    /// them fit.
    fn with_states(
        &mut self,
        states: &CollectionState,
        change: impl Fn(&mut (dyn Metric + 'static), &State) -> Result<(), MetricError>,
    ) -> Result<(), MetricError> {
        let states: BTreeMap<_, _> = states.0.iter().map(|s| (s.metric(), s)).collect();
        let mut pairs = Vec::new();
        for metric in self.gathering() {
            let name = metric.state_name();
            let state = *states
                .get(name.as_str())
                .ok_or_else(|| MetricError::BadState {
                    problem: format!("it has nothing of `{name}`"),
                })?;
            metric.store().check(state.tensors())?;
            pairs.push((metric, state));
        }
        pairs
            .into_iter()
            .try_for_each(|(metric, state)| change(metric, state))
    }

    /// The metrics that gather, each store once.
    fn gathering(&mut self) -> impl Iterator<Item = &mut (dyn Metric + 'static)> {
        let members = self.members.iter_mut().enumerate();
        members
            .filter(|(index, member)| member.gathers == *index)
            .map(|(_, member)| &mut *member.metric)
    }
}
