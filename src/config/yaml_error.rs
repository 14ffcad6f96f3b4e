use super::problem::Problem;
use serde_saphyr::granit_parser::ErrorKind;
use std::ops::Range;

/// Turns a parser's error into words for someone who doesn't know YAML by
/// heart, with the most likely cause and the bytes to underline.
///
/// `bracket` is where the innermost `[` or `{` stands that is still open.
#[allow(clippy::too_many_lines)] // A table.
pub(super) fn explain(
    kind: &ErrorKind,
    text: &str,
    at: usize,
    bracket: Option<usize>,
) -> (Range<usize>, Problem) {
    use ErrorKind as E;
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    // What a bracket that was forgotten swallows makes no sense to anyone.
    if let Some(open) = bracket
        && text
            .get(open..at)
            .is_some_and(|inside| inside.contains('\n'))
    {
        let symbol = &text[open..=open];
        let problem = Problem::of_file(format!(
            "this `{symbol}` is not closed before the next key"
        ))
        .help(if symbol == "[" {
            "add the missing `]`"
        } else {
            "add the missing `}`"
        });
        return (open..open + 1, problem);
    }
    let end = match kind {
        E::SimpleKeyExpected => {
            at + text
                .get(at..)
                .and_then(|rest| rest.lines().next())
                .map_or(1, str::len)
        }
        _ => at + 1,
    };
    let start = match kind {
        E::TabInBlockIndentation | E::TabInIndentation | E::TabNotAllowed
            if line.ends_with('\t') =>
        {
            at - 1
        }
        _ => at,
    };
    let (message, help) = match kind {
        E::TabInBlockIndentation | E::TabInIndentation | E::TabNotAllowed | E::TabInPlainScalar => {
            (
                "a tab can't be used for indentation".to_owned(),
                Some("use spaces, two for each level"),
            )
        }
        E::UnclosedQuotedScalar => (
            "this quote is never closed".to_owned(),
            Some("close it with the same quote; inside '...' write '' for a quote"),
        ),
        E::UnclosedFlowCollection { open } => (
            format!("this `{open}` is never closed"),
            Some(match open {
                '[' => "add the missing `]`",
                _ => "add the missing `}`",
            }),
        ),
        E::UnexpectedEofFlowSequence => (
            "a `[` is never closed".to_owned(),
            Some("add the missing `]`"),
        ),
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping => (
            "a `{` is never closed".to_owned(),
            Some("add the missing `}`"),
        ),
        E::MismatchedFlowCollectionEnd { open, close } => {
            (format!("`{open}` is closed by `{close}`"), None)
        }
        E::ExpectedFlowSequenceSeparator => (
            "expected `,` or `]` here".to_owned(),
            Some("the items of a `[...]` list are separated by commas"),
        ),
        E::ExpectedFlowMappingSeparator => (
            "expected `,` or `}` here".to_owned(),
            Some("the entries of a `{...}` map are separated by commas"),
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => (
            "this line is no `key: value`".to_owned(),
            Some("a key is followed by a colon and a space"),
        ),
        E::MappingValueNotAllowed | E::InvalidColonPlacement if line.contains(": ") => (
            "there is a second `: ` in this line".to_owned(),
            Some("put text that contains `: ` in quotes"),
        ),
        E::UnknownAnchor => (
            "this alias has no anchor".to_owned(),
            Some("mark the value with `&name` before it; text that begins with `*` goes in quotes"),
        ),
        E::InvalidIndentation
        | E::ExpectedBlockMappingKey
        | E::MappingValueNotAllowed
        | E::InvalidColonPlacement
        | E::MappingKeyNotAllowed
        | E::ExpectedBlockSequenceEntry
        | E::BlockSequenceEntryNotAllowed => (
            "the indentation of this line doesn't fit the lines above".to_owned(),
            Some("keys of one map stand in the same column"),
        ),
        E::RecursionLimitExceeded => ("nested more than 32 levels deep".to_owned(), None),
        E::UnexpectedCharacter { character } => (
            format!("text can't begin with `{character}`"),
            Some("put it in quotes"),
        ),
        E::UnknownQuotedScalarEscape => (
            "`\\` begins an escape in \"...\", and this is none".to_owned(),
            Some("use '...' quotes, where `\\` is itself"),
        ),
        E::UndeclaredTagHandle | E::InvalidTagTerminator | E::MissingTagUri => (
            "this tag is not valid".to_owned(),
            Some("text that begins with `!` goes in quotes"),
        ),
        E::InvalidTrailingDoubleQuotedScalar | E::InvalidTrailingSingleQuotedScalar => (
            "there is text after the closing quote".to_owned(),
            Some("quote the whole value, or none of it"),
        ),
        other => (format!("this is not valid YAML: {other}"), None),
    };
    (
        start..end,
        Problem::of_file(message).maybe_help(help.map(str::to_owned)),
    )
}
