use crate::space::{Condition, Domain, Parameter, SearchSpace};
use crate::storage::{StudyState, distribution_from_json, distribution_json};
use crate::{Direction, Distribution};
use serde_json::{Map, Value, json};

/// Optuna's name for what its objectives are called.
const METRIC_NAMES: &str = "study:metric_names";
const SPACE: &str = "explr:space";
const SAMPLER: &str = "explr:sampler";
const PRUNER: &str = "explr:pruner";
const SEED: &str = "explr:seed";

/// What a study is made from, as it is kept in the study's system attributes.
#[derive(Debug)]
pub(crate) struct Description<'a> {
    pub(crate) directions: &'a [Direction],
    pub(crate) metric_names: &'a [String],
    pub(crate) space: &'a SearchSpace,
    pub(crate) sampler: &'a str,
    pub(crate) pruner: &'a str,
    pub(crate) seed: u64,
}

/// How a study differs from what it was begun with, in lines for people.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// What no study can change.
    pub(crate) final_ones: Vec<String>,
    /// What makes old and new trials less comparable.
    pub(crate) forceable: Vec<String>,
    /// What may change at any time.
    pub(crate) free: Vec<String>,
}

impl Description<'_> {
    /// The attributes that hold it.
    pub(crate) fn attrs(&self) -> Vec<(&'static str, Value)> {
        let mut attrs = vec![
            (SPACE, space_json(self.space)),
            (SAMPLER, self.sampler.into()),
            (PRUNER, self.pruner.into()),
            (SEED, self.seed.into()),
        ];
        if !self.metric_names.is_empty() {
            attrs.push((METRIC_NAMES, self.metric_names.into()));
        }
        attrs
    }

    /// How it differs from the study that is there. Of a study that another
    /// program made, only what its trials show is known.
    pub(crate) fn differences(&self, study: &StudyState) -> Differences {
        let mut found = Differences::default();
        let history = study.history();
        let attrs = history.system_attrs();

        let ways = |directions: &[Direction]| {
            let ways: Vec<&str> = directions.iter().map(|one| way(*one)).collect();
            ways.join(" and ")
        };
        if history.directions() != self.directions {
            found.final_ones.push(format!(
                "the objective was {} and is {}",
                ways(history.directions()),
                ways(self.directions)
            ));
        }
        if let Some(old) = attrs.get(METRIC_NAMES)
            && !self.metric_names.is_empty()
            && *old != Value::from(self.metric_names)
        {
            let new = Value::from(self.metric_names);
            found
                .forceable
                .push(format!("the objective was {old} and is {new}"));
        }

        let mut clashes: Vec<(&str, String)> = Vec::new();
        for (name, old) in study.distributions() {
            let new = self.space.get(name).and_then(Parameter::distribution);
            if let Some(new) = new.filter(|new| !old.is_compatible(new)) {
                clashes.push((name, distribution_changes(name, old, new).join("; ")));
            }
        }
        clashes.sort_unstable();
        if let Some(old) = attrs.get(SPACE).and_then(space_from_json) {
            let changed = space_changes(&old, self.space);
            // Said already.
            let clashes_with = |name: &str| clashes.iter().any(|(clash, _)| *clash == name);
            found.forceable.extend(
                changed
                    .into_iter()
                    .filter(|(name, _)| !clashes_with(name))
                    .map(|(_, line)| line),
            );
        }
        found
            .final_ones
            .extend(clashes.into_iter().map(|(_, line)| line));

        for (key, word, new) in [
            (SAMPLER, "sampler", Value::from(self.sampler)),
            (PRUNER, "pruner", self.pruner.into()),
            (SEED, "seed", self.seed.into()),
        ] {
            if let Some(old) = attrs.get(key).filter(|old| **old != new) {
                found.free.push(format!(
                    "the {word} was {} and is {}",
                    plain(old),
                    plain(&new)
                ));
            }
        }
        found
    }
}

/// What changed from one space to another: the parameter, and a line.
fn space_changes(old: &[Parameter], new: &SearchSpace) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    for parameter in new.parameters() {
        let name = &parameter.name;
        let lines = match old.iter().find(|old| old.name == *name) {
            None => vec![format!("the parameter {name} is new")],
            Some(old) => parameter_changes(old, parameter),
        };
        changes.extend(lines.into_iter().map(|line| (name.clone(), line)));
    }
    for parameter in old {
        let name = &parameter.name;
        if new.get(name).is_none() {
            changes.push((name.clone(), format!("the parameter {name} is gone")));
        }
    }
    changes
}

