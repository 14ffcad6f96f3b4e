use super::distributions::{COUNTABLE, DISTRIBUTIONS, EVERY_KEY};
use super::ranges::Ranges;
use super::reader::Reader;
use crate::config::names::{bad_name, bad_parameter, names_below};
use crate::config::node::{Content, Entry, Node};
use crate::config::remedy::shorten;
use crate::config::source::Span;
use explr_study::{Categories, Distribution, DistributionError, Domain};
use serde_json::Value;
use std::collections::HashSet;

/// A parameter of the sweep, by its dotted name.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) key: Span,
    pub(super) domain: Domain,
}

/// Reads `parameters`. With `is_grid`, those that a grid can't have are refused.
pub(super) fn read(reader: &mut Reader, entry: &Entry, is_grid: bool) -> Vec<Parameter> {
    let mut found = Vec::new();
    Walk {
        reader,
        is_grid,
        found: &mut found,
    }
    .level(entry, "");
    check_names(reader, &found);
    found
}

/// A name is a parameter or a level of names, and not both.
fn check_names(reader: &mut Reader, found: &[Parameter]) {
    let mut known = HashSet::new();
    for parameter in found {
        let name = &parameter.name;
        reader.name("parameter", name, parameter.key, bad_parameter(name));
        if !known.insert(parameter.name.as_str()) {
            let message = format!(
                "the parameter `{}` is there twice",
                shorten(&parameter.name)
            );
            let help = "nested names and names with dots are the same; keep one of them";
            reader.error(parameter.key, message, help);
        }
    }
    for parameter in found {
        let mut parents = parameter
            .name
            .match_indices('.')
            .map(|(at, _)| &parameter.name[..at]);
        if let Some(parent) = parents.find(|parent| known.contains(parent)) {
            let name = shorten(&parameter.name);
            let message = format!("`{name}` lies within `{parent}`, which is a parameter itself");
            reader.error(parameter.key, message, "rename one of them");
        }
    }
}

struct Walk<'a> {
    reader: &'a mut Reader,
    is_grid: bool,
    found: &'a mut Vec<Parameter>,
}

