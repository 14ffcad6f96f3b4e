use super::template::{OF_THE_RUN, TemplateError, expand, literal};
use super::variables;
use crate::config::names::names_below;
use crate::config::node::{Content, Node};
use crate::config::problem::Problem;
use crate::config::remedy::shorten;
use crate::config::source::{Sources, Span};
use crate::config::suggest::{alternatives, did_you_mean, list};
use crate::config::{Train, interpolate};
use explr_study::SearchSpace;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The rules of `train.command` and `train.metrics`.
pub(crate) struct CommandRules<'a> {
    pub(crate) tree: &'a Node,
    /// None if it is wrong itself.
    pub(crate) space: Option<&'a SearchSpace>,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) sources: &'a Sources,
    pub(crate) problems: &'a mut Vec<Problem>,
}

impl CommandRules<'_> {
    pub(crate) fn check(mut self) {
        let given = |key| {
            let entry = self.tree.at(&["train", key]);
            entry.filter(|entry| !matches!(entry.value.value, Content::Null))
        };
        let metrics = given("metrics");
        let Some(command) = given("command") else {
            if let Some(metrics) = metrics {
                self.push(
                    metrics.key_span,
                    "`train.metrics` is for a command, and there is none",
                    "add `command: [python, train.py]`, or remove `metrics`",
                );
            }
            return;
        };
        for key in ["plugin", "function", "objective"] {
            if let Some(other) = given(key)
                // A configuration that explr wrote has all defaults in it.
                && other.value.text() != Some(&Train::default().function)
            {
                self.push(
                    other.key_span,
                    format!("`train.{key}` and `train.command` exclude each other"),
                    "remove one of them",
                );
            }
        }
        let Content::List(words) = &command.value.value else {
            return;
        };
        match words.first().map(|program| (program.text(), program.span)) {
            None => self.push(
                command.value.span,
                "`train.command` is empty",
                "name a program and its arguments, as in `command: [python, train.py]`",
            ),
            Some((Some(program), span)) if program.trim().is_empty() => self.push(
                span,
                "the program of `train.command` is empty",
                "name it first, as in `command: [python, train.py]`",
            ),
            _ => {}
        }
        let names = self.names();
        for word in words {
            self.template(word, names.as_ref());
        }
        self.variables();
        if let Some(metrics) = metrics {
            self.metrics(&metrics.value, names.as_ref());
        }
    }

    fn push(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    /// What a `{name}` may be; none when nobody can tell.
    fn names(&self) -> Option<BTreeSet<String>> {
        let space = self.space?;
        let mut names: BTreeSet<String> = OF_THE_RUN.map(str::to_owned).into();
        names.extend(self.hyperparameters().into_iter().map(|(name, _)| name));
        for parameter in space.parameters() {
            let name = &parameter.name;
            names.extend(name.match_indices('.').map(|(at, _)| name[..at].to_owned()));
            names.insert(name.clone());
        }
        if let Some(matrix) = self.tree.at(&["sweep", "matrix"]) {
            names.extend(matrix.value.entries().iter().map(|entry| {
                let key = entry.key.as_str();
                key.strip_prefix("hyperparameters.")
                    .unwrap_or(key)
                    .to_owned()
            }));
        }
        Some(names)
    }

    fn hyperparameters(&self) -> Vec<(String, Span)> {
        let mut found = Vec::new();
        if let Some(entry) = self.tree.entry("hyperparameters") {
            names_below(&entry.value, "", &mut found);
        }
        found
    }

    /// A text whose `{name}`s all runs can fill in.
    fn template(&mut self, node: &Node, names: Option<&BTreeSet<String>>) {
        let Some(text) = node.text() else {
            return;
        };
        if text.contains('\0') {
            return self.push(
                node.span,
                "a word of `train.command` contains a NUL byte",
                "no argument of a program can hold one",
            );
        }
        let lookup = |name: &str| self.env.get(name).map(|value| literal(value));
        let Ok(text) = interpolate::text_with(text, &lookup) else {
            return;
        };
        let mut unknown = Vec::new();
        let expanded = expand(&text, |name| {
            if names.is_some_and(|names| !names.contains(name)) {
                unknown.push(name.to_owned());
            }
            Some(String::new())
        });
        if let Err(TemplateError::Brace(brace)) = expanded {
            let span = self.part(node.span, &brace.to_string());
            self.push(
                span,
                format!("`{brace}` stands alone"),
                format!("write `{{name}}` for a value, or `{brace}{brace}` for the brace itself"),
            );
        }
        for name in unknown {
            let known = names.into_iter().flatten().map(String::as_str);
            let help = did_you_mean(&name, known).unwrap_or_else(|| {
                "add it to `hyperparameters` or `search_space`; a brace itself is written twice, \
                 as `{{`"
                    .to_owned()
            });
            let span = self.part(node.span, &format!("{{{name}}}"));
            let shown = shorten(&name);
            self.push(span, format!("there is no hyperparameter `{shown}`"), help);
        }
    }

    fn part(&self, span: Span, text: &str) -> Span {
        let at = self.sources.slice(span).find(text);
        at.map_or(span, |at| span.part(at, text.len()))
    }

    /// Two hyperparameters can't share an environment variable.
    fn variables(&mut self) {
        let mut parameters = self.hyperparameters();
        let place = self.tree.entry("search_space").map(|entry| entry.key_span);
        if let (Some(space), Some(place)) = (self.space, place) {
            let searched = space.parameters().iter();
            parameters.extend(searched.map(|found| (found.name.clone(), place)));
        }
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (parameter, span) in parameters {
            let variable = variables::name(&parameter);
            match seen.get(&variable) {
                Some(other) if *other != parameter => {
                    let message = format!(
                        "`{}` and `{}` would be the same environment variable, `{}`",
                        shorten(other),
                        shorten(&parameter),
                        shorten(&variable)
                    );
                    self.push(span, message, "rename one of them");
                }
                _ => {
                    seen.insert(variable, parameter);
                }
            }
        }
    }

    fn metrics(&mut self, metrics: &Node, names: Option<&BTreeSet<String>>) {
        let pattern = metrics.entry("pattern");
        let file = metrics.entry("file");
        let format = metrics.entry("format");
        let wandb = metrics
            .entry("wandb")
            .filter(|entry| !matches!(entry.value.value, Content::Bool(false)));
        let places = [("pattern", pattern), ("file", file), ("wandb", wandb)];
        let places: Vec<_> = places
            .into_iter()
            .filter_map(|(key, entry)| Some((key, entry?)))
            .collect();
        match &*places {
            [] => self.push(
                metrics.span.part(0, 1),
                "`train.metrics` names no place of metrics",
                "add a `pattern` for what the command prints, or a `file` with its `format`",
            ),
            [_] => {}
            [(one, entry), (other, _), ..] => self.push(
                entry.key_span,
                format!("`train.metrics.{one}` and `train.metrics.{other}` exclude each other"),
                "remove one of them",
            ),
        }
        match (file, format) {
            (Some(file), None) => self.push(
                file.key_span,
                "`train.metrics.file` needs a `format`",
                format!(
                    "it can be {}",
                    alternatives(["csv", "jsonl", "tensorboard"])
                ),
            ),
            (None, Some(format)) => self.push(
                format.key_span,
                "`train.metrics.format` is for a `file`, and there is none",
                "remove it, or name the file",
            ),
            _ => {}
        }
        if let Some(file) = file {
            self.template(&file.value, names);
        }
        if let Some((text, span)) =
            pattern.and_then(|pattern| Some((pattern.value.text()?, pattern.value.span)))
        {
            self.pattern(text, span, metrics);
        }
    }

    fn pattern(&mut self, text: &str, span: Span, metrics: &Node) {
        let pattern = match Regex::new(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                return self.push(
                    span,
                    format!("`train.metrics.pattern` is no regular expression: {why}"),
                    "the syntax is that of https://docs.rs/regex",
                );
            }
        };
        let groups = pattern.capture_names().flatten();
        let groups: Vec<&str> = groups.filter(|name| *name != "step").collect();
        if groups.is_empty() {
            return self.push(
                span,
                "`train.metrics.pattern` names no metric",
                r"name a group after each, as in `loss=(?P<loss>[0-9.eE+-]+)`",
            );
        }
        if let Some(report) = metrics.entry("report").map(|entry| &entry.value)
            && let Some(name) = report.text()
            && !groups.contains(&name)
        {
            let help = did_you_mean(name, groups.iter().copied())
                .unwrap_or_else(|| format!("its groups are {}", list(groups.iter().copied())));
            let name = shorten(name);
            let message = format!("`train.metrics.pattern` has no group `{name}`");
            self.push(report.span, message, help);
        }
    }
}
