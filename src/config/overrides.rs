use super::command;
use super::node::{Content, Entry, Node};
use super::path::{self, Segment};
use super::problem::Problem;
use super::source::{Origin, Sources, Span};
use super::space;
use super::suggest::{list, nearest};
use super::vocabulary::Vocabulary;
use super::yaml;
use std::collections::BTreeMap;

/// Variables that are not configuration, but talk to another part of explr.
pub const RESERVED: [&str; 14] = [
    "EXPLR_ARTIFACT_DIR",
    "EXPLR_ATTEMPT",
    "EXPLR_CONTROL_FD",
    "EXPLR_DATA",
    "EXPLR_EVENTS",
    "EXPLR_GPU_MEMORY_BYTES",
    "EXPLR_GPU_MEMORY_GB",
    "EXPLR_LOG",
    "EXPLR_PARAMS_FILE",
    "EXPLR_RESUME",
    "EXPLR_RUN_ID",
    "EXPLR_TORCH_VERSION",
    "EXPLR_TRIAL_NUMBER",
    "EXPLR_WORKER",
];

const PREFIX: &str = "EXPLR_";

/// Whether explr sets the variable for its workers and commands, so that it
/// says nothing about a configuration.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(command::variables::PREFIX)
}

/// The keys whose values are paths of the file system.
const PATHS: [&[&str]; 4] = [
    &["train", "plugin"],
    &["checkpoint_dir"],
    &["mlflow", "artifact_root"],
    &["store"],
];

/// Whether the values of a key are paths of the file system.
pub(super) fn is_path(key: &str) -> bool {
    PATHS.iter().any(|path| path.join(".") == key)
}

/// What an argument gives a key.
enum Given {
    Value,
    Range,
}

