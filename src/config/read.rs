use super::problem::{ConfigError, Problem};
use super::rules::neighbour;
use super::source::{Sources, Span};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// Bytes of the largest file that is read.
const MAX_BYTES: usize = 1024 * 1024;

/// What is no text that a configuration could be in.
pub(crate) struct Refused {
    problem: Problem,
    /// As much of the text as there is, and the place in it.
    shown: Option<(String, Range<usize>)>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            shown: None,
        }
    }
}

impl Refused {
    pub(crate) fn into_error(self, path: &Path) -> ConfigError {
        let mut sources = Sources::default();
        let span = self.shown.map(|(text, range)| Span {
            source: sources.add_file(path, text),
            start: range.start,
            end: range.end,
        });
        ConfigError::new(
            vec![Problem {
                span,
                ..self.problem
            }],
            sources,
        )
    }
}

/// The text of a file.
pub(crate) fn file(path: &Path) -> Result<String, Refused> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Problem::of_file(format!("`{shown}` is a folder"))
            .help("name a YAML file in it")
            .into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    limit(bytes.len(), path)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => characters(text.to_owned()),
        Err(error) => Err(not_utf8(bytes, error.valid_up_to())),
    }
}

/// Text that did not come from a file, under the same limits.
pub(crate) fn text(text: &str, path: &Path) -> Result<String, Refused> {
    limit(text.len(), path)?;
    characters(text.to_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let is_yaml = |near: &Path| near.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let near = match error.kind() {
        io::ErrorKind::NotFound => neighbour(path, is_yaml),
        _ => None,
    };
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        _ => error.to_string(),
    };
    Problem::of_file(format!("can't read `{}`: {reason}", path.display())).maybe_help(
        near.map(|near| format!("did you mean `{}`?", path.with_file_name(near).display())),
    )
}

fn limit(bytes: usize, path: &Path) -> Result<(), Problem> {
    if bytes > MAX_BYTES {
        return Err(
            Problem::of_file(format!("`{}` is larger than 1 MiB", path.display()))
                .help("a configuration describes an experiment; keep data in files of its own"),
        );
    }
    Ok(())
}

fn not_utf8(bytes: &[u8], valid: usize) -> Refused {
    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let message = if is_utf16 {
        "this is UTF-16, not UTF-8".to_owned()
    } else {
        format!("the byte 0x{:02x} here is not UTF-8", bytes[valid])
    };
    let mut text = String::from_utf8_lossy(&bytes[..valid]).into_owned();
    text.push(char::REPLACEMENT_CHARACTER);
    let range = valid..text.len();
    Refused {
        problem: Problem::of_file(message).help("save the file as UTF-8 text"),
        shown: Some((text, range)),
    }
}

/// Refuses the characters that no text file has.
fn characters(text: String) -> Result<String, Refused> {
    let wrong = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}'));
    let Some((at, wrong)) = wrong else {
        return Ok(text);
    };
    let code = u32::from(wrong);
    Err(Refused {
        problem: Problem::of_file(format!(
            "the control character U+{code:04X} can't be in a configuration"
        ))
        .help("is this a text file? In \"...\" quotes, write `\\x1b` and the like"),
        shown: Some((text, at..at + wrong.len_utf8())),
    })
}
