use super::node::{Content, Entry, Node};
use super::problem::Problem;
use super::source::{Origin, Sources, Span};
use super::suggest::{did_you_mean, nearest};
use super::vocabulary::Vocabulary;
use super::yaml;

/// Variables that are not configuration, but talk to another part of explr.
pub const RESERVED: [&str; 12] = [
    "EXPLR_BIN",
    "EXPLR_CONFIG",
    "EXPLR_CONTROL_FD",
    "EXPLR_DATA",
    "EXPLR_DATA_DIR",
    "EXPLR_GPU_MEMORY_GB",
    "EXPLR_LIBTORCH",
    "EXPLR_LOG",
    "EXPLR_PYTHON",
    "EXPLR_RUN_ID",
    "EXPLR_THREADS",
    "EXPLR_WORKER",
];

const PREFIX: &str = "EXPLR_";

/// A part of a dotted path, with where it is written.
struct Segment {
    key: String,
    span: Span,
}

/// Puts the values of `EXPLR_*` variables into the tree.
pub(super) fn environment<'a>(
    root: &mut Node,
    variables: impl Iterator<Item = (&'a str, &'a str)>,
    vocabulary: &Vocabulary,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        // An empty variable is how scripts and Compose files unset one.
        if RESERVED.contains(&name) || value.is_empty() {
            continue;
        }
        let text = format!("{name}={value}");
        let source = sources.add(Origin::Environment(name.to_owned()), text);
        let mut segments = Vec::new();
        let mut start = PREFIX.len();
        for word in rest.split("__") {
            let span = Span {
                source,
                start,
                end: start + word.len(),
            };
            let parents: Vec<&str> = segments
                .iter()
                .map(|segment: &Segment| segment.key.as_str())
                .collect();
            segments.push(Segment {
                key: spelling(root, &parents, word),
                span,
            });
            start += word.len() + 2;
        }
        let top = segments.first().map_or("", |segment| segment.key.as_str());
        if !vocabulary.is_top_level(top) {
            let whole = Span {
                source,
                start: 0,
                end: name.len(),
            };
            problems.push(unknown_variable(name, root, vocabulary, whole));
            continue;
        }
        let part = Span {
            start: name.len() + 1,
            ..sources.whole(source)
        };
        set(root, segments, part, sources, problems);
    }
}

/// Keys are lower case and variables upper case, except where the keys are the
/// user's own: an existing key wins whatever its case, and the names of the
/// worker's environment are kept.
fn spelling(root: &Node, parents: &[&str], word: &str) -> String {
    let map = match parents {
        [] => Some(root),
        parents => root.at(parents).map(|entry| &entry.value),
    };
    let existing = map.and_then(|map| {
        map.entries()
            .iter()
            .map(|entry| entry.key.as_str())
            .find(|key| key.eq_ignore_ascii_case(word))
    });
    match existing {
        Some(key) => key.to_owned(),
        None if matches!(parents, ["worker", "env"]) => word.to_owned(),
        None => word.to_lowercase(),
    }
}

fn unknown_variable(name: &str, root: &Node, vocabulary: &Vocabulary, span: Span) -> Problem {
    let hyperparameters = hyperparameter_names(root).map(|key| format!("hyperparameters.{key}"));
    let variables: Vec<String> = vocabulary
        .paths()
        .map(str::to_owned)
        .chain(hyperparameters)
        .map(|path| format!("{PREFIX}{}", path.replace('.', "__").to_uppercase()))
        .collect();
    let known = variables.iter().map(String::as_str).chain(RESERVED);
    let suffix = format!("__{}", &name[PREFIX.len()..]);
    let inner = variables
        .iter()
        .find(|variable| variable.ends_with(&suffix));
    let help = inner
        .map(|variable| format!("did you mean `{variable}`?"))
        .or_else(|| did_you_mean(name, known))
        .unwrap_or_else(|| {
            "variables that begin with `EXPLR_` set keys of the configuration, as in `EXPLR_SEED` or \
             `EXPLR_MLFLOW__PORT`; unset it or rename it"
                .to_owned()
        });
    Problem::new(
        span,
        format!("the environment variable `{name}` means nothing to explr"),
    )
    .help(help)
}

/// Puts `key=value` arguments into the tree.
pub(super) fn arguments(
    root: &mut Node,
    arguments: &[String],
    vocabulary: &Vocabulary,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) {
    for argument in arguments {
        let source = sources.add(Origin::Argument, argument.clone());
        let whole = sources.whole(source);
        let Some((path, _)) = argument.split_once('=') else {
            let help = match argument.split_once(':') {
                Some((key, value)) => format!("write `{}={}`", key.trim(), value.trim()),
                None => "as in `seed=7` or `hyperparameters.lr=1e-4`".to_owned(),
            };
            problems.push(Problem::new(whole, "an override is `key=value`").help(help));
            continue;
        };
        let key_span = Span {
            end: path.len(),
            ..whole
        };
        match segments(root, path, key_span, vocabulary) {
            Ok(segments) => {
                let part = Span {
                    start: path.len() + 1,
                    ..whole
                };
                set(root, segments, part, sources, problems);
            }
            Err(problem) => problems.push(problem),
        }
    }
}

