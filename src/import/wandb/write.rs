use super::Sweep;
use super::parameters::Parameter;
use crate::config::interpolate;
use crate::import::Note;
use explr_study::{Distribution, Domain, FloatRange, IntRange};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use serde_saphyr::{FlowMap, FlowSeq, SerializeError};
use std::path::Path;

/// Where a person has something to fill in.
const TRAIN: &str = "
# TODO: name the train function, here or with `explr tune --train-fn PATH:FUNCTION`.
# train:
#   plugin: path/to/a/plugin/crate
#   function: train_model
";

/// The configuration as a person would write it, with the notes on top.
pub(super) fn yaml(sweep: &Sweep, notes: &[Note], path: &Path) -> Result<String, SerializeError> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut out = String::new();
    comment(
        &mut out,
        "",
        &format!("Made by `explr import wandb` of `{file}`."),
    );
    if !notes.is_empty() {
        out.push_str("#\n# What is different in explr, by the lines of that file:\n");
    }
    for note in notes {
        comment(&mut out, "- ", &note.to_string());
    }
    out.push('\n');
    let mut head = vec![key("experiment", sweep.experiment.as_str())];
    let description = sweep.description.as_deref();
    head.extend(description.map(|text| key("description", text)));
    out.push_str(&serde_saphyr::to_string(&Yaml::Block(head))?);
    match &sweep.command {
        None => out.push_str(TRAIN),
        Some(words) => {
            let command = Yaml::Value(words.clone().into());
            let metrics = Yaml::Flow(vec![key("wandb", true)]);
            let train = vec![
                ("command".to_owned(), command),
                ("metrics".to_owned(), metrics),
            ];
            let section = Yaml::Block(vec![("train".to_owned(), Yaml::Block(train))]);
            out.push_str("\n# `import wandb` finds a stand-in: its metrics stay here.\n");
            out.push_str(&serde_saphyr::to_string(&section)?);
        }
    }
    let sections = [
        ("hyperparameters", hyperparameters(&sweep.parameters)),
        ("search_space", search_space(&sweep.parameters)),
        ("tune", tune(sweep)),
    ];
    for (name, entries) in sections
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
    {
        let section = Yaml::Block(vec![(name.to_owned(), Yaml::Block(entries))]);
        out.push('\n');
        out.push_str(&serde_saphyr::to_string(&section)?);
    }
    Ok(out)
}

/// Columns of a comment.
const WIDTH: usize = 100;

/// Writes a text as comment lines, the first with a mark and the others below.
fn comment(out: &mut String, mark: &str, text: &str) {
    let mut line = format!("# {mark}");
    let indent = format!("# {:width$}", "", width = mark.len());
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 && line.chars().count() + word.chars().count() >= WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

type Entries = Vec<(String, Yaml)>;

/// YAML with an order and a layout.
enum Yaml {
    /// One key a line.
    Block(Entries),
    /// All in one line.
    Flow(Entries),
    Value(Value),
}

impl Serialize for Yaml {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Block(entries) => Pairs(entries).serialize(serializer),
            Self::Flow(entries) => FlowMap(Pairs(entries)).serialize(serializer),
            Self::Value(list @ Value::Array(_)) => FlowSeq(list).serialize(serializer),
            Self::Value(map @ Value::Object(_)) => FlowMap(map).serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

struct Pairs<'a>(&'a [(String, Yaml)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

fn key(key: &str, value: impl Into<Value>) -> (String, Yaml) {
    (key.to_owned(), Yaml::Value(literal(value.into())))
}

/// W&B replaces nothing in texts.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) => interpolate::literal(&text).into(),
        Value::Array(items) => items.into_iter().map(literal).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, literal(value)))
            .collect(),
        other => other,
    }
}

/// What stays the same, nested.
fn hyperparameters(parameters: &[Parameter]) -> Entries {
    let mut entries = Vec::new();
    for parameter in parameters {
        if let Domain::Fixed(value) = &parameter.domain {
            nest(&mut entries, &parameter.name, value);
        }
    }
    entries
}

fn nest(entries: &mut Entries, name: &str, value: &Value) {
    let Some((level, rest)) = name.split_once('.') else {
        entries.push(key(name, value.clone()));
        return;
    };
    let known = entries.iter_mut().find(|(key, _)| key == level);
    if let Some((_, Yaml::Block(inner))) = known {
        nest(inner, rest, value);
    } else {
        let mut inner = Vec::new();
        nest(&mut inner, rest, value);
        entries.push((level.to_owned(), Yaml::Block(inner)));
    }
}

/// Names are written with dots, so that a level can be called `type`.
fn search_space(parameters: &[Parameter]) -> Entries {
    let searched = parameters
        .iter()
        .filter_map(|parameter| match &parameter.domain {
            Domain::Search(distribution) => Some((parameter.name.clone(), range(distribution))),
            Domain::Fixed(_) => None,
        });
    searched.collect()
}

fn range(distribution: &Distribution) -> Yaml {
    Yaml::Flow(match distribution {
        Distribution::Float(range) => float(range),
        Distribution::Int(range) => int(range),
        Distribution::Categorical(choices) => {
            vec![key("type", "categorical"), key("choices", choices.values())]
        }
    })
}

fn float(range: &FloatRange) -> Entries {
    let mut entries = vec![
        key("type", "float"),
        key("low", range.low()),
        key("high", range.high()),
    ];
    entries.extend(range.is_log().then(|| key("log", true)));
    entries.extend(range.step().map(|step| key("step", step)));
    entries
}

fn int(range: &IntRange) -> Entries {
    let mut entries = vec![
        key("type", "int"),
        key("low", range.low()),
        key("high", range.high()),
    ];
    entries.extend(range.is_log().then(|| key("log", true)));
    entries.extend((range.step() != 1).then(|| key("step", range.step())));
    entries
}

fn tune(sweep: &Sweep) -> Entries {
    let mut entries = Vec::new();
    entries.extend(sweep.study.as_deref().map(|study| key("study", study)));
    entries.extend(sweep.n_trials.map(|count| key("n_trials", count)));
    entries.extend(sweep.direction.map(|one| key("direction", json!(one))));
    entries.extend(sweep.metric.as_deref().map(|metric| key("metric", metric)));
    entries.push(key("sampler", sweep.sampler));
    entries.extend(sweep.pruner.as_ref().map(|pruner| {
        let options = vec![
            key("name", "asha"),
            key("min_resource", pruner.min_resource),
            key("reduction_factor", pruner.reduction_factor),
        ];
        ("pruner".to_owned(), Yaml::Flow(options))
    }));
    entries.extend(sweep.stop_at.map(|value| key("stop_at", value)));
    entries
}
