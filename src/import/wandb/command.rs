//! `program` and `command` of a sweep: what W&B's agent runs for each trial.

use super::parameters::Parameter;
use super::reader::Reader;
use crate::config::command::template;
use crate::config::interpolate;
use crate::config::node::{Content, Node};
use crate::config::remedy::shorten;
use explr_study::{Distribution, Domain};
use serde_json::Value;

/// What W&B's agent runs unless the sweep says otherwise.
const DEFAULT: [&str; 4] = ["${env}", "${interpreter}", "${program}", "${args}"];

/// The words of `train.command`; none for a sweep that names no program.
pub(super) fn read(
    reader: &mut Reader,
    tree: &Node,
    parameters: &[Parameter],
) -> Option<Vec<String>> {
    let program = tree.entry("program");
    let program = program.and_then(|entry| reader.text("program", entry));
    let Some(command) = tree.entry("command") else {
        let program = program?;
        let words = DEFAULT.iter();
        return Some(
            words
                .flat_map(|word| expand(word, Some(program), parameters))
                .collect(),
        );
    };
    let Content::List(items) = &command.value.value else {
        reader.error(
            command.value.span,
            "`command` must be a list",
            "as in `command: [\"${env}\", python, \"${program}\", \"${args}\"]`",
        );
        return None;
    };
    let mut words = Vec::new();
    for item in items {
        let text = match item.text() {
            Some(text) => text.to_owned(),
            None => reader.sources.slice(item.span).to_owned(),
        };
        if let Some((message, help)) = unlike(&text, program, parameters) {
            reader.error(item.span, message, help);
        }
        words.extend(expand(&text, program, parameters));
    }
    if words.is_empty() {
        reader.error(
            command.value.span,
            "`command` is empty",
            "leave it out for W&B's own: `python`, the program, and `--name=value` for each \
             parameter",
        );
        return None;
    }
    let has_booleans = parameters.iter().any(|one| is_boolean(&one.domain));
    if has_booleans && items.iter().any(|item| item.text() == Some("${args}")) {
        let text = "as arguments, booleans are `true` and `false`, where W&B writes `True` and \
                    `False`";
        reader.note(command.key_span, text);
    }
    Some(words)
}

/// The variable that a word of `train.command` is the value of.
pub(super) fn variable(word: &str) -> Option<&str> {
    word.strip_prefix("${env:")?.strip_suffix('}')
}

/// What a word of W&B's stands for.
fn expand(word: &str, program: Option<&str>, parameters: &[Parameter]) -> Vec<String> {
    let each = |dashes: &str| {
        let names = top_level(parameters);
        names
            .iter()
            .map(|name| format!("{dashes}{}={{{name}}}", plain(name)))
            .collect()
    };
    match word {
        "${env}" => vec!["/usr/bin/env".to_owned()],
        "${interpreter}" => vec!["python".to_owned()],
        "${program}" => vec![plain(program.unwrap_or_default())],
        "${args}" | "${args_no_boolean_flags}" => each("--"),
        "${args_no_hyphens}" => each(""),
        word => match word
            .strip_prefix("${envvar:")
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => vec![format!("${{env:{name}}}")],
            None => vec![plain(word)],
        },
    }
}

/// Why a word can't be carried over, and what helps.
fn unlike(
    word: &str,
    program: Option<&str>,
    parameters: &[Parameter],
) -> Option<(String, &'static str)> {
    let message = || format!("explr has nothing like `{}`", shorten(word));
    match word {
        "${args_json}" | "${args_json_file}" => Some((
            message(),
            "leave it out; the script finds the file's name in EXPLR_PARAMS_FILE",
        )),
        "${args_no_boolean_flags}" if parameters.iter().any(|one| is_boolean(&one.domain)) => {
            Some((
                message(),
                "write `${args}`, and let the script read `--name=true`",
            ))
        }
        "${program}" if program.is_none() => Some((
            "`${program}` stands for the program, and the sweep names none".to_owned(),
            "add `program: train.py`",
        )),
        word if word.contains("${envvar:") && !is_variable(word) => {
            Some((message(), "let `${envvar:NAME}` be the whole of the word"))
        }
        _ => None,
    }
}

fn is_variable(word: &str) -> bool {
    word.starts_with("${envvar:") && word.find('}') == Some(word.len() - 1)
}

/// Nested parameters are one argument, with a map.
fn top_level(parameters: &[Parameter]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for parameter in parameters {
        let name = parameter.name.split('.').next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn is_boolean(domain: &Domain) -> bool {
    match domain {
        Domain::Fixed(value) => value.is_boolean(),
        Domain::Search(Distribution::Categorical(choices)) => {
            choices.values().iter().any(Value::is_boolean)
        }
        Domain::Search(_) => false,
    }
}

/// A word with nothing in it to be replaced.
fn plain(word: &str) -> String {
    interpolate::literal(&template::literal(word))
}