/// What a dotted path means: a key of the configuration, or, unqualified, a
/// hyperparameter that is there.
fn segments(
    root: &Node,
    path: &str,
    span: Span,
    vocabulary: &Vocabulary,
) -> Result<Vec<Segment>, Problem> {
    let mut words = Vec::new();
    let mut start = 0;
    for word in path.split('.') {
        if word.trim().is_empty() {
            return Err(Problem::new(span, "a key is empty")
                .help("as in `seed=7` or `hyperparameters.lr=1e-4`"));
        }
        words.push(Segment {
            key: word.to_owned(),
            span: span.part(start, word.len()),
        });
        start += word.len() + 1;
    }
    let top = words[0].key.as_str();
    if vocabulary.is_top_level(top) {
        return Ok(words);
    }
    if hyperparameter_names(root).any(|name| name == path) {
        let key = path.to_owned();
        return Ok(vec![hyperparameters(span), Segment { key, span }]);
    }
    if hyperparameter_names(root).any(|name| name == top) {
        words.insert(0, hyperparameters(span));
        return Ok(words);
    }
    Err(unknown_key(root, path, top, span, vocabulary))
}

fn hyperparameters(span: Span) -> Segment {
    Segment {
        key: "hyperparameters".to_owned(),
        span,
    }
}

fn unknown_key(root: &Node, path: &str, top: &str, span: Span, vocabulary: &Vocabulary) -> Problem {
    let candidates = vocabulary.top_level().chain(hyperparameter_names(root));
    let help = match (vocabulary.elsewhere(path), nearest(top, candidates)) {
        (Some(full), _) => format!("did you mean `{full}`?"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => format!("for a new hyperparameter write `hyperparameters.{path}=...`"),
    };
    Problem::new(
        span,
        format!("`{path}` is neither a key of the configuration nor a hyperparameter"),
    )
    .help(help)
}

fn hyperparameter_names(root: &Node) -> impl Iterator<Item = &str> {
    root.entry("hyperparameters")
        .into_iter()
        .flat_map(|entry| entry.value.entries())
        .map(|entry| entry.key.as_str())
}

/// Parses the value and puts it at the path, making maps on the way.
fn set(
    root: &mut Node,
    path: Vec<Segment>,
    part: Span,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) {
    let value = match yaml::parse(sources, part, problems) {
        Ok(Some(node)) => node,
        Ok(None) => Node {
            value: Content::Null,
            span: part,
        },
        Err(problem) => return problems.push(problem),
    };
    if let Err(problem) = insert(root, path, value) {
        problems.push(problem);
    }
}

fn insert(root: &mut Node, path: Vec<Segment>, value: Node) -> Result<(), Problem> {
    let mut node = root;
    let mut parents = String::new();
    let last = path.len().saturating_sub(1);
    for (depth, Segment { key, span }) in path.into_iter().enumerate() {
        // `mlflow: off` and an empty `tags:` give way to the map that is meant.
        let replaceable = matches!(node.value, Content::Null) || parents == "mlflow";
        if replaceable && !matches!(node.value, Content::Map(_)) {
            *node = Node {
                value: Content::Map(Vec::new()),
                span,
            };
        }
        node = match &mut node.value {
            Content::Map(entries) => {
                let at = entries
                    .iter()
                    .position(|entry| entry.key == key)
                    .unwrap_or_else(|| {
                        entries.push(Entry {
                            key: key.clone(),
                            key_span: span,
                            value: Node {
                                value: Content::Null,
                                span,
                            },
                        });
                        entries.len() - 1
                    });
                if depth == last {
                    entries[at].key_span = span;
                }
                &mut entries[at].value
            }
            Content::List(items) => {
                let count = items.len();
                match key
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get_mut(index))
                {
                    Some(item) => item,
                    None => {
                        return Err(Problem::new(
                            span,
                            format!(
                                "`{parents}` is a list of {count}, and `{key}` is none of its items"
                            ),
                        )
                        .help("items are counted from 0"));
                    }
                }
            }
            _ => {
                return Err(Problem::new(
                    span,
                    format!("`{parents}` is not a map, so it has no `{key}`"),
                ));
            }
        };
        if !parents.is_empty() {
            parents.push('.');
        }
        parents.push_str(&key);
    }
    *node = value;
    Ok(())
}
