use super::super::node::{Content, Entry, Node};
use super::super::problem::Problem;
use super::super::scalar;
use super::super::source::{Sources, Span};
use super::super::suggest::nearest;
use super::super::yaml;

/// The forms of the command line: their word, the type, and `log`.
const FORMS: [(&str, &str, bool); 5] = [
    ("uniform", "float", false),
    ("loguniform", "float", true),
    ("int", "int", false),
    ("logint", "int", true),
    ("choice", "categorical", false),
];

/// A range such as `loguniform[1e-5:1e-1]`, as the map that a file would have.
/// None if the text has another form.
pub(in super::super) fn parse(
    sources: &Sources,
    part: Span,
    problems: &mut Vec<Problem>,
) -> Option<Result<Node, Problem>> {
    let text = sources.slice(part);
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let (word, _) = trimmed.split_once('[')?;
    let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if !is_word {
        return None;
    }
    let words = FORMS.iter().map(|(word, ..)| *word);
    let word_span = part.part(start, word.len());
    let Some((_, kind, log)) = FORMS.iter().find(|(known, ..)| *known == word) else {
        let near = nearest(word, words).filter(|_| trimmed.ends_with(']'))?;
        let problem = Problem::new(word_span, format!("`{word}[...]` is no range"));
        return Some(Err(problem.help(format!(
            "did you mean `{near}[...]`? If this is text, put it in quotes"
        ))));
    };
    let Some(inside) = trimmed[word.len() + 1..].strip_suffix(']') else {
        let open = part.part(start + word.len(), 1);
        return Some(Err(
            Problem::new(open, "this `[` is not closed").help(format!("as in `{}`", example(word)))
        ));
    };
    let key = |key: &str, value: Node| Entry {
        key: key.to_owned(),
        key_span: value.span,
        value,
    };
    let node = |value, span| Node { value, span };
    let mut entries = vec![key(
        "type",
        node(Content::Text((*kind).to_owned()), word_span),
    )];
    let from = start + word.len() + 1;
    if word == "choice" {
        let list = part.part(from - 1, inside.len() + 2);
        return Some(match yaml::parse(sources, list, problems) {
            Ok(Some(choices)) => {
                entries.push(key("choices", choices));
                Ok(node(Content::Map(entries), part))
            }
            Ok(None) => Err(Problem::new(list, "there are no choices")),
            Err(problem) => Err(problem),
        });
    }
    if *log {
        entries.push(key("log", node(Content::Bool(true), word_span)));
    }
    let pieces: Vec<&str> = inside.split(':').collect();
    if !(2..=3).contains(&pieces.len()) {
        let span = part.part(from, inside.len());
        let message = format!("`{word}[...]` takes a lowest and a highest value");
        return Some(Err(
            Problem::new(span, message).help(format!("as in `{}`", example(word)))
        ));
    }
    let mut at = from;
    for (name, piece) in ["low", "high", "step"].iter().zip(pieces) {
        let lead = piece.len() - piece.trim_start().len();
        let span = part.part(at + lead, piece.trim().len());
        let value = scalar::resolve(piece.trim());
        if !matches!(value, Content::Number(_)) {
            let message = format!("`{}` is no number", piece.trim());
            return Some(Err(
                Problem::new(span, message).help(format!("as in `{}`", example(word)))
            ));
        }
        entries.push(key(name, node(value, span)));
        at += piece.len() + 1;
    }
    Some(Ok(node(Content::Map(entries), part)))
}

fn example(word: &str) -> &'static str {
    match word {
        "uniform" => "uniform[0:1]` or, with a step, `uniform[0:1:0.1]",
        "loguniform" => "loguniform[1e-5:1e-1]",
        "int" => "int[1:8]` or, with a step, `int[2:8:2]",
        "logint" => "logint[1:1024]",
        _ => "choice[sgd,adam]",
    }
}
