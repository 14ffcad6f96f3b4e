//! Sweeps of Weights & Biases: `sweep.yaml`, as `wandb sweep` takes it.
//!
//! `reader` reads typed values; `parameters`, `distributions` and `ranges` are
//! the search space, `command` what is run, `metric` what is searched for, `stop` early termination;
//! and `write` makes YAML of it all.

mod command;
mod distributions;
mod metric;
mod parameters;
mod ranges;
mod reader;
mod stop;
mod write;

use super::Imported;
use crate::config::names::LONGEST_STUDY;
use crate::config::node::{Content, Entry, Node};
use crate::config::problem::Problem;
use crate::config::remedy::shorten;
use crate::config::source::Sources;
use crate::config::{self, ConfigError, read, yaml};
use explr_protocol::Direction;
use explr_study::Domain;
use metric::Metric;
use parameters::Parameter;
use reader::Reader;
use std::path::Path;
use stop::Halving;

const METHODS: [&str; 3] = ["grid", "random", "bayes"];

/// What has no counterpart and changes no result, with the reason.
const LEFT_OUT: [(&str, &str); 6] = [
    (
        "job",
        "explr runs a program or the train function of a plugin",
    ),
    (
        "image_uri",
        "explr runs a program or the train function of a plugin",
    ),
    ("entity", "an experiment belongs to its store"),
    ("controller", "explr itself controls the search"),
    ("apiVersion", "it is W&B's"),
    ("kind", "it is W&B's"),
];

/// What changes what is searched for.
const REFUSED: [(&str, &str); 2] = [
    (
        "metrics",
        "write one `metric` here, and the others into `tune.objectives` of the configuration",
    ),
    (
        "scheduler",
        "leave it out, and write `method: random` or `method: bayes`",
    ),
];

const KEYS: [&str; 10] = [
    "program",
    "command",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "project",
    "name",
    "description",
];

/// A sweep in explr's terms.
struct Sweep {
    experiment: String,
    description: Option<String>,
    study: Option<String>,
    n_trials: Option<u32>,
    direction: Option<Direction>,
    metric: Option<String>,
    sampler: &'static str,
    pruner: Option<Halving>,
    stop_at: Option<f64>,
    parameters: Vec<Parameter>,
    /// What is to run; none if that is still to be named.
    command: Option<Vec<String>>,
}

/// Makes a configuration of a sweep's file.
pub fn load(path: &Path) -> Result<Imported, ConfigError> {
    let text = read::file(path).map_err(|refused| refused.into_error(path))?;
    convert(path, text)
}

/// The same for text. `path` names it in messages; a sweep without a name
/// gets the file's.
pub fn from_str(path: &Path, text: &str) -> Result<Imported, ConfigError> {
    let text = read::text(text, path).map_err(|refused| refused.into_error(path))?;
    convert(path, text)
}

fn convert(path: &Path, text: String) -> Result<Imported, ConfigError> {
    let mut sources = Sources::default();
    let file = sources.add_file(path, text);
    let file = sources.whole(file);
    let mut problems = Vec::new();
    let tree = match yaml::parse(&sources, file, &mut problems) {
        Ok(Some(tree)) if matches!(tree.value, Content::Map(_)) => tree,
        Ok(_) => {
            let problem = Problem::new(file.part(0, 1), "this is no sweep: it is no map")
                .help("a sweep has `method` and `parameters`");
            return Err(ConfigError::new(vec![problem], sources));
        }
        Err(problem) => {
            problems.push(problem);
            return Err(ConfigError::new(problems, sources));
        }
    };
    let mut reader = Reader {
        sources,
        problems,
        notes: Vec::new(),
    };
    let sweep = sweep(&mut reader, &tree, path);
    reader.notes.sort_by_key(|note| note.line);
    let Reader {
        sources,
        mut problems,
        notes,
    } = reader;
    if let Some(sweep) = sweep.filter(|_| problems.is_empty()) {
        match write::yaml(&sweep, &notes, path) {
            Ok(yaml) => {
                // explr accepts what is written here, or nothing is. Variables
                // have to be set when it runs.
                let words = sweep.command.iter().flatten();
                let variables = words.filter_map(|word| command::variable(word));
                config::from_str(
                    "the new configuration",
                    &yaml,
                    Path::new(""),
                    &[],
                    variables.map(|name| (name.to_owned(), String::new())),
                )?;
                return Ok(Imported {
                    yaml,
                    notes,
                    names_code: sweep.command.is_some(),
                });
            }
            Err(error) => problems.push(Problem::of_file(error.to_string())),
        }
    }
    Err(ConfigError::new(problems, sources))
}

