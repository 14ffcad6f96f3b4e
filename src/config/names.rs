use super::node::Node;
use super::source::Span;

/// MLflow's limit for the names of params, metrics and tags.
const MAX_NAME: usize = 250;

/// The dotted names of everything in a map, as MLflow will see them. What is
/// below a name that is too long already is left out.
pub(crate) fn names_below(node: &Node, prefix: &str, found: &mut Vec<(String, Span)>) {
    for entry in node.entries() {
        let name = if prefix.is_empty() {
            entry.key.clone()
        } else {
            format!("{prefix}.{}", entry.key)
        };
        if name.len() <= 4 * MAX_NAME {
            names_below(&entry.value, &name, found);
        }
        found.push((name, entry.key_span));
    }
}

/// A study is a file of this name and a few letters more.
pub(crate) const LONGEST_STUDY: usize = 200;

/// What helps against a bad name.
pub(crate) const GOOD_NAMES: &str =
    "use letters, digits, spaces and `_ - . :`, at most 250 of them";

/// Why a parameter can't have this name.
pub(crate) fn bad_parameter(name: &str) -> Option<String> {
    bad_name(name).or_else(|| {
        let is_gap = name.split('.').any(|part| part.trim().is_empty());
        is_gap.then(|| "a part of it is empty".to_owned())
    })
}

/// Why nothing in MLflow can have this name.
pub(crate) fn bad_name(name: &str) -> Option<String> {
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.is_empty() || (last.is_empty() && name.ends_with('.') && name.len() > 1) {
        return Some("it is empty".to_owned());
    }
    if name.chars().count() > MAX_NAME {
        return Some(format!("it has more than {MAX_NAME} characters"));
    }
    if let Some(wrong) = name
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/')))
    {
        return Some(format!(
            "MLflow takes no `{}` in names",
            wrong.escape_debug()
        ));
    }
    let is_path = name.starts_with('/')
        || name.ends_with('/')
        || name.split('/').any(|part| matches!(part, "" | "." | ".."));
    is_path.then(|| "MLflow would read it as a path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::bad_name;

    #[test]
    fn a_name_is_what_mlflow_takes() {
        for good in ["lr", "net.hidden", "a/b", "β1", "a:b-c_d e"] {
            assert_eq!(bad_name(good), None, "{good}");
        }
        for bad in [
            "",
            "a.",
            "/a",
            "a/",
            "a//b",
            "../a",
            ".",
            "a,b",
            "a\nb",
            &"x".repeat(251),
        ] {
            assert!(bad_name(bad).is_some(), "{bad}");
        }
    }
}