/// Puts the values of variables and arguments into the tree of the file.
pub(super) struct Overrides<'a> {
    pub(super) root: &'a mut Node,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) sources: &'a mut Sources,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Overrides<'_> {
    /// First the `EXPLR_*` variables, then the `key=value` arguments. Returns
    /// the arguments that are ranges.
    pub(super) fn apply(
        mut self,
        env: &BTreeMap<String, String>,
        arguments: &[String],
    ) -> Vec<String> {
        for (name, value) in env {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            // An empty variable is how scripts and Compose files unset one.
            if is_reserved(name) || value.is_empty() {
                continue;
            }
            if let Err(problem) = self.variable(name, rest, value) {
                self.problems.push(problem);
            }
        }
        let mut ranges = Vec::new();
        for argument in arguments {
            match self.argument(argument) {
                Ok(Given::Range) => ranges.push(argument.clone()),
                Ok(Given::Value) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
        ranges
    }

    fn variable(&mut self, name: &str, rest: &str, value: &str) -> Result<(), Problem> {
        let origin = Origin::Environment(name.to_owned());
        let source = self.sources.add(origin, format!("{name}={value}"));
        let whole = self.sources.whole(source);
        let name_span = whole.part(0, name.len());
        if rest.is_empty() {
            return Err(self.unknown_variable(name, name_span));
        }
        let mut segments = path::split(rest, "__", whole.part(PREFIX.len(), rest.len()))?;
        for depth in 0..segments.len() {
            let (parents, rest) = segments.split_at_mut(depth);
            rest[0].key = self.spelling(parents, &rest[0].key);
        }
        if !self.vocabulary.is_top_level(&segments[0].key) {
            return Err(self.unknown_variable(name, name_span));
        }
        self.set(segments, whole, name.len() + 1)
    }

    /// Keys are lower case and variables upper case, except where the keys are
    /// the user's own: an existing key wins whatever its case, and the names of
    /// the worker's environment are kept.
    fn spelling(&self, parents: &[Segment], word: &str) -> String {
        let parents: Vec<&str> = parents.iter().map(|parent| parent.key.as_str()).collect();
        let map = match &*parents {
            [] => Some(&*self.root),
            parents => self.root.at(parents).map(|entry| &entry.value),
        };
        let entries = map.map(Node::entries).unwrap_or_default();
        let existing = entries
            .iter()
            .map(|entry| entry.key.as_str())
            .find(|key| key.eq_ignore_ascii_case(word));
        match existing {
            Some(key) => key.to_owned(),
            None if parents == ["worker", "env"] => word.to_owned(),
            None => word.to_lowercase(),
        }
    }

    fn unknown_variable(&self, name: &str, span: Span) -> Problem {
        let own = hyperparameters(self.root).map(|key| format!("hyperparameters.{key}"));
        let variables: Vec<String> = self
            .vocabulary
            .paths()
            .map(str::to_owned)
            .chain(own)
            .map(|path| path.replace('.', "__").to_uppercase())
            .collect();
        // Only what follows the prefix is compared: it alone can be misspelled.
        let rest = &name[PREFIX.len()..];
        let inner = format!("__{rest}");
        let known = variables.iter().map(String::as_str);
        let reserved = RESERVED.iter().filter_map(|name| name.strip_prefix(PREFIX));
        let meant = known
            .clone()
            .find(|variable| variable.ends_with(&inner))
            .or_else(|| nearest(rest, known.chain(reserved)));
        let help = match meant {
            Some(meant) => format!("did you mean `{PREFIX}{meant}`?"),
            None => "variables that begin with `EXPLR_` set keys of the configuration, as in \
                     `EXPLR_SEED` or `EXPLR_MLFLOW__PORT`; unset it or rename it"
                .to_owned(),
        };
        let message = format!("the environment variable `{name}` means nothing to explr");
        Problem::new(span, message).help(help)
    }

    fn argument(&mut self, argument: &str) -> Result<Given, Problem> {
        let source = self.sources.add(Origin::Argument, argument.to_owned());
        let whole = self.sources.whole(source);
        let Some((path, _)) = argument.split_once('=') else {
            let help = match argument.split_once(':') {
                Some((key, value)) => format!("write `{}={}`", key.trim(), value.trim()),
                None => "as in `seed=7` or `hyperparameters.lr=1e-4`".to_owned(),
            };
            return Err(Problem::new(whole, "an override is `key=value`").help(help));
        };
        let key = whole.part(0, path.len());
        let value = whole.part(path.len() + 1, whole.end);
        if let Some(range) = space::parse_range(self.sources, value, self.problems) {
            let name = self.searched(path, key)?;
            self.place(&name, key, range?);
            return Ok(Given::Range);
        }
        let segments = self.meaning(path, key)?;
        self.set(segments, whole, path.len() + 1)?;
        Ok(Given::Value)
    }

    /// The name of the hyperparameter that a range is for.
    fn searched(&self, path: &str, span: Span) -> Result<String, Problem> {
        for section in ["hyperparameters.", "search_space."] {
            if let Some(name) = path.strip_prefix(section) {
                return Ok(name.to_owned());
            }
        }
        match self.meaning(path, span) {
            Ok(segments)
                if self.vocabulary.is_top_level(&segments[0].key)
                    && segments[0].key != "hyperparameters" =>
            {
                Err(Problem::new(
                    span,
                    format!("`{path}` is no hyperparameter, so it can't be searched"),
                )
                .help(format!(
                    "if a hyperparameter has this name, write `hyperparameters.{path}`"
                )))
            }
            // A slip of the finger is no new hyperparameter.
            Err(problem) if problem.is_a_slip() => Err(problem),
            _ => Ok(path.to_owned()),
        }
    }

    /// Puts a definition into the search space.
    fn place(&mut self, name: &str, key: Span, definition: Node) {
        let Content::Map(entries) = &mut self.root.value else {
            return;
        };
        let at = entries
            .iter()
            .position(|entry| entry.key == "search_space")
            .unwrap_or_else(|| {
                entries.push(Entry {
                    key: "search_space".to_owned(),
                    key_span: key,
                    value: Node {
                        value: Content::Null,
                        span: key,
                    },
                });
                entries.len() - 1
            });
        let space = &mut entries[at].value;
        if matches!(space.value, Content::Null) {
            space.value = Content::Map(Vec::new());
        }
        space::place(space, name, key, definition);
    }

    fn meaning(&self, path: &str, span: Span) -> Result<Vec<Segment>, Problem> {
        meaning(self.root, self.vocabulary, path, span)
    }

    /// Parses the rest of a source and puts it at the path.
    ///
    /// A path of the file system is meant from the current folder here, as
    /// everywhere on a command line, and not from the file's.
    fn set(&mut self, path: Vec<Segment>, whole: Span, from: usize) -> Result<(), Problem> {
        let part = whole.part(from, whole.end);
        let mut value = yaml::parse(self.sources, part, self.problems)?.unwrap_or(Node {
            value: Content::Null,
            span: part,
        });
        let keys: Vec<&str> = path.iter().map(|segment| segment.key.as_str()).collect();
        if let Content::Text(text) = &mut value.value
            && PATHS.contains(&&*keys)
            && !text.is_empty()
            && !text.starts_with(['~', '$'])
            && let Ok(absolute) = std::path::absolute(&*text)
        {
            *text = absolute.display().to_string();
        }
        // A value for a parameter that is searched for fixes it.
        if let ["hyperparameters", name @ ..] = &*keys
            && let name = name.join(".")
            && is_searched(self.root, &name)
        {
            let span = part;
            let fixed = Entry {
                key: "value".to_owned(),
                key_span: span,
                value: value.clone(),
            };
            let value = Content::Map(vec![fixed]);
            self.place(&name, path[0].span, Node { value, span });
        }
        path::insert(self.root, path, value)
    }
}

/// What a dotted path means: a key of the configuration, or, unqualified,
/// a hyperparameter that is there.
pub(super) fn meaning(
    root: &Node,
    vocabulary: &Vocabulary,
    path: &str,
    span: Span,
) -> Result<Vec<Segment>, Problem> {
    let section = || Segment {
        key: "hyperparameters".to_owned(),
        span,
    };
    let mut segments = path::split(path, ".", span)?;
    let top = segments[0].key.as_str();
    if vocabulary.is_top_level(top) {
        return Ok(segments);
    }
    if hyperparameters(root).any(|name| name == path) {
        let key = path.to_owned();
        return Ok(vec![section(), Segment { key, span }]);
    }
    if hyperparameters(root).any(|name| name == top) {
        segments.insert(0, section());
        return Ok(segments);
    }
    if is_searched(root, path) {
        segments.insert(0, section());
        return Ok(segments);
    }
    Err(unknown_key(root, vocabulary, path, top, span))
}

fn is_searched(root: &Node, name: &str) -> bool {
    root.entry("search_space")
        .is_some_and(|entry| space::find(&entry.value, name).is_some())
}

fn unknown_key(root: &Node, vocabulary: &Vocabulary, path: &str, top: &str, span: Span) -> Problem {
    let searched = root.entry("search_space");
    let searched = searched.into_iter().flat_map(|entry| entry.value.entries());
    let candidates = vocabulary
        .top_level()
        .chain(hyperparameters(root))
        .chain(searched.map(|entry| entry.key.as_str()));
    let meant = vocabulary
        .elsewhere(path)
        .or_else(|| nearest(top, candidates));
    let names: Vec<&str> = hyperparameters(root).take(20).collect();
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => {
            format!("for a new hyperparameter write `hyperparameters.{path}=...`")
        }
        None => format!(
            "the hyperparameters are {}; for a new one write `hyperparameters.{path}=...`",
            list(names)
        ),
    };
    let message = format!("`{path}` is neither a key of the configuration nor a hyperparameter");
    Problem::new(span, message).help(help)
}

fn hyperparameters(root: &Node) -> impl Iterator<Item = &str> + Clone {
    root.entry("hyperparameters")
        .into_iter()
        .flat_map(|entry| entry.value.entries())
        .map(|entry| entry.key.as_str())
}
