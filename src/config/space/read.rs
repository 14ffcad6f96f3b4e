use super::super::names::{GOOD_NAMES, bad_parameter};
use super::super::node::{Content, Entry, Node};
use super::super::problem::Problem;
use super::super::remedy::shorten;
use super::super::render;
use super::super::source::Span;
use super::definition::{self, Draft};
use super::graph;
use explr_study::{Parameter, SearchSpace};

/// More parameters than this nobody searches, and the rules between them
/// cost more than linear time.
const MOST: usize = 1000;

/// A parameter's name, where it is written, and what is written for it.
struct Found<'a> {
    name: String,
    key: Span,
    node: &'a Node,
}

/// Makes a space of what is written for it, or says everything that is wrong.
pub(in super::super) fn read(
    node: &Node,
    hyperparameters: Option<&Node>,
) -> Result<SearchSpace, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    flatten(node, "", &mut found, &mut problems);
    if let Some(beyond) = found.get(MOST) {
        let message = format!("more than {MOST} parameters in `search_space`");
        return Err(vec![Problem::new(beyond.key, message)]);
    }
    check_names(&found, hyperparameters, &mut problems);
    let mut drafts: Vec<Draft> = found
        .iter()
        .map(|found| definition::read(&found.name, found.key, found.node, &mut problems))
        .collect();
    graph::check(&mut drafts, hyperparameters, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let parameters: Vec<Parameter> = drafts.into_iter().filter_map(Draft::finish).collect();
    SearchSpace::new(parameters).map_err(|error| vec![Problem::new(node.span, error.to_string())])
}

/// Whether a map describes a parameter, and is not a level of names.
///
/// A parameter may be called `type`: what is below a level is a map then.
fn is_definition(node: &Node) -> bool {
    let holds_other = |key: &str| {
        node.entry(key)
            .is_some_and(|entry| !matches!(entry.value.value, Content::Map(_)))
    };
    node.entry("value").is_some()
        || definition::KEYS
            .iter()
            .chain(&definition::FOREIGN_KEYS)
            .any(|key| holds_other(key))
}

fn flatten<'a>(
    node: &'a Node,
    prefix: &str,
    found: &mut Vec<Found<'a>>,
    problems: &mut Vec<Problem>,
) {
    for entry in node.entries() {
        if found.len() > MOST {
            return;
        }
        let name = join(prefix, &entry.key);
        match &entry.value.value {
            Content::Map(_) if is_definition(&entry.value) => {}
            Content::Map(inner) if inner.is_empty() => {
                let message = format!("`search_space.{}` is empty", shorten(&name));
                problems.push(Problem::new(entry.value.span, message).help(
                    "describe a parameter, as in `{type: float, low: 0, high: 1}`, or remove it",
                ));
                continue;
            }
            Content::Map(_) => {
                flatten(&entry.value, &name, found, problems);
                continue;
            }
            _ => {}
        }
        found.push(Found {
            name,
            key: entry.key_span,
            node: &entry.value,
        });
    }
}

fn check_names(found: &[Found], hyperparameters: Option<&Node>, problems: &mut Vec<Problem>) {
    let mut order: Vec<&Found> = found.iter().collect();
    order.sort_by(|a, b| a.name.cmp(&b.name).then(a.key.cmp(&b.key)));
    let known: std::collections::HashSet<&str> =
        found.iter().map(|found| found.name.as_str()).collect();
    for (index, parameter) in order.iter().enumerate() {
        let (name, key) = (&parameter.name, parameter.key);
        let shown = shorten(name);
        if let Some(wrong) = bad_parameter(name) {
            problems.push(
                Problem::new(
                    key,
                    format!("`{shown}` can't be the name of a parameter: {wrong}"),
                )
                .help(GOOD_NAMES),
            );
        } else if index > 0 && order[index - 1].name == *name {
            problems.push(
                Problem::new(key, format!("the parameter `{shown}` is there twice"))
                    .help("`a.b: ...` and `a: {b: ...}` are the same name; keep one of them"),
            );
        } else if let Some(parent) = parents(name).find(|parent| known.contains(parent)) {
            problems.push(
                Problem::new(
                    key,
                    format!("`{shown}` lies within `{parent}`, which is a parameter itself"),
                )
                .help("a name is a parameter or holds others, not both; rename one of them"),
            );
        } else if let Some(parent) = hyperparameters
            .and_then(|values| parents(name).find(|parent| holds_a_scalar(values, parent)))
        {
            problems.push(
                Problem::new(
                    key,
                    format!("`{shown}` lies within the hyperparameter `{parent}`, which is no map"),
                )
                .help(format!("rename one of them, or make `{parent}` a map")),
            );
        }
    }
}

/// `a` and `a.b` of `a.b.c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(at, _)| &name[..at])
}

fn holds_a_scalar(hyperparameters: &Node, name: &str) -> bool {
    let keys: Vec<&str> = name.split('.').collect();
    hyperparameters
        .at(&keys)
        .is_some_and(|entry| !matches!(entry.value.value, Content::Map(_) | Content::Null))
}

/// What is written for a parameter.
pub(in super::super) fn find<'a>(space: &'a Node, name: &str) -> Option<&'a Node> {
    space.entries().iter().find_map(|entry| {
        if entry.key == name {
            let is_level =
                matches!(entry.value.value, Content::Map(_)) && !is_definition(&entry.value);
            return (!is_level).then_some(&entry.value);
        }
        find(
            &entry.value,
            name.strip_prefix(&entry.key)?.strip_prefix('.')?,
        )
    })
}

/// Puts a definition into the space, in the place of the one that is there.
/// The conditions of that one stay.
pub(in super::super) fn place(space: &mut Node, name: &str, key: Span, mut definition: Node) {
    if let Some(when) = find(space, name).and_then(|old| old.entry("when")).cloned()
        && let Content::Map(entries) = &mut definition.value
    {
        entries.push(when);
    }
    if let Some(definition) = replace(space, name, key, definition)
        && let Content::Map(entries) = &mut space.value
    {
        entries.push(Entry {
            key: name.to_owned(),
            key_span: key,
            value: definition,
        });
    }
}

/// Gives the definition back if there is none to replace.
fn replace(space: &mut Node, name: &str, key: Span, definition: Node) -> Option<Node> {
    let mut definition = Some(definition);
    if let Content::Map(entries) = &mut space.value {
        for entry in entries {
            if entry.key == name {
                entry.value = definition.take()?;
                entry.key_span = key;
            } else if let Some(rest) = name
                .strip_prefix(&entry.key)
                .and_then(|rest| rest.strip_prefix('.'))
            {
                definition = replace(&mut entry.value, rest, key, definition.take()?);
            }
            definition.as_ref()?;
        }
    }
    definition
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

/// Help costs time, and nobody sees that of the later problems.
pub(super) fn is_worth_help(problems: &[Problem]) -> bool {
    problems.len() <= render::SHOWN
}