impl Walk<'_> {
    fn level(&mut self, level: &Entry, name: &str) {
        let path = match name {
            "" => "parameters".to_owned(),
            name => format!("parameters.{}", shorten(name)),
        };
        if !self.reader.is_map(&path, level) {
            return;
        }
        for entry in level.value.entries() {
            let name = match name {
                "" => entry.key.clone(),
                name => format!("{name}.{}", entry.key),
            };
            self.parameter(entry, name);
        }
    }

    fn parameter(&mut self, entry: &Entry, name: String) {
        let path = format!("parameters.{}", shorten(&name));
        let node = &entry.value;
        match &node.value {
            Content::Map(entries) if !entries.is_empty() => {}
            Content::List(_) => {
                let help = "the values to choose from go below `values:`";
                let message = format!("`{path}` must be a map");
                return self.reader.error(node.span.part(0, 1), message, help);
            }
            Content::Map(_) | Content::Null => {
                let help = "give it a `value`, `values`, or `min` and `max`";
                return self.reader.wrong_kind(&path, entry, "a map", help);
            }
            _ => {
                let shown = shorten(self.reader.sources.slice(node.span));
                let help = format!("a value that stays the same is `{{value: {shown}}}`");
                return self
                    .reader
                    .error(node.span, format!("`{path}` must be a map"), help);
            }
        }
        if let Some(nested) = node.entry("parameters") {
            self.reader.only(
                node,
                &format!("`{path}`"),
                "a level of names",
                &["parameters"],
            );
            return self.level(nested, &name);
        }
        let Some((kind, keys)) = self.kind(&path, entry) else {
            return;
        };
        self.keys(&path, node, kind, keys);
        if self.is_grid && !COUNTABLE.contains(&kind) {
            let at = node.entry("distribution");
            let span = at.map_or(entry.key_span, |entry| entry.value.span);
            let message = format!("a grid can't try every value of `{path}`, which is `{kind}`");
            let help = "give it `values`, or `distribution: q_uniform` with `q`; or search with \
                        `method: random`";
            return self.reader.error(span, message, help);
        }
        if let Some(value) = node.entry("value") {
            self.names_within(&name, &value.value);
        }
        if let Some(domain) = self.domain(&path, entry, kind) {
            self.found.push(Parameter {
                name,
                key: entry.key_span,
                domain,
            });
        }
    }

    /// The keys of a value that is a map become names, too.
    fn names_within(&mut self, name: &str, value: &Node) {
        let mut found = Vec::new();
        names_below(value, name, &mut found);
        for (name, span) in found {
            self.reader
                .name("hyperparameter", &name, span, bad_name(&name));
        }
    }

    fn keys(&mut self, path: &str, node: &Node, kind: &str, keys: &[&str]) {
        let what = match node.entry("q") {
            // The most common slip: W&B has steps only by name.
            Some(_) if !keys.contains(&"q") => {
                format!("`q` goes with `distribution: q_uniform` and the like; `{kind}`")
            }
            _ => format!("`{kind}`"),
        };
        self.reader.only(node, &format!("`{path}`"), &what, keys);
    }

    /// The distribution, and which keys go with it.
    fn kind(
        &mut self,
        path: &str,
        entry: &Entry,
    ) -> Option<(&'static str, &'static [&'static str])> {
        let node = &entry.value;
        let name = if let Some(written) = node.entry("distribution") {
            let names = DISTRIBUTIONS.map(|(name, _)| name);
            let path = format!("{path}.distribution");
            self.reader.word(&path, written, &names)?
        } else if node.entry("value").is_some() {
            "constant"
        } else if node.entry("values").is_some() {
            "categorical"
        } else if let (Some(min), Some(max)) = (node.entry("min"), node.entry("max")) {
            if is_whole(&min.value) && is_whole(&max.value) {
                "int_uniform"
            } else {
                "uniform"
            }
        } else {
            let known = self.reader.problems.len();
            self.reader
                .only(node, &format!("`{path}`"), "a parameter", &EVERY_KEY);
            if self.reader.problems.len() == known {
                let message =
                    format!("`{path}` has neither `value` nor `values` nor `min` and `max`");
                let help = "add them, or the `distribution` that needs none of them";
                self.reader.error(entry.key_span, message, help);
            }
            return None;
        };
        DISTRIBUTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .copied()
    }

    fn domain(&mut self, path: &str, entry: &Entry, kind: &'static str) -> Option<Domain> {
        match kind {
            "constant" => self.constant(path, entry).map(Domain::Fixed),
            "categorical" | "categorical_w_probabilities" => self
                .categories(path, entry)
                .map(|choices| Domain::Search(Distribution::Categorical(choices))),
            _ => Ranges {
                reader: self.reader,
                path,
                entry,
                is_grid: self.is_grid,
            }
            .read(kind)
            .map(Domain::Search),
        }
    }

    fn constant(&mut self, path: &str, entry: &Entry) -> Option<Value> {
        let Some(value) = entry.value.entry("value") else {
            let message = format!("`{path}` has no `value`");
            self.reader
                .error(entry.key_span, message, "add it, as in `value: 64`");
            return None;
        };
        self.reader.value(&value.value)
    }

    fn categories(&mut self, path: &str, entry: &Entry) -> Option<Categories> {
        let Some(values) = entry.value.entry("values") else {
            let message = format!("`{path}` has no `values`");
            self.reader.error(
                entry.key_span,
                message,
                "add them, as in `values: [16, 32]`",
            );
            return None;
        };
        let Content::List(items) = &values.value.value else {
            let help = "as in `values: [16, 32]`; for a single one, write `value`";
            self.reader
                .wrong_kind(&format!("{path}.values"), values, "a list", help);
            return None;
        };
        if let Some(probabilities) = entry.value.entry("probabilities") {
            self.probabilities(path, probabilities, items.len());
        }
        let choices: Vec<Value> = items
            .iter()
            .map(|item| self.reader.value(item))
            .collect::<Option<_>>()?;
        match Categories::new(choices.clone()) {
            Ok(categories) => Some(categories),
            Err(DistributionError::SameChoice { choice }) => {
                let mut same = items.iter().zip(&choices);
                let span = same
                    .rfind(|(_, one)| **one == choice)
                    .map_or(values.key_span, |(item, _)| item.span);
                let message = format!("the value `{choice}` of `{path}` is there twice");
                let help = "keep one of them: explr draws all values alike";
                self.reader.error(span, message, help);
                None
            }
            Err(_) => {
                let message = format!("`{path}.values` is empty");
                let help = "as in `values: [16, 32]`";
                self.reader.error(values.value.span, message, help);
                None
            }
        }
    }

    /// Equal ones say nothing; others can't be had.
    fn probabilities(&mut self, path: &str, entry: &Entry, values: usize) {
        let is_equal = match &entry.value.value {
            Content::List(items) if items.len() == values => items
                .windows(2)
                .all(|pair| pair[0].to_json() == pair[1].to_json()),
            _ => false,
        };
        if is_equal {
            let text = format!("`{path}.probabilities` are all equal, as they always are in explr");
            self.reader.note(entry.key_span, text);
        } else {
            let message = format!("explr draws all values of `{path}` alike");
            let help = "leave `probabilities` out if that is good enough";
            self.reader.error(entry.key_span, message, help);
        }
    }
}

fn is_whole(node: &Node) -> bool {
    matches!(&node.value, Content::Number(number) if !number.is_f64())
}
