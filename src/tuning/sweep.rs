//! A sweep: every combination of some settings, once.

use explr_study::sampler::{Proposal, Sampler};
use explr_study::{
    Categories, Distribution, Domain, History, Parameter, Rng, SearchSpace, SpaceError, StudyError,
    Trial, TrialState,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings of one run of a sweep, by key.
pub type Chosen = BTreeMap<String, Value>;

/// The space of a sweep: each key has the values that occur for it.
pub(super) fn space(combinations: &[Chosen]) -> Result<SearchSpace, SpaceError> {
    let mut values: BTreeMap<&String, Vec<Value>> = BTreeMap::new();
    for (key, value) in combinations.iter().flatten() {
        let known = values.entry(key).or_default();
        if !known.contains(value) {
            known.push(value.clone());
        }
    }
    let parameters = values.into_iter().map(|(key, values)| {
        let error = |error| SpaceError::Distribution {
            name: key.clone(),
            error,
        };
        Ok(Parameter {
            name: key.clone(),
            domain: Domain::Search(Distribution::Categorical(
                Categories::new(values).map_err(error)?,
            )),
            when: Vec::new(),
        })
    });
    SearchSpace::new(parameters.collect::<Result<_, _>>()?)
}

/// Proposes the combinations in their order, each one once. One that failed in
/// an earlier command gets another try.
#[derive(Debug)]
pub(super) struct Listed {
    all: Vec<Chosen>,
    since: Timestamp,
}

impl Listed {
    pub(super) fn new(all: Vec<Chosen>) -> Self {
        Self {
            all,
            since: Timestamp::now(),
        }
    }
}

impl Sampler for Listed {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        _: u64,
        _: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        let counts = |trial: &&Trial| {
            trial.state != TrialState::Failed
                || trial.started.is_none_or(|started| started >= self.since)
        };
        let tried: Vec<Chosen> = history
            .trials()
            .iter()
            .filter(counts)
            .map(Trial::external_params)
            .collect();
        let next = self
            .all
            .iter()
            .find(|combination| !tried.contains(combination));
        Ok(next.map(|combination| {
            combination
                .iter()
                .filter_map(|(key, value)| {
                    let distribution = space.get(key)?.distribution()?;
                    Some((key.clone(), distribution.internal(value)?))
                })
                .collect()
        }))
    }
}

/// What a run of a sweep is called: its settings without what all share.
pub fn label(combination: &Chosen) -> String {
    let word = |(key, value): (&String, &Value)| {
        let short = key.rsplit('.').next().unwrap_or(key);
        match value {
            Value::String(text) if matches!(short, "function" | "config" | "plugin") => {
                text.clone()
            }
            Value::String(text) => format!("{short}={text}"),
            other => format!("{short}={other}"),
        }
    };
    combination.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Chosen, Listed, label, space};
    use explr_study::{Finish, Study};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn combination(function: &str, lr: f64) -> Chosen {
        [
            ("train.function".to_owned(), json!(function)),
            ("lr".to_owned(), json!(lr)),
        ]
        .into()
    }

    #[test]
    fn every_combination_is_run_once_and_no_other() {
        let all = vec![
            combination("mlp", 0.1),
            combination("cnn", 0.1),
            combination("cnn", 0.01),
        ];
        let mut study = Study::builder("sweep")
            .space(space(&all).unwrap())
            .sampler(Listed::new(all.clone()))
            .build()
            .unwrap();
        let mut seen = Vec::new();
        while let Some(asked) = study.ask().unwrap() {
            seen.push(asked.params.clone());
            study.tell(asked.number, Finish::Failed).unwrap();
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn runs_are_named_after_what_differs() {
        let labels: BTreeSet<_> = [combination("mlp", 0.1), combination("cnn", 0.1)]
            .iter()
            .map(label)
            .collect();
        assert_eq!(
            labels,
            ["lr=0.1 cnn", "lr=0.1 mlp"].map(str::to_owned).into()
        );
    }
}