fn parameter_changes(old: &Parameter, new: &Parameter) -> Vec<String> {
    let name = &new.name;
    let mut lines = match (&old.domain, &new.domain) {
        (Domain::Search(old), Domain::Search(new)) => distribution_changes(name, old, new),
        (Domain::Fixed(old), Domain::Fixed(new)) if old != new => {
            vec![format!("{name}: it was {old} and is {new}")]
        }
        (Domain::Fixed(_), Domain::Fixed(_)) => Vec::new(),
        (Domain::Fixed(old), Domain::Search(_)) => {
            vec![format!("{name}: it was always {old} and is searched for")]
        }
        (Domain::Search(_), Domain::Fixed(new)) => {
            vec![format!("{name}: it was searched for and is always {new}")]
        }
    };
    if old.when != new.when {
        lines.push(format!(
            "{name}: it was there {} and is there {}",
            when(&old.when),
            when(&new.when)
        ));
    }
    lines
}

/// What changed from one distribution of a parameter to another.
pub(crate) fn distribution_changes(
    name: &str,
    old: &Distribution,
    new: &Distribution,
) -> Vec<String> {
    let (old, new) = (facts(old), facts(new));
    if old[0] != new[0] {
        return vec![format!("{name}: it was {} and is {}", old[0].1, new[0].1)];
    }
    old.iter()
        .zip(&new)
        .filter(|(old, new)| old != new)
        .map(|((word, old), (_, new))| {
            let (was, is) = if *word == "choices" {
                ("were", "are")
            } else {
                ("was", "is")
            };
            format!("{name}: {word} {was} {old} and {is} {new}")
        })
        .collect()
}

/// The type of a distribution first, then what makes it up.
fn facts(distribution: &Distribution) -> Vec<(&'static str, String)> {
    match distribution {
        Distribution::Float(range) => vec![
            ("type", "a float".to_owned()),
            ("low", range.low().to_string()),
            ("high", range.high().to_string()),
            ("log", range.is_log().to_string()),
            (
                "step",
                range
                    .step()
                    .map_or("none".to_owned(), |step| step.to_string()),
            ),
        ],
        Distribution::Int(range) => vec![
            ("type", "an int".to_owned()),
            ("low", range.low().to_string()),
            ("high", range.high().to_string()),
            ("log", range.is_log().to_string()),
            ("step", range.step().to_string()),
        ],
        Distribution::Categorical(categories) => vec![
            ("type", "categorical".to_owned()),
            ("choices", Value::from(categories.values()).to_string()),
        ],
    }
}

fn when(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return "always".to_owned();
    }
    let conditions: Vec<String> = conditions
        .iter()
        .map(|condition| {
            let values: Vec<String> = condition.any_of.iter().map(plain).collect();
            format!("{} is {}", condition.parent, values.join(" or "))
        })
        .collect();
    format!("when {}", conditions.join(" and "))
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Minimize => "minimised",
        Direction::Maximize => "maximised",
    }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn space_json(space: &SearchSpace) -> Value {
    let parameters = space.parameters().iter().map(|parameter| {
        let mut json = Map::new();
        json.insert("name".to_owned(), parameter.name.clone().into());
        match &parameter.domain {
            Domain::Search(distribution) => {
                json.insert(
                    "distribution".to_owned(),
                    distribution_json(distribution).into(),
                );
            }
            Domain::Fixed(value) => {
                json.insert("value".to_owned(), value.clone());
            }
        }
        let when = parameter
            .when
            .iter()
            .map(|condition| json!({"parent": condition.parent, "any_of": condition.any_of}));
        json.insert("when".to_owned(), when.collect());
        Value::Object(json)
    });
    parameters.collect()
}

fn space_from_json(json: &Value) -> Option<Vec<Parameter>> {
    let condition = |json: &Value| {
        Some(Condition {
            parent: json["parent"].as_str()?.to_owned(),
            any_of: json["any_of"].as_array()?.clone(),
        })
    };
    let parameter = |json: &Value| {
        Some(Parameter {
            name: json["name"].as_str()?.to_owned(),
            domain: match json.get("value") {
                Some(value) => Domain::Fixed(value.clone()),
                None => {
                    Domain::Search(distribution_from_json(json["distribution"].as_str()?).ok()?)
                }
            },
            when: json["when"]
                .as_array()?
                .iter()
                .map(condition)
                .collect::<Option<_>>()?,
        })
    };
    json.as_array()?.iter().map(parameter).collect()
}