/// Reads the whole sweep. None if something that everything needs is wrong.
fn sweep(reader: &mut Reader, tree: &Node, path: &Path) -> Option<Sweep> {
    known_keys(reader, tree);
    let method = method(reader, tree);
    let parameters = if let Some(entry) = tree.entry("parameters") {
        parameters::read(reader, entry, method == Some("grid"))
    } else {
        let example = "parameters: {lr: {min: 0.001, max: 0.1}}";
        missing(reader, tree, "parameters", example);
        Vec::new()
    };
    let command = command::read(reader, tree, &parameters);
    let metric = Metric::read(reader, tree, method);
    let pruner = tree
        .entry("early_terminate")
        .and_then(|entry| stop::read(reader, entry));
    let n_trials = trials(reader, tree, method);
    let (experiment, study) = names(reader, tree, path);
    let description = tree
        .entry("description")
        .and_then(|entry| reader.text("description", entry))
        .map(str::to_owned);
    if !parameters
        .iter()
        .any(|one| matches!(one.domain, Domain::Search(_)))
    {
        reader.remark("every parameter has one value: `explr run` is enough");
    }
    Some(Sweep {
        experiment,
        description,
        study,
        n_trials,
        direction: metric.direction,
        metric: metric.name,
        sampler: match method? {
            "bayes" => "tpe",
            other => other,
        },
        pruner,
        stop_at: metric.target,
        parameters,
        command,
    })
}

fn known_keys(reader: &mut Reader, tree: &Node) {
    let others = LEFT_OUT.iter().chain(&REFUSED).map(|(key, _)| *key);
    let known: Vec<&str> = KEYS.into_iter().chain(others).collect();
    reader.only(tree, "the sweep", "a sweep", &known);
    for entry in tree.entries() {
        let key = entry.key.as_str();
        if let Some((_, reason)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == key) {
            let shown = match &entry.value.value {
                Content::Map(_) | Content::List(_) => key.to_owned(),
                _ => format!("{key}: {}", shorten(reader.sources.slice(entry.value.span))),
            };
            reader.note(entry.key_span, format!("`{shown}` is left out: {reason}"));
        }
        if let Some((_, help)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
            let message = format!("explr has nothing like `{key}`");
            reader.error(entry.key_span, message, *help);
        }
    }
}

fn missing(reader: &mut Reader, tree: &Node, key: &str, example: &str) {
    // A misspelled key was named already.
    if !reader.problems.iter().any(Problem::is_a_slip) {
        let message = format!("the sweep has no `{key}`");
        reader.error(tree.span.part(0, 1), message, format!("as in `{example}`"));
    }
}

fn method(reader: &mut Reader, tree: &Node) -> Option<&'static str> {
    let Some(entry) = tree.entry("method") else {
        missing(reader, tree, "method", "method: random");
        return None;
    };
    let method = reader.word("method", entry, &METHODS)?;
    if method == "bayes" {
        let text = "`method: bayes` became `tpe`, explr's default; a Gaussian process, which W&B \
                    has, is `sampler: gp`";
        reader.note(entry.key_span, text);
    }
    Some(method)
}

/// The number of trials, if it is given. W&B goes on until it is stopped,
/// except in a grid, which both run to its end.
fn trials(reader: &mut Reader, tree: &Node, method: Option<&str>) -> Option<u32> {
    if let Some(entry) = tree.entry("run_cap") {
        return reader.count("run_cap", entry);
    }
    if method? != "grid" {
        reader.remark(
            "the sweep has no `run_cap`, and would go on until it is stopped: explr ends after \
             `tune.n_trials`, by default 100",
        );
    }
    None
}

/// The names of the experiment and of its study.
fn names(reader: &mut Reader, tree: &Node, path: &Path) -> (String, Option<String>) {
    let mut named = |key: &str| {
        let entry = tree.entry(key)?;
        title(reader, key, entry)
    };
    match (named("project"), named("name")) {
        (Some(project), name) => (project, name),
        (None, Some(name)) => (name, None),
        (None, None) => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            (in_the_store(&stem), None)
        }
    }
}

/// The name that a key gives.
fn title(reader: &mut Reader, key: &str, entry: &Entry) -> Option<String> {
    let text = reader.text(key, entry)?;
    if text.len() > LONGEST_STUDY {
        let message = format!("`{key}` has more than {LONGEST_STUDY} bytes");
        let help = "it names a file in explr: give a short one, and the rest as `description`";
        reader.error(entry.value.span, message, help);
        return None;
    }
    let title = in_the_store(text);
    if title != text {
        let text = format!("`{key}` became `{title}`, as it names a file in explr");
        reader.note(entry.key_span, text);
    }
    Some(title)
}

/// Names in the store are names of files, too.
fn in_the_store(name: &str) -> String {
    let is_bad = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    let name = name.trim().replace(is_bad, "-");
    match name.strip_prefix('.') {
        Some(rest) => format!("-{rest}"),
        None => name,
    }
}
