use super::node::{Content, Entry, Node};
use super::problem::Problem;
use super::remedy::{example, remedy, shorten};
use super::render;
use super::source::{Sources, Span};
use super::suggest::{alternatives, did_you_mean, list, nearest};
use super::vocabulary::{Vocabulary, branches, reference, resolve};
use super::{DeviceChoice, Seconds};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write;

type Leaf = (&'static str, fn(&Value) -> bool, &'static str);

/// Types whose values are checked by reading them, because a JSON Schema can't
/// say all of it: their name in the schema, the check, and what they want.
const LEAVES: [Leaf; 2] = [
    (
        "Device",
        reads_as::<DeviceChoice>,
        "`auto`, `cpu`, `cuda` or `cuda:N`",
    ),
    (
        "Seconds",
        reads_as::<Seconds>,
        "a length of time such as `90s`, `10m`, `2h` or `1d`",
    ),
];

fn reads_as<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

/// Compares a tree with the JSON Schema of [`Config`](super::Config).
///
/// It knows the part of JSON Schema that schemars makes of our types, no more.
pub(super) struct Checker<'a> {
    pub(super) root: &'a Value,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) sources: &'a Sources,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> Checker<'a> {
    /// Checks the whole tree. Empty optional keys are dropped, and numbers are
    /// turned into text where text is wanted, as in `OMP_NUM_THREADS: 1`.
    pub(super) fn check(&mut self, tree: &mut Node) {
        let span = tree.span;
        if let Content::Map(entries) = &mut tree.value {
            self.object(self.root, entries, "", span);
        } else {
            let found = self.describe(tree);
            self.problems.push(
                Problem::new(
                    self.first_line(span),
                    format!("a configuration is a map of `key: value` lines, not {found}"),
                )
                .help(match tree.value {
                    Content::List(_) => "remove the `- ` before the keys",
                    _ => "a colon is followed by a space, as in `seed: 7`",
                }),
            );
        }
    }

    fn node(&mut self, schema: &'a Value, node: &mut Node, path: &str, key: Span) {
        if let Some((_, fits, wanted)) =
            reference(schema).and_then(|name| LEAVES.iter().find(|(leaf, ..)| *leaf == name))
        {
            if !fits(&node.to_json()) {
                self.mismatch(wanted, node, path, key);
            }
            return;
        }
        // What may stand there is read with its places, by a reader of its own.
        if reference(schema) == Some("SearchSpace") {
            return match node.value {
                Content::Map(_) => self.free(node, &mut path.to_owned()),
                _ => self.mismatch("a map", node, path, key),
            };
        }
        if *schema == Value::Bool(true) {
            return self.free(node, &mut path.to_owned());
        }
        let schema = resolve(self.root, schema);
        if is_tagged(schema) {
            return self.tagged(schema, node, path, key);
        }
        let words = words_of(self.root, schema);
        if !branches(schema).is_empty() {
            return self.alternatives(schema, &words, node, path, key);
        }
        if !words.is_empty() {
            if !self.is_word(schema, node) {
                self.not_a_word(&words, node, path);
            }
            return;
        }
        if !self.accepts(schema, node) {
            if accepts_type(schema, "string") && self.become_text(node) {
                return;
            }
            return self.mismatch(&self.wanted(schema), node, path, key);
        }
        match &mut node.value {
            Content::Map(entries) => self.object(schema, entries, path, key),
            Content::List(items) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter_mut().enumerate() {
                        let span = item.span;
                        self.node(inner, item, &format!("{path}[{index}]"), span);
                    }
                }
            }
            Content::Number(_) => self.range(schema, node, path),
            _ => {}
        }
    }

    /// A schema with `anyOf` or `oneOf`: the branch for this kind of value.
    fn alternatives(
        &mut self,
        schema: &'a Value,
        words: &[&str],
        node: &mut Node,
        path: &str,
        key: Span,
    ) {
        let others: Vec<&Value> = branches(schema)
            .iter()
            .filter(|branch| {
                let branch = resolve(self.root, branch);
                is_tagged(branch) || words_of(self.root, branch).is_empty()
            })
            .filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null"))
            .collect();
        let fitting = others.iter().find(|branch| self.accepts(branch, node));
        match (fitting, others.first()) {
            (Some(branch), _) => self.node(branch, node, path, key),
            (None, _)
                if branches(schema)
                    .iter()
                    .any(|branch| self.is_word(branch, node)) => {}
            (None, None) => self.not_a_word(words, node, path),
            (None, Some(only)) if words.is_empty() && others.len() == 1 => {
                self.node(only, node, path, key);
            }
            (None, Some(_)) => {
                let mut wanted: Vec<String> =
                    words.iter().map(|word| format!("`{word}`")).collect();
                let kinds = others.iter().map(|other| match &*self.wanted(other) {
                    "" | "a map" => "a map of settings".to_owned(),
                    kind => kind.to_owned(),
                });
                let kinds = kinds.collect::<Vec<_>>().join(" or ");
                let wanted = if wanted.is_empty() {
                    kinds
                } else {
                    let last = wanted.pop().unwrap_or_default();
                    wanted.push(format!("{last} or {kinds}"));
                    wanted.join(", ")
                };
                let help = node
                    .text()
                    .and_then(|text| did_you_mean(text, words.iter().copied()));
                self.mismatch(&wanted, node, path, key);
                if let Some(problem) = self.problems.last_mut()
                    && help.is_some()
                {
                    problem.help = help;
                }
            }
        }
    }

    /// A map whose `name` says which options it has, or the name alone.
    fn tagged(&mut self, schema: &'a Value, node: &mut Node, path: &str, key: Span) {
        let words = |branch| words_of(self.root, name_of(branch));
        let names: Vec<&str> = branches(schema).iter().flat_map(words).collect();
        let span = node.span;
        let Content::Map(entries) = &mut node.value else {
            return self.mismatch("a map of settings", node, path, key);
        };
        let Some(name) = entries.iter().find(|entry| entry.key == "name") else {
            let message = format!("the key `{path}.name` is missing");
            let help = format!("it can be {}", alternatives(names));
            let place = self.first_line(span);
            return self.problems.push(Problem::new(place, message).help(help));
        };
        let chosen = name.value.text().and_then(|text| {
            branches(schema)
                .iter()
                .find(|branch| words_of(self.root, name_of(branch)).contains(&text))
        });
        if let Some(branch) = chosen {
            self.object(branch, entries, path, span);
        } else {
            let name = name.value.clone();
            self.not_a_word(&names, &name, &format!("{path}.name"));
        }
    }

    fn object(&mut self, schema: &'a Value, entries: &mut Vec<Entry>, path: &str, place: Span) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for key in &required {
            // A misspelled key is one mistake, not two.
            let is_misspelled = entries
                .iter()
                .filter(|entry| !properties.is_some_and(|known| known.contains_key(&entry.key)))
                .take(1000)
                .any(|entry| nearest(&entry.key, [*key]).is_some());
            if !is_misspelled && !entries.iter().any(|entry| entry.key == *key) {
                let full = join(path, key);
                self.problems.push(
                    Problem::new(
                        self.first_line(place),
                        format!("the key `{full}` is missing"),
                    )
                    .maybe_help(example(&full)),
                );
            }
        }
        entries.retain(|entry| {
            let is_known = properties.is_some_and(|known| known.contains_key(&entry.key));
            let is_empty = matches!(entry.value.value, Content::Null);
            !(is_known && is_empty && !required.contains(&entry.key.as_str()))
        });
        for entry in entries {
            let full = join(path, &entry.key);
            match properties.and_then(|properties| properties.get(&entry.key)) {
                Some(inner) => self.node(inner, &mut entry.value, &full, entry.key_span),
                None => match schema.get("additionalProperties") {
                    Some(Value::Bool(false)) => {
                        let siblings = properties.into_iter().flat_map(|known| known.keys());
                        let siblings: Vec<&str> = siblings.map(String::as_str).collect();
                        self.unknown(&entry.key, entry.key_span, path, &siblings);
                    }
                    Some(inner @ Value::Object(_)) => {
                        self.node(inner, &mut entry.value, &full, entry.key_span);
                    }
                    _ => self.free(&entry.value, &mut full.clone()),
                },
            }
        }
    }

    /// Any JSON value is allowed here, but nothing that JSON can't hold.
    /// `path` is the node's, and is so again on return.
    fn free(&mut self, node: &Node, path: &mut String) {
        let length = path.len();
        match &node.value {
            Content::Unrepresentable => {
                let text = shorten(self.sources.slice(node.span));
                let path = shorten(path);
                let message = format!("`{path}` is `{text}`, which is no finite number of 64 bits");
                self.problems.push(
                    Problem::new(node.span, message)
                        .help("leave the key out, or put the value in quotes to pass it as text"),
                );
            }
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let _ = write!(path, "[{index}]");
                    self.free(item, path);
                    path.truncate(length);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    path.push('.');
                    path.push_str(&entry.key);
                    self.free(&entry.value, path);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, key: &str, span: Span, path: &str, siblings: &[&str]) {
        let shown = shorten(key);
        let message = if path.is_empty() {
            format!("unknown key `{shown}`")
        } else {
            format!("unknown key `{shown}` in `{path}`")
        };
        let problem = Problem::new(span, message);
        // Help costs time, and nobody will see this one.
        if self.problems.len() > render::SHOWN {
            return self.problems.push(problem);
        }
        let help = did_you_mean(key, siblings.iter().copied())
            .or_else(|| {
                if self.vocabulary.is_top_level(key) {
                    return Some(format!(
                        "`{key}` belongs at the top level, without indentation"
                    ));
                }
                let (section, _) = self.vocabulary.elsewhere(key)?.split_once('.')?;
                let is_here = path.split('.').next() == Some(section);
                (!is_here).then(|| format!("`{key}` belongs under `{section}:`"))
            })
            .unwrap_or_else(|| {
                let own = if path.is_empty() {
                    "a hyperparameter goes under `hyperparameters:`; "
                } else {
                    ""
                };
                format!("{own}the keys here are {}", list(siblings.iter().copied()))
            });
        let message = if path.is_empty() {
            format!("unknown key `{key}`")
        } else {
            format!("unknown key `{key}` in `{path}`")
        };
        self.problems.push(Problem::new(span, message).help(help));
    }

    fn range(&mut self, schema: &Value, node: &Node, path: &str) {
        let Content::Number(number) = &node.value else {
            return;
        };
        let value = number.as_f64().unwrap_or(f64::NAN);
        let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
        let format_max = match schema.get("format").and_then(Value::as_str) {
            Some("uint32") => Some(f64::from(u32::MAX)),
            Some("uint16") => Some(f64::from(u16::MAX)),
            _ => None,
        };
        let max = limit("maximum").or(format_max);
        let bound = match (limit("minimum"), limit("exclusiveMinimum"), max) {
            (Some(min), ..) if value < min => format!("at least {min}"),
            (_, Some(min), _) if value <= min => format!("more than {min}"),
            (.., Some(max)) if value > max => format!("at most {max}"),
            _ => return,
        };
        self.problems.push(Problem::new(
            node.span,
            format!("`{path}` must be {bound}, not {number}"),
        ));
    }

    fn mismatch(&mut self, wanted: &str, node: &Node, path: &str, key: Span) {
        let found = self.describe(node);
        let span = match node.value {
            Content::Null => key,
            _ => self.first_line(node.span),
        };
        let message = match node.value {
            Content::Null => format!("`{path}` has no value: it must be {wanted}"),
            _ => format!("`{path}` must be {wanted}, not {found}"),
        };
        self.problems
            .push(Problem::new(span, message).maybe_help(remedy(wanted, node, path)));
    }

    fn not_a_word(&mut self, words: &[&str], node: &Node, path: &str) {
        let found = self.describe(node);
        let help = node
            .text()
            .and_then(|text| did_you_mean(text, words.iter().copied()))
            .unwrap_or_else(|| format!("it can be {}", alternatives(words.iter().copied())));
        self.problems.push(
            Problem::new(
                self.first_line(node.span),
                format!("`{path}` can't be {found}"),
            )
            .help(help),
        );
    }

    fn is_word(&self, schema: &Value, node: &Node) -> bool {
        let schema = resolve(self.root, schema);
        let value = node.to_json();
        schema.get("const") == Some(&value)
            || schema
                .get("enum")
                .and_then(Value::as_array)
                .is_some_and(|values| values.contains(&value))
            || branches(schema)
                .iter()
                .any(|branch| self.is_word(branch, node))
    }

    /// Whether the kind of value, though not yet the value itself, is right.
    fn accepts(&self, schema: &Value, node: &Node) -> bool {
        let schema = resolve(self.root, schema);
        if !branches(schema).is_empty() {
            return branches(schema)
                .iter()
                .any(|branch| self.accepts(branch, node));
        }
        if schema.get("type").is_none() {
            return true;
        }
        let is = |name| accepts_type(schema, name);
        match &node.value {
            Content::Null => is("null"),
            Content::Bool(_) => is("boolean"),
            Content::Number(number) => is("number") || is("integer") && !number.is_f64(),
            Content::Unrepresentable => false,
            Content::Text(_) => is("string"),
            Content::List(_) => is("array"),
            Content::Map(_) => is("object"),
        }
    }

    fn wanted(&self, schema: &Value) -> String {
        let schema = resolve(self.root, schema);
        let names = [
            ("string", "text"),
            ("integer", "a whole number"),
            ("number", "a number"),
            ("boolean", "`true` or `false`"),
            ("array", "a list"),
            ("object", "a map"),
        ];
        let words: Vec<&str> = names
            .iter()
            .filter(|(name, _)| accepts_type(schema, name))
            .map(|(_, words)| *words)
            .collect();
        words.join(" or ")
    }

    /// Numbers and booleans are taken as they are written where text is wanted.
    fn become_text(&self, node: &mut Node) -> bool {
        let is_scalar = matches!(
            node.value,
            Content::Bool(_) | Content::Number(_) | Content::Unrepresentable
        );
        if is_scalar {
            node.value = Content::Text(self.sources.slice(node.span).to_owned());
        }
        is_scalar
    }

    fn describe(&self, node: &Node) -> String {
        match &node.value {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Number(number) => format!("{number}"),
            Content::Unrepresentable => format!("`{}`", shorten(self.sources.slice(node.span))),
            Content::Text(text) => format!("the text `{}`", shorten(text)),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }

    /// The first line of a span, which is enough to find the place.
    fn first_line(&self, span: Span) -> Span {
        let text = self.sources.slice(span);
        let line = text.split('\n').next().unwrap_or_default();
        span.part(0, line.trim_end().len())
    }
}

/// The text values of an enumeration, through all alternatives.
fn words_of<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let own = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let single = schema.get("const").into_iter();
    let mut found: Vec<&str> = own.chain(single).filter_map(Value::as_str).collect();
    for branch in branches(schema) {
        found.extend(words_of(root, resolve(root, branch)));
    }
    found
}

/// Whether a schema is an enumeration whose `name` says which branch it is.
fn is_tagged(schema: &Value) -> bool {
    schema
        .get("oneOf")
        .and_then(Value::as_array)
        .is_some_and(|branches| branches.iter().all(|branch| !name_of(branch).is_null()))
}

fn name_of(branch: &Value) -> &Value {
    branch.pointer("/properties/name").unwrap_or(&Value::Null)
}

fn accepts_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(names)) => names.iter().any(|one| one == name),
        _ => false,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
