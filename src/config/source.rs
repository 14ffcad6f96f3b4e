use std::path::Path;

/// A stretch of bytes of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The part of the span that begins `from` bytes after its start.
    pub(crate) fn part(self, from: usize, length: usize) -> Self {
        let start = (self.start + from).min(self.end);
        Self {
            start,
            end: (start + length).min(self.end),
            ..self
        }
    }
}

/// Where a text came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, by the name that the user gave.
    File(String),
    /// An environment variable; the text is `NAME=value`.
    Environment(String),
    /// A `key=value` argument; the text is the whole of it.
    Argument,
}

#[derive(Debug)]
struct Source {
    origin: Origin,
    text: String,
    /// Byte offsets at which the lines begin.
    lines: Vec<usize>,
}

/// The texts that a configuration is made of, in order of precedence.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

/// A position for people: counted from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Sources {
    pub(crate) fn add_file(&mut self, path: &Path, text: String) -> usize {
        self.add(Origin::File(path.display().to_string()), text)
    }

    pub(crate) fn add(&mut self, origin: Origin, text: String) -> usize {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        self.0.push(Source {
            origin,
            text,
            lines,
        });
        self.0.len() - 1
    }

    pub(crate) fn origin(&self, source: usize) -> &Origin {
        &self.0[source].origin
    }

    pub(crate) fn text(&self, source: usize) -> &str {
        &self.0[source].text
    }

    /// The whole of a source.
    pub(crate) fn whole(&self, source: usize) -> Span {
        Span {
            source,
            start: 0,
            end: self.text(source).len(),
        }
    }

    /// The text that a span covers.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text(span.source)
            .get(span.start..span.end)
            .unwrap_or_default()
    }

    /// The line in which a span begins, counted from one.
    pub(crate) fn line_number(&self, span: Span) -> usize {
        self.line_of(span).0 + 1
    }

    pub(crate) fn position(&self, span: Span) -> Position {
        let (index, start) = self.line_of(span);
        let text = self.text(span.source);
        let column = text
            .get(start..span.start)
            .map_or(0, |before| before.chars().count());
        Position {
            line: index + 1,
            column: column + 1,
        }
    }

    /// The line on which a span begins, without its end, and where in it the
    /// span lies. A span that goes on in later lines ends with this one.
    pub(crate) fn line(&self, span: Span) -> (&str, std::ops::Range<usize>) {
        let (_, start) = self.line_of(span);
        let text = self.text(span.source);
        let rest = &text[start..];
        let line = rest[..rest.find('\n').unwrap_or(rest.len())].trim_end();
        let from = (span.start - start).min(line.len());
        (
            line,
            from..(span.end.max(span.start) - start).clamp(from, line.len()),
        )
    }

    fn line_of(&self, span: Span) -> (usize, usize) {
        let lines = &self.0[span.source].lines;
        let index = lines.partition_point(|&start| start <= span.start) - 1;
        (index, lines[index])
    }
}
