use super::problem::Problem;
use super::redact;
use super::source::{Origin, Sources, Span};
use std::fmt::Write;
use std::ops::Range;
use unicode_width::UnicodeWidthChar;

/// How [`ConfigError::render`](super::ConfigError::render) writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// More problems than this help nobody.
pub(super) const SHOWN: usize = 50;
/// Characters of the longest message.
const LONGEST: usize = 1000;
/// Bytes before and after the caret that are looked at, in lines without end.
const WINDOW: usize = 2000;
/// Columns of a source line that are shown.
const WIDTH: usize = 100;

const RED: &str = "\x1b[1;31m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

pub(super) fn all(problems: &[Problem], sources: &Sources, style: Style) -> String {
    let paint = |code, text: &str| match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => format!("{code}{text}{RESET}"),
    };
    let mut out = String::new();
    for problem in problems.iter().take(SHOWN) {
        let message = escape(&problem.message.chars().take(LONGEST).collect::<String>());
        let _ = writeln!(
            out,
            "{}{}",
            paint(RED, "error"),
            paint(BOLD, &format!(": {message}"))
        );
        let gutter = match problem.span {
            Some(span) => snippet(&mut out, span, sources, &paint),
            None => 0,
        };
        if let Some(help) = &problem.help {
            let mark = paint(BLUE, &format!("{:gutter$} =", ""));
            let _ = writeln!(out, "{mark} {} {}", paint(BOLD, "help:"), escape(help));
        }
        out.push('\n');
    }
    if problems.len() > SHOWN {
        let _ = writeln!(out, "... and {} more\n", problems.len() - SHOWN);
    }
    let count = match problems.len() {
        1 => "1 error in the configuration".to_owned(),
        count => format!("{count} errors in the configuration"),
    };
    out + &count
}

/// The place and the line with a caret. Returns the width of the gutter.
fn snippet(
    out: &mut String,
    span: Span,
    sources: &Sources,
    paint: &impl Fn(&'static str, &str) -> String,
) -> usize {
    let position = sources.position(span);
    let (place, label) = match sources.origin(span.source) {
        Origin::File(name) => (
            format!("{}:{}:{}", escape(name), position.line, position.column),
            position.line.to_string(),
        ),
        Origin::Environment(name) => (
            format!("environment variable {}", escape(name)),
            String::new(),
        ),
        Origin::Argument => ("command-line argument".to_owned(), String::new()),
    };
    let gutter = label.len();
    let _ = writeln!(out, "{:gutter$}{} {place}", "", paint(BLUE, "-->"));
    let (line, marked) = sources.line(span);
    let (line, marked) = window(line, marked);
    let line = redact::line(line);
    let (line, marked) = cut(&line, marked);
    let width = |text: &str| text.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
    let indent = width(&line[..marked.start]);
    let carets = "^".repeat(width(&line[marked]).max(1));
    let bar = paint(BLUE, &format!("{:gutter$} |", ""));
    let _ = writeln!(out, "{bar}");
    let _ = writeln!(
        out,
        "{}",
        format!("{} {line}", paint(BLUE, &format!("{label} |"))).trim_end()
    );
    let _ = writeln!(out, "{bar} {:indent$}{}", "", paint(RED, &carets));
    gutter
}

/// What is near the marked range, so that fifty mistakes in a line of a
/// megabyte cost no more than others.
fn window(line: &str, marked: Range<usize>) -> (&str, Range<usize>) {
    let boundary = |mut at: usize| {
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let from = boundary(marked.start.saturating_sub(WINDOW));
    let to = boundary((marked.start + WINDOW).min(line.len()));
    (
        &line[from..to],
        marked.start - from..marked.end.min(to) - from,
    )
}

/// The part of a line around the marked range, and where that range is in it.
/// Control characters are shown as one harmless character each.
fn cut(line: &str, marked: Range<usize>) -> (String, Range<usize>) {
    let floor = |mut at: usize| {
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(marked.start);
    let end = floor(marked.end).max(start);
    let clean = |text: &str| -> String {
        text.chars()
            .map(|c| match c {
                '\t' => ' ',
                c if is_dangerous(c) => '\u{fffd}',
                c => c,
            })
            .collect()
    };
    let length = line.chars().count();
    if length <= WIDTH {
        let (before, inside) = (clean(&line[..start]), clean(&line[start..end]));
        let range = before.len()..before.len() + inside.len();
        return (before + &inside + &clean(&line[end..]), range);
    }
    let mut before: Vec<char> = clean(&line[..start])
        .chars()
        .rev()
        .take(WIDTH / 3)
        .collect();
    before.reverse();
    let room = WIDTH - before.len();
    let inside: String = clean(&line[start..end]).chars().take(room).collect();
    let rest = room - inside.chars().count();
    let after: String = clean(&line[end..]).chars().take(rest).collect();
    let left = if line[..start].chars().count() > before.len() {
        "..."
    } else {
        ""
    };
    let shown = before.len() + inside.chars().count() + after.chars().count();
    let hidden = length - line[..start].chars().count().saturating_sub(before.len());
    let right = if hidden > shown { "..." } else { "" };
    let before = left.to_owned() + &before.into_iter().collect::<String>();
    let range = before.len()..before.len() + inside.len();
    (before + &inside + &after + right, range)
}

/// Text that can't move the cursor or change colours of a terminal.
fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = is_dangerous(c) || c == '\t' || c == '\n';
            let debug = escaped.then(|| c.escape_default());
            debug.into_iter().flatten().chain((!escaped).then_some(c))
        })
        .collect()
}

/// Control characters, and those that change the direction of writing.
fn is_dangerous(c: char) -> bool {
    c.is_control() && c != '\t' && c != '\n'
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
