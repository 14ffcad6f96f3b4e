use super::super::node::Node;
use super::super::problem::Problem;
use super::super::remedy::shorten;
use super::super::suggest::{alternatives, did_you_mean, list};
use super::definition::{Draft, DraftCondition, pretty, shown};
use super::read::is_worth_help;
use explr_study::{Distribution, Domain};
use serde_json::Value;
use std::collections::HashMap;

/// Checks the conditions that tie parameters to each other.
///
/// When a parent was overridden, as by `optimizer=adam` on the command line,
/// what depends on its other values is dropped: nobody would want to edit the
/// file for that.
pub(super) fn check(
    drafts: &mut Vec<Draft>,
    hyperparameters: Option<&Node>,
    problems: &mut Vec<Problem>,
) {
    drop_what_overrides_exclude(drafts);
    let index: HashMap<&str, usize> = drafts
        .iter()
        .enumerate()
        .map(|(at, draft)| (draft.name.as_str(), at))
        .collect();
    for draft in &*drafts {
        for condition in &draft.when {
            if condition.parent == draft.name {
                let message = format!("the condition of `{}` is on itself", shorten(&draft.name));
                problems.push(
                    Problem::new(condition.key, message)
                        .help("name another parameter, or remove it"),
                );
            } else if let Some(parent) = index.get(condition.parent.as_str()) {
                check_values(condition, &drafts[*parent], problems);
            } else {
                problems.push(undefined(
                    condition,
                    draft,
                    drafts,
                    hyperparameters,
                    problems,
                ));
            }
        }
    }
    for circle in circles(drafts, &index) {
        let names = circle.iter().map(|at| drafts[*at].name.as_str());
        let message = format!("the conditions of {} go round in a circle", list(names));
        let place = circle
            .iter()
            .flat_map(|at| &drafts[*at].when)
            .filter(|condition| {
                index
                    .get(condition.parent.as_str())
                    .is_some_and(|parent| circle.contains(parent))
            })
            .map(|condition| condition.key)
            .min();
        if let Some(place) = place {
            problems.push(
                Problem::new(place, message)
                    .help("none of them could ever be active; remove one of the conditions"),
            );
        }
    }
}

fn drop_what_overrides_exclude(drafts: &mut Vec<Draft>) {
    let mut gone: Vec<(String, usize)> = Vec::new();
    loop {
        let overriding: HashMap<String, (usize, Option<Domain>)> = drafts
            .iter()
            .filter(|draft| draft.source > 0)
            .map(|draft| (draft.name.clone(), (draft.source, draft.domain.clone())))
            .collect();
        let before = drafts.len();
        drafts.retain_mut(|draft| {
            let source = draft.source;
            let holds = draft.when.iter_mut().all(|condition| {
                if gone
                    .iter()
                    .any(|(name, by)| *name == condition.parent && *by > source)
                {
                    return false;
                }
                match overriding.get(&condition.parent) {
                    Some((by, Some(domain))) if *by > source => {
                        condition
                            .any_of
                            .retain(|(value, _)| is_possible(domain, value));
                        !condition.any_of.is_empty()
                    }
                    _ => true,
                }
            });
            if !holds {
                gone.push((draft.name.clone(), usize::MAX));
            }
            holds
        });
        if drafts.len() == before {
            return;
        }
    }
}

pub(in super::super) fn is_possible(domain: &Domain, value: &Value) -> bool {
    match domain {
        Domain::Fixed(fixed) => fixed == value,
        Domain::Search(distribution) => distribution.internal(value).is_some(),
    }
}

fn check_values(condition: &DraftCondition, parent: &Draft, problems: &mut Vec<Problem>) {
    let Some(domain) = &parent.domain else {
        return;
    };
    for (value, span) in &condition.any_of {
        if is_possible(domain, value) {
            continue;
        }
        let name = shorten(&parent.name);
        let problem = Problem::new(*span, format!("`{name}` is never {}", shown(value)));
        problems.push(problem.help(possible(domain, value)));
    }
}

/// What values there are.
pub(in super::super) fn possible(domain: &Domain, wrong: &Value) -> String {
    match domain {
        Domain::Fixed(value) => format!("it is always {}", shown(value)),
        Domain::Search(Distribution::Float(range)) => {
            let step = range
                .step()
                .map(|step| format!(" in steps of {}", pretty(step)));
            format!(
                "it is from {} to {}{}",
                pretty(range.low()),
                pretty(range.high()),
                step.unwrap_or_default()
            )
        }
        Domain::Search(Distribution::Int(range)) => {
            let step = (range.step() > 1).then(|| format!(" in steps of {}", range.step()));
            format!(
                "it is a whole number from {} to {}{}",
                range.low(),
                range.high(),
                step.unwrap_or_default()
            )
        }
        Domain::Search(Distribution::Categorical(choices)) => {
            let texts: Vec<String> = choices
                .values()
                .iter()
                .take(20)
                .map(|value| shown(value).trim_matches('`').to_owned())
                .collect();
            let texts = texts.iter().map(String::as_str);
            wrong
                .as_str()
                .and_then(|text| did_you_mean(text, texts.clone()))
                .unwrap_or_else(|| format!("it can be {}", alternatives(texts)))
        }
    }
}

fn undefined(
    condition: &DraftCondition,
    child: &Draft,
    drafts: &[Draft],
    hyperparameters: Option<&Node>,
    problems: &[Problem],
) -> Problem {
    let parent = &condition.parent;
    let message = format!("`{}` is no parameter of the search space", shorten(parent));
    let problem = Problem::new(condition.key, message);
    if !is_worth_help(problems) {
        return problem;
    }
    let names = || drafts.iter().map(|draft| draft.name.as_str());
    let sibling = child
        .name
        .rsplit_once('.')
        .map(|(level, _)| format!("{level}.{parent}"))
        .filter(|full| names().any(|name| name == full));
    let is_hyperparameter = hyperparameters.is_some_and(|values| values.entry(parent).is_some());
    let help = if let Some(full) = sibling {
        format!("write the full name: `{full}`")
    } else if is_hyperparameter {
        format!(
            "`{parent}` is a hyperparameter; to name it in conditions, add it to `search_space` too"
        )
    } else {
        did_you_mean(parent, names().filter(|name| *name != child.name))
            .unwrap_or_else(|| format!("define `{parent}` in `search_space` first"))
    };
    problem.help(help)
}

/// The parameters of each circle of conditions, each parameter once.
fn circles(drafts: &[Draft], index: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let parents = |at: usize| {
        drafts[at]
            .when
            .iter()
            .filter_map(|condition| index.get(condition.parent.as_str()).copied())
            .filter(move |parent| *parent != at)
    };
    // Whoever has only settled parents is settled too.
    let mut settled = vec![false; drafts.len()];
    loop {
        let next: Vec<usize> = (0..drafts.len())
            .filter(|at| !settled[*at] && parents(*at).all(|parent| settled[parent]))
            .collect();
        if next.is_empty() {
            break;
        }
        for at in next {
            settled[at] = true;
        }
    }
    // The others lead into circles: follow any of their parents.
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut seen = settled.clone();
    for start in 0..drafts.len() {
        let mut path = Vec::new();
        let mut at = start;
        while !seen[at] {
            seen[at] = true;
            path.push(at);
            match parents(at).find(|parent| !settled[*parent]) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if let Some(begin) = path.iter().position(|member| *member == at) {
            let mut circle = path.split_off(begin);
            circle.sort_unstable();
            found.push(circle);
        }
    }
    found
}
