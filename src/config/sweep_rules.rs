use super::check::Checker;
use super::node::{Content, Entry, Node};
use super::overrides::meaning;
use super::path;
use super::problem::Problem;
use super::remedy::shorten;
use super::rules::Rules;
use super::source::{Sources, Span};
use super::space;
use super::suggest::did_you_mean;
use super::vocabulary::Vocabulary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// More runs than this are a study, and what is checked for each value costs
/// time.
const MOST: usize = 1000;

/// The rules of a sweep: each value of its matrix must be right for its key.
pub(super) struct SweepRules<'a> {
    pub(super) tree: &'a Node,
    pub(super) dir: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) schema: &'a Value,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) sources: &'a Sources,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> SweepRules<'a> {
    pub(super) fn check(mut self) {
        let Some(sweep) = self.tree.entry("sweep") else {
            return;
        };
        let Content::Map(keys) = &sweep.value.value else {
            return;
        };
        let Some(matrix) = sweep.value.entry("matrix") else {
            if keys.iter().all(|entry| entry.key == "exclude") {
                let help = "as in `matrix: {seed: [1, 2, 3]}`";
                self.push(sweep.key_span, "`sweep` has no `matrix`", help);
            }
            return;
        };
        let entries = matrix.value.entries();
        let lists: Vec<(&Entry, &[Node])> = entries
            .iter()
            .filter_map(|entry| match &entry.value.value {
                Content::List(items) => Some((entry, items.as_slice())),
                _ => None,
            })
            .collect();
        let mut runs = 1_usize;
        for (entry, values) in &lists {
            runs = runs.saturating_mul(values.len().max(1));
            if runs > MOST {
                let message = format!("`sweep.matrix` makes more than {MOST} runs");
                let help = "use fewer values, or let `explr tune` search";
                return self.push(entry.key_span, message, help);
            }
        }
        for (entry, values) in &lists {
            self.key(entry, values);
        }
        if let Some(Content::List(excluded)) =
            sweep.value.entry("exclude").map(|entry| &entry.value.value)
        {
            for combination in excluded.iter().take(MOST) {
                self.excluded(combination, &lists);
            }
        }
    }

    fn push(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    fn key(&mut self, entry: &'a Entry, values: &[Node]) {
        let shown = shorten(&entry.key);
        if values.is_empty() {
            let message = format!("`sweep.matrix.{shown}` has no values");
            self.push(entry.value.span, message, "name some, or remove the key");
        }
        let mut seen: Vec<Value> = Vec::with_capacity(values.len());
        for value in values {
            let json = value.to_json();
            if seen.contains(&json) {
                let message = format!("the value {} is there twice", space::shown(&json));
                self.push(value.span, message, "keep one of them");
            }
            seen.push(json);
        }
        let segments = match meaning(self.tree, self.vocabulary, &entry.key, entry.key_span) {
            Ok(segments) => segments,
            Err(problem) => return self.problems.push(problem),
        };
        let section = segments[0].key.clone();
        if matches!(section.as_str(), "sweep" | "experiment" | "store") {
            let message = format!("`{shown}` can't differ between the runs of a sweep");
            let help = "the runs of a sweep are one experiment in one store";
            return self.push(entry.key_span, message, help);
        }
        // Any value is right for a hyperparameter, and was looked at already.
        if section == "hyperparameters" {
            return;
        }
        for value in values {
            self.value(&entry.key, entry.key_span, &section, value);
        }
    }

    /// Checks a value as if it stood at its key. Nothing but its own section
    /// is around it, so what it does to others shows when the runs are made.
    fn value(&mut self, key: &str, key_span: Span, section: &str, value: &Node) {
        let Ok(segments) = meaning(self.tree, self.vocabulary, key, key_span) else {
            return;
        };
        let own = |entry: &&Entry| entry.key == section && is_small(&entry.value);
        let mut tree = Node {
            value: Content::Map(self.tree.entries().iter().filter(own).cloned().collect()),
            span: self.tree.span,
        };
        if let Err(problem) = path::insert(&mut tree, segments, value.clone()) {
            return self.problems.push(problem);
        }
        let mut found = Vec::new();
        Checker {
            root: self.schema,
            vocabulary: self.vocabulary,
            sources: self.sources,
            problems: &mut found,
        }
        .check(&mut tree);
        Rules {
            tree: &tree,
            dir: self.dir,
            env: self.env,
            sources: self.sources,
            problems: &mut found,
        }
        .check();
        let is_here = |problem: &Problem| {
            problem.span.is_some_and(|span| {
                [key_span, value.span].iter().any(|own| {
                    span.source == own.source && own.start <= span.start && span.end <= own.end
                })
            })
        };
        // An unknown key is one mistake, however many values it has.
        let known: Vec<_> = self.problems.iter().map(|known| known.span).collect();
        found.retain(|problem| is_here(problem) && !known.contains(&problem.span));
        self.problems.extend(found);
    }

    fn excluded(&mut self, combination: &Node, lists: &[(&Entry, &[Node])]) {
        if combination.entries().is_empty() {
            let message = "this combination excludes nothing";
            self.push(combination.span, message, "as in `exclude: [{seed: 1}]`");
        }
        for entry in combination.entries() {
            let key = entry.key.as_str();
            let shown = shorten(key);
            let Some((_, values)) = lists.iter().find(|(known, _)| known.key == key) else {
                let known = lists.iter().map(|(known, _)| known.key.as_str());
                let help = did_you_mean(key, known)
                    .unwrap_or_else(|| "write the key as `matrix` does".to_owned());
                let message = format!("`{shown}` is no key of `sweep.matrix`");
                self.push(entry.key_span, message, help);
                continue;
            };
            let value = entry.value.to_json();
            if !values.iter().any(|one| one.to_json() == value) {
                let message = format!("`{shown}` is never {}", space::shown(&value));
                let help = "it excludes nothing; write a value of `matrix`";
                self.push(entry.value.span, message, help);
            }
        }
    }
}

/// Whether a section can be copied once for each value.
fn is_small(section: &Node) -> bool {
    fn count(node: &Node, left: &mut usize) -> bool {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        match &node.value {
            Content::List(items) => items.iter().all(|item| count(item, left)),
            Content::Map(entries) => entries.iter().all(|entry| count(&entry.value, left)),
            _ => true,
        }
    }
    count(section, &mut 500)
}
