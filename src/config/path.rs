use super::node::{Content, Entry, Node};
use super::problem::Problem;
use super::source::Span;

/// Longer paths are no configuration, and would make a tree of any depth.
const MAX_SEGMENTS: usize = 32;

/// A part of a dotted path, with where it is written.
pub(super) struct Segment {
    pub(super) key: String,
    pub(super) span: Span,
}

/// The parts of a text between separators.
pub(super) fn split(text: &str, separator: &str, span: Span) -> Result<Vec<Segment>, Problem> {
    let mut segments = Vec::new();
    let mut start = 0;
    for word in text.split(separator) {
        if word.trim().is_empty() {
            return Err(Problem::new(span, "a key is empty")
                .help("as in `seed=7`, `hyperparameters.lr=1e-4` or `EXPLR_MLFLOW__PORT=5001`"));
        }
        if segments.len() == MAX_SEGMENTS {
            return Err(Problem::new(
                span,
                format!("more than {MAX_SEGMENTS} levels of keys"),
            ));
        }
        segments.push(Segment {
            key: word.to_owned(),
            span: span.part(start, word.len()),
        });
        start += word.len() + separator.len();
    }
    Ok(segments)
}

/// Puts a value at a path, and makes maps on the way where there are none.
pub(super) fn insert(root: &mut Node, path: Vec<Segment>, value: Node) -> Result<(), Problem> {
    let mut node = root;
    let mut parents = String::new();
    let last = path.len().saturating_sub(1);
    for (depth, segment) in path.into_iter().enumerate() {
        // `mlflow: off` and an empty `tags:` give way to the map that is meant.
        let is_map = matches!(node.value, Content::Map(_));
        if !is_map && (matches!(node.value, Content::Null) || parents == "mlflow") {
            *node = Node {
                value: Content::Map(Vec::new()),
                span: segment.span,
            };
        }
        // So does `sampler: tpe` when one of its options is set.
        if matches!(parents.as_str(), "tune.sampler" | "tune.pruner")
            && let Content::Text(_) = node.value
        {
            let name = Entry {
                key: "name".to_owned(),
                key_span: node.span,
                value: node.clone(),
            };
            node.value = Content::Map(vec![name]);
        }
        if !parents.is_empty() {
            parents.push('.');
        }
        let key = segment.key.clone();
        node = match &mut node.value {
            Content::Map(entries) => entry(entries, segment, depth == last),
            Content::List(items) => item(items, &segment, parents.trim_end_matches('.'))?,
            _ => {
                let parents = parents.trim_end_matches('.');
                let message = format!("`{parents}` is not a map, so it has no `{key}`");
                return Err(Problem::new(segment.span, message));
            }
        };
        parents.push_str(&key);
    }
    *node = value;
    Ok(())
}

/// The value of a key, which is added if need be. A key that is overridden
/// itself is from now on where the override is.
fn entry(entries: &mut Vec<Entry>, segment: Segment, is_last: bool) -> &mut Node {
    let Segment { key, span } = segment;
    let at = entries
        .iter()
        .position(|entry| entry.key == key)
        .unwrap_or_else(|| {
            let value = Node {
                value: Content::Null,
                span,
            };
            entries.push(Entry {
                key,
                key_span: span,
                value,
            });
            entries.len() - 1
        });
    if is_last {
        entries[at].key_span = span;
    }
    &mut entries[at].value
}

fn item<'a>(
    items: &'a mut [Node],
    segment: &Segment,
    parents: &str,
) -> Result<&'a mut Node, Problem> {
    let Segment { key, span } = segment;
    let count = items.len();
    let index = key.parse::<usize>().ok();
    index.and_then(|index| items.get_mut(index)).ok_or_else(|| {
        let message = format!("`{parents}` is a list of {count}, and `{key}` is none of its items");
        Problem::new(*span, message).help("items are counted from 0")
    })
}
