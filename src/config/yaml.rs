use super::node::{Content, Entry, Node};
use super::problem::Problem;
use super::remedy::shorten;
use super::scalar;
use super::source::{Sources, Span};
use super::yaml_error;
use serde_saphyr::granit_parser::{
    self, Event, Parser, ScalarStyle, StrInput, StructureStyle, Tag,
};
use std::collections::HashMap;

/// Limits that no configuration written by a person comes near, and that keep
/// a hostile one from costing time or memory.
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 20_000;
const MAX_ALIASES: usize = 100;

/// Reads one YAML document from a part of a source.
///
/// Duplicate keys go to `problems` and don't stop the reading; what leaves the
/// rest without meaning is returned. `None` is an empty document.
pub(crate) fn parse(
    sources: &Sources,
    part: Span,
    problems: &mut Vec<Problem>,
) -> Result<Option<Node>, Problem> {
    let text = sources.slice(part);
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    };
    options.set_emit_comments(false);
    Reader {
        sources,
        events: Parser::new_from_str_with_options(text, options),
        part,
        whole: text,
        nodes: 0,
        aliases: 0,
        copies: 0,
        anchors: HashMap::new(),
        open: Vec::new(),
        tag: None,
        problems,
    }
    .document()
}

struct Reader<'a> {
    sources: &'a Sources,
    events: Parser<'a, StrInput<'a>>,
    part: Span,
    whole: &'a str,
    nodes: usize,
    aliases: usize,
    copies: usize,
    anchors: HashMap<usize, Anchor>,
    /// The lists and maps that have not ended: where the `[` or `{` stands, for
    /// those that have one.
    open: Vec<Option<usize>>,
    /// Where the tag of the newest event stands, if it has one.
    tag: Option<Span>,
    problems: &'a mut Vec<Problem>,
}

enum Anchor {
    /// Its node is still being read.
    Open,
    Done {
        node: Node,
        nodes: usize,
        depth: usize,
    },
}

