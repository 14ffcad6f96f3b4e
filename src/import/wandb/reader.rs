use super::super::Note;
use crate::config::names::GOOD_NAMES;
use crate::config::node::{Content, Entry, Node};
use crate::config::problem::Problem;
use crate::config::remedy::{remedy, shorten};
use crate::config::source::{Sources, Span};
use crate::config::suggest::{alternatives, did_you_mean, list};
use serde_json::Value;

/// What older YAML takes for booleans, as W&B's reader does.
const OLD_BOOLEANS: [(&str, bool); 4] =
    [("yes", true), ("on", true), ("no", false), ("off", false)];

/// Reads typed values of a tree, and collects what is wrong or worth a note.
pub(super) struct Reader {
    pub(super) sources: Sources,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

impl Reader {
    pub(super) fn error(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    pub(super) fn note(&mut self, span: Span, text: impl Into<String>) {
        self.notes.push(Note {
            line: Some(self.sources.line_number(span)),
            text: text.into(),
        });
    }

    /// A note on the whole file.
    pub(super) fn remark(&mut self, text: &str) {
        self.notes.push(Note {
            line: None,
            text: text.to_owned(),
        });
    }

    /// Refuses other keys than these. `place` is where they stand, and `what`
    /// has them.
    pub(super) fn only(&mut self, node: &Node, place: &str, what: &str, allowed: &[&str]) {
        for entry in node.entries() {
            let key = entry.key.as_str();
            if !allowed.contains(&key) {
                let help = did_you_mean(key, allowed.iter().copied())
                    .unwrap_or_else(|| format!("{what} has {}", list(allowed.iter().copied())));
                let message = format!("unknown key `{}` in {place}", shorten(key));
                self.error(entry.key_span, message, help);
            }
        }
    }

    /// Refuses the name of such a thing if something is wrong with it.
    pub(super) fn name(&mut self, kind: &str, name: &str, span: Span, wrong: Option<String>) {
        if let Some(wrong) = wrong {
            let message = format!("`{}` can't be the name of a {kind}: {wrong}", shorten(name));
            self.error(span, message, GOOD_NAMES);
        }
    }

    /// Whether it is a map with something in it; says so if it is not.
    pub(super) fn is_map(&mut self, path: &str, entry: &Entry) -> bool {
        let is_map = matches!(&entry.value.value, Content::Map(entries) if !entries.is_empty());
        if !is_map {
            self.wrong_kind(path, entry, "a map", "write `key: value` lines below it");
        }
        is_map
    }

    pub(super) fn text<'a>(&mut self, path: &str, entry: &'a Entry) -> Option<&'a str> {
        let text = entry.value.text().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.wrong_kind(path, entry, "text", "put it in quotes");
        }
        text
    }

    pub(super) fn number(&mut self, path: &str, entry: &Entry) -> Option<f64> {
        if let Content::Number(number) = &entry.value.value {
            return number.as_f64();
        }
        self.wrong_kind(path, entry, "a number", "as in `0.1`");
        None
    }

    pub(super) fn whole(&mut self, path: &str, entry: &Entry) -> Option<i64> {
        let number = match &entry.value.value {
            Content::Number(number) => number.as_i64(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_kind(path, entry, "a whole number", "as in `3`");
        }
        number
    }

    /// A whole number from 1 on.
    pub(super) fn count(&mut self, path: &str, entry: &Entry) -> Option<u32> {
        let number = self.whole(path, entry)?;
        let count = u32::try_from(number).ok().filter(|count| *count > 0);
        if count.is_none() {
            let message = format!("`{path}` must be at least 1, and not {number}");
            let help = format!("the largest is {}", u32::MAX);
            self.error(entry.value.span, message, help);
        }
        count
    }

    /// One of these words.
    pub(super) fn word<'a>(
        &mut self,
        path: &str,
        entry: &Entry,
        words: &[&'a str],
    ) -> Option<&'a str> {
        let text = self.text(path, entry)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            let help = did_you_mean(text, words.iter().copied())
                .unwrap_or_else(|| format!("it can be {}", alternatives(words.iter().copied())));
            let message = format!("`{path}` can't be `{}`", shorten(text));
            self.error(entry.value.span, message, help);
        }
        word
    }

    /// A value as W&B reads it: an unquoted `yes` or `off` is a boolean.
    pub(super) fn value(&mut self, node: &Node) -> Option<Value> {
        match &node.value {
            Content::Unrepresentable => {
                let message = "this number can't be a value";
                let help = "NaN and infinities have no place in JSON; leave it out";
                self.error(node.span, message, help);
                None
            }
            Content::Text(text) => Some(match self.old_boolean(node, text) {
                Some(value) => {
                    let message = format!("W&B reads the unquoted `{text}` as `{value}`");
                    self.note(node.span, message);
                    value.into()
                }
                None => text.as_str().into(),
            }),
            Content::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Content::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| Some((entry.key.clone(), self.value(&entry.value)?)));
                let map: Option<serde_json::Map<_, _>> = entries.collect();
                map.map(Value::Object)
            }
            _ => Some(node.to_json()),
        }
    }

    fn old_boolean(&self, node: &Node, text: &str) -> Option<bool> {
        let is_plain = self.sources.slice(node.span) == text;
        let lower = text.to_lowercase();
        let known = OLD_BOOLEANS.iter().find(|(word, _)| *word == lower);
        known.filter(|_| is_plain).map(|(_, value)| *value)
    }

    pub(super) fn wrong_kind(&mut self, path: &str, entry: &Entry, wanted: &str, help: &str) {
        let span = match entry.value.value {
            Content::Null => entry.key_span,
            Content::Map(_) | Content::List(_) => entry.value.span.part(0, 1),
            _ => entry.value.span,
        };
        let message = match &entry.value.value {
            Content::Null => format!("`{path}` has no value"),
            Content::Map(entries) if entries.is_empty() => format!("`{path}` is empty"),
            _ => format!("`{path}` must be {wanted}"),
        };
        let help = remedy(wanted, &entry.value, path).unwrap_or_else(|| help.to_owned());
        self.error(span, message, help);
    }
}
