use super::source::Span;
use serde_json::{Map, Number, Value};

/// A YAML value that knows where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Content,
    pub(crate) span: Span,
}

/// What a [`Node`] holds: JSON, and the numbers that JSON lacks.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    /// NaN or an infinity, or a number that no 64-bit type holds.
    Unrepresentable,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map and its value. The order is that of the text.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entry at a path of keys, as in `["worker", "timeout"]`.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Entry> {
        let (last, parents) = path.split_last()?;
        let parent = parents
            .iter()
            .try_fold(self, |node, key| Some(&node.entry(key)?.value))?;
        parent.entry(last)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value, all of it at one place.
    pub(crate) fn from_json(value: &Value, span: Span) -> Self {
        let value = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => Content::Number(number.clone()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => Content::List(
                items
                    .iter()
                    .map(|item| Self::from_json(item, span))
                    .collect(),
            ),
            Value::Object(map) => Content::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_span: span,
                        value: Self::from_json(value, span),
                    })
                    .collect(),
            ),
        };
        Self { value, span }
    }

    /// The same value as JSON; what JSON lacks becomes null.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            Content::Null | Content::Unrepresentable => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// Calls `visit` with every text in the tree.
    pub(crate) fn for_each_text(&self, visit: &mut impl FnMut(&str, Span)) {
        match &self.value {
            Content::Text(text) => visit(text, self.span),
            Content::List(items) => items.iter().for_each(|item| item.for_each_text(visit)),
            Content::Map(entries) => {
                for entry in entries {
                    entry.value.for_each_text(visit);
                }
            }
            _ => {}
        }
    }
}