/// A node with the number of nodes in it and how deep it is.
struct Read {
    node: Node,
    nodes: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Option<Node>, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Problem::new(span, "there is a second YAML document").help(
                        "a configuration is one document: remove the `---` and what follows",
                    ));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let is_empty = matches!(
                        &event,
                        Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty()
                    );
                    let read = self.node(event, span, 1)?;
                    root = (!is_empty).then_some(read.node);
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                self.tag = span
                    .tag_span()
                    .map(|tag| self.span(tag.start.byte_offset(), tag.end.byte_offset()));
                let span = self.span(span.start.byte_offset(), span.end.byte_offset());
                match &event {
                    Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                        let at = span.start - self.part.start;
                        let is_bracket = self.whole[at..].starts_with(['[', '{']);
                        let is_flow = *style == StructureStyle::Flow;
                        self.open.push((is_flow && is_bracket).then_some(at));
                    }
                    Event::SequenceEnd | Event::MappingEnd => {
                        self.open.pop();
                    }
                    _ => {}
                }
                Ok((event, span))
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(0);
                let bracket = self.open.iter().rev().find_map(|bracket| *bracket);
                let (range, problem) = yaml_error::explain(error.kind(), self.whole, at, bracket);
                let span = self.span(Some(range.start), Some(range.end));
                Err(Problem {
                    span: Some(span),
                    ..problem
                })
            }
            None => Ok((Event::StreamEnd, self.span(None, None))),
        }
    }

    fn span(&self, start: Option<usize>, end: Option<usize>) -> Span {
        let start = (self.part.start + start.unwrap_or(0)).min(self.part.end);
        Span {
            source: self.part.source,
            start,
            end: (self.part.start + end.unwrap_or(0)).clamp(start, self.part.end),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, level: usize) -> Result<Read, Problem> {
        if level > MAX_DEPTH {
            return Err(Problem::new(
                span,
                format!("nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.count(1, span)?;
        let tag_span = self.tag.unwrap_or(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(&text, style, tag.as_deref(), tag_span)?;
                let read = Read {
                    node: Node { value, span },
                    nodes: 1,
                    depth: 1,
                };
                self.anchored(anchor, read, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq", tag_span)?;
                self.begin(anchor);
                let read = self.list(span, level)?;
                self.anchored(anchor, read, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map", tag_span)?;
                self.begin(anchor);
                let read = self.map(span, level)?;
                self.anchored(anchor, read, span)
            }
            Event::Alias(id) => self.alias(id, span, level),
            _ => Err(Problem::new(span, "a value is missing here")),
        }
    }

    fn list(&mut self, start: Span, level: usize) -> Result<Read, Problem> {
        let mut items = Vec::new();
        let (mut nodes, mut depth) = (1, 0);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Read {
                    node: Node {
                        value: Content::List(items),
                        span: Span {
                            end: span.end,
                            ..start
                        },
                    },
                    nodes,
                    depth: depth + 1,
                });
            }
            let read = self.node(event, span, level + 1)?;
            nodes += read.nodes;
            depth = depth.max(read.depth);
            items.push(read.node);
        }
    }

    fn map(&mut self, start: Span, level: usize) -> Result<Read, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut merged = Vec::new();
        let (mut nodes, mut depth) = (1, 0);
        loop {
            let (event, key_span) = self.next()?;
            let (key, style) = match event {
                Event::MappingEnd => {
                    break Self::finish_map(start, key_span, entries, merged, nodes, depth);
                }
                Event::Scalar(key, style, ..) => (key.into_owned(), style),
                _ => return Err(bad_key(key_span)),
            };
            let (event, span) = self.next()?;
            let read = self.node(event, span, level + 1)?;
            nodes += read.nodes + 1;
            depth = depth.max(read.depth);
            if key == "<<" && style == ScalarStyle::Plain {
                merged.push(read.node);
            } else if let Some(first) = seen.get(&key) {
                let line = self.sources.line_number(*first);
                self.problems.push(duplicate(&key, key_span, line));
            } else {
                seen.insert(key.clone(), key_span);
                entries.push(Entry {
                    key,
                    key_span,
                    value: read.node,
                });
            }
        }
    }

    /// Adds the entries of `<<`: those that the map has not itself.
    fn finish_map(
        start: Span,
        end: Span,
        mut entries: Vec<Entry>,
        merged: Vec<Node>,
        nodes: usize,
        depth: usize,
    ) -> Result<Read, Problem> {
        let mut maps = Vec::new();
        for node in merged {
            match node.value {
                Content::List(items) => maps.extend(items),
                _ => maps.push(node),
            }
        }
        let mut known: std::collections::HashSet<String> =
            entries.iter().map(|entry| entry.key.clone()).collect();
        for node in maps {
            let Content::Map(others) = node.value else {
                return Err(
                    Problem::new(node.span, "`<<` needs a map, or a list of maps")
                        .help("write `<<: *name`, where `&name` marks a map"),
                );
            };
            entries.extend(
                others
                    .into_iter()
                    .filter(|other| known.insert(other.key.clone())),
            );
        }
        Ok(Read {
            node: Node {
                value: Content::Map(entries),
                span: Span {
                    end: end.end.max(start.end),
                    ..start
                },
            },
            nodes,
            depth: depth + 1,
        })
    }

    fn begin(&mut self, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Open);
        }
    }

    fn anchored(&mut self, anchor: usize, read: Read, span: Span) -> Result<Read, Problem> {
        if anchor != 0 {
            // Nested anchors copy the same nodes again and again.
            self.copies += read.nodes;
            if self.copies > MAX_NODES {
                return Err(too_many_nodes(span));
            }
            let node = read.node.clone();
            let done = Anchor::Done {
                node,
                nodes: read.nodes,
                depth: read.depth,
            };
            self.anchors.insert(anchor, done);
        }
        Ok(read)
    }

    fn alias(&mut self, id: usize, span: Span, level: usize) -> Result<Read, Problem> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(Problem::new(
                span,
                format!("more than {MAX_ALIASES} aliases (`*name`)"),
            ));
        }
        match self.anchors.get(&id) {
            Some(Anchor::Done { node, nodes, depth }) => {
                let (nodes, depth) = (*nodes, *depth);
                if self.nodes + nodes > MAX_NODES {
                    return Err(too_many_nodes(span));
                }
                if level + depth - 1 > MAX_DEPTH {
                    return Err(Problem::new(
                        span,
                        format!("nested more than {MAX_DEPTH} levels deep"),
                    ));
                }
                self.nodes += nodes;
                Ok(Read {
                    node: node.clone(),
                    nodes,
                    depth,
                })
            }
            Some(Anchor::Open) => Err(Problem::new(
                span,
                "this alias is inside the value that it stands for",
            )),
            None => Err(Problem::new(span, "this alias has no anchor")
                .help("mark the value with `&name` before it is used as `*name`")),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(too_many_nodes(span));
        }
        Ok(())
    }
}

fn too_many_nodes(span: Span) -> Problem {
    Problem::new(
        span,
        format!("more than {MAX_NODES} values, aliases counted in full"),
    )
    .help("a configuration describes an experiment; keep data in files of its own")
}

fn bad_key(span: Span) -> Problem {
    Problem::new(span, "a list, a map or an alias can't be a key")
        .help("if this is text that begins with `{`, `[`, `*` or `&`, put it in quotes")
}

fn duplicate(key: &str, span: Span, first_line: usize) -> Problem {
    Problem::new(span, format!("the key `{}` is there twice", shorten(key))).help(format!(
        "it is already in line {first_line}; keep one of them"
    ))
}

fn scalar_value(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Content, Problem> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => scalar::resolve(text),
            _ => Content::Text(text.to_owned()),
        });
    };
    let value = scalar::resolve(text);
    match (tag.core_suffix(), value) {
        (Some("str"), _) => Ok(Content::Text(text.to_owned())),
        (Some("null"), Content::Null) => Ok(Content::Null),
        (Some("bool"), value @ Content::Bool(_)) => Ok(value),
        (Some("int" | "float"), value @ (Content::Number(_) | Content::Unrepresentable)) => {
            Ok(value)
        }
        (Some(name), _) => Err(Problem::new(
            span,
            format!("`{text}` doesn't fit its tag `!!{name}`"),
        )),
        (None, _) => Err(unknown_tag(tag, span)),
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str, span: Span) -> Result<(), Problem> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(expected) => Err(unknown_tag(tag, span)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: Span) -> Problem {
    Problem::new(
        span,
        format!("the tag `{}` is not supported here", tag.original()),
    )
    .help("remove the tag; text that begins with `!` goes in quotes")
}
