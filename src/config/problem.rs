use super::render::{self, Style};
use super::source::{Sources, Span};
use std::fmt;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) span: Option<Span>,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: Some(span),
            help: None,
        }
    }

    /// A problem of a whole file, which has no line to show.
    pub(crate) fn of_file(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: None,
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether something near is known, so that this is a misspelling.
    pub(crate) fn is_a_slip(&self) -> bool {
        let help = self.help.as_deref().unwrap_or_default();
        help.starts_with("did you mean")
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// Everything that is wrong with a configuration, in the order of its text:
/// the file first, then the environment, then the arguments.
///
/// `Display` shows each problem with its place, the line and a caret, as in
/// rustc; [`ConfigError::render`] does the same with colours.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<Problem>,
    sources: Sources,
}

impl ConfigError {
    pub(crate) fn new(mut problems: Vec<Problem>, sources: Sources) -> Self {
        problems.sort_by_key(|problem| problem.span.map(|span| (span.source, span.start)));
        Self { problems, sources }
    }

    /// How many problems there are: at least one.
    #[allow(clippy::len_without_is_empty)] // It is never empty.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// The messages alone, without places and help, in order.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.message.as_str())
    }

    /// All problems as text for people.
    pub fn render(&self, style: Style) -> String {
        render::all(&self.problems, &self.sources, style)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for ConfigError {}
