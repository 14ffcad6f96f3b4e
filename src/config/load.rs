use super::check::Checker;
use super::command::CommandRules;
use super::interpolate;
use super::node::{Content, Node};
use super::overrides::{Overrides, is_path};
use super::problem::{ConfigError, Problem};
use super::rules::Rules;
use super::source::{Origin, Sources, Span};
use super::sweep_rules::SweepRules;
use super::tune_rules::TuneRules;
use super::vocabulary::Vocabulary;
use super::{Combination, Config, read, redact, schema, space, yaml};
use crate::gpu::Source;
use explr_study::SearchSpace;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// A configuration that passed every check, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration. Text in it may hold `${env:NAME}`, all of them
    /// defined: see [`interpolate`].
    pub config: Config,
    /// The file, as it was named.
    pub path: Option<PathBuf>,
    /// The folder of the file: relative paths in it start here.
    pub dir: PathBuf,
    /// The arguments that gave a range, as in `lr=loguniform[1e-5:1e-1]`:
    /// they are for a search, and mean nothing to a single run.
    pub ranges: Vec<String>,
    /// Who gave `resources.gpu_memory_gb`.
    pub(crate) gpu_memory_from: Option<Source>,
}

impl Loaded {
    /// A path of the configuration as one that can be opened: references and
    /// `~/` are resolved, and it is relative to the configuration's folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let text = path.to_str().and_then(|text| interpolate::text(text).ok());
        locate(&self.dir, text.as_deref().map_or(path, Path::new))
    }

    /// The runs of the configuration's sweep, each with the values of its
    /// combination. `env` resolves `${env:NAME}`.
    pub fn sweep(&self, env: &BTreeMap<String, String>) -> Result<Vec<SweepRun>, ConfigError> {
        let mut base = self.config.clone();
        let sweep = std::mem::take(&mut base.sweep);
        let text = serde_json::to_string_pretty(&base).unwrap_or_default();
        // What `EXPLR_*` variables say is in the configuration already.
        let env = || {
            let others = env.iter().filter(|(name, _)| !name.starts_with("EXPLR_"));
            others.map(|(name, value)| (name.clone(), value.clone()))
        };
        let name = self.path.as_deref().unwrap_or(Path::new("the program"));
        let name = name.display().to_string();
        let combinations = sweep.combinations().into_iter();
        let runs = combinations.map(|values| {
            let arguments: Vec<String> = values
                .iter()
                .map(|(key, value)| format!("{key}={}", self.as_argument(key, value)))
                .collect();
            let mut loaded = from_str(&name, &text, &self.dir, &arguments, env())?;
            loaded.path.clone_from(&self.path);
            if !matches!(loaded.gpu_memory_from, Some(Source::Argument(_))) {
                // The text above is no file that has lines.
                loaded.gpu_memory_from.clone_from(&self.gpu_memory_from);
            }
            Ok(SweepRun { values, loaded })
        });
        runs.collect()
    }

    /// Arguments have paths from the current folder, files from their own.
    fn as_argument(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) if is_path(key) && !text.starts_with(['~', '$']) => {
                locate(&self.dir, Path::new(text))
                    .display()
                    .to_string()
                    .into()
            }
            other => other.clone(),
        }
    }

    /// Refuses ranges among the arguments, for a command that doesn't search.
    pub fn without_ranges(&self) -> Result<(), ConfigError> {
        if self.ranges.is_empty() {
            return Ok(());
        }
        let mut sources = Sources::default();
        let problems = self.ranges.iter().map(|argument| {
            let source = sources.add(Origin::Argument, argument.clone());
            let value = argument.find('=').map_or(0, |at| at + 1);
            let span = sources.whole(source).part(value, argument.len());
            Problem::new(span, "a range is nothing that a single run can use")
                .help("give one value, or search with `explr tune`")
        });
        Err(ConfigError::new(problems.collect(), sources))
    }

    /// The configuration as it may be stored and sent: `${env:NAME}` is
    /// unresolved, secrets are masked.
    pub fn stored(&self) -> Value {
        redact::json(&serde_json::to_value(&self.config).unwrap_or_default())
    }
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRun {
    /// What differs from other runs: keys as the matrix names them.
    pub values: Combination,
    /// The configuration with these values, and without a sweep.
    pub loaded: Loaded,
}

/// The path, from the folder of the configuration.
pub(super) fn locate(dir: &Path, path: &Path) -> PathBuf {
    if let Ok(rest) = path.strip_prefix("~")
        && let Some(home) = std::env::home_dir()
    {
        return home.join(rest);
    }
    if dir == Path::new("") || dir == Path::new(".") {
        return path.to_owned();
    }
    dir.join(path)
}

/// The path as a person would write it, without `folder/..`.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        let is_named = matches!(tidied.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && is_named {
            tidied.pop();
        } else {
            tidied.push(part);
        }
    }
    tidied
}

/// Reads a file, then lets `EXPLR_*` variables and `key=value` overrides take
/// precedence over it, and checks the whole.
pub fn load(
    path: &Path,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let text = read::file(path).map_err(|refused| refused.into_error(path))?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let loaded = build(path, text, dir, overrides, &env.collect())?;
    Ok(Loaded {
        path: Some(path.to_owned()),
        ..loaded
    })
}

/// The same for text. `name` stands for the file in messages, and `dir` is
/// where relative paths start.
pub fn from_str(
    name: &str,
    text: &str,
    dir: &Path,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let path = Path::new(name);
    let text = read::text(text, path).map_err(|refused| refused.into_error(path))?;
    build(path, text, dir, overrides, &env.collect())
}

/// The same for a configuration that was built in code: it is written out and
/// checked like a file, so that the messages can show the place.
pub fn from_config(
    config: &Config,
    dir: &Path,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let text = serde_json::to_string_pretty(config).unwrap_or_default();
    from_str("the program", &text, dir, overrides, env)
}

/// Makes a configuration of a file's text and what takes precedence over it.
fn build(
    path: &Path,
    text: String,
    dir: &Path,
    overrides: &[String],
    env: &BTreeMap<String, String>,
) -> Result<Loaded, ConfigError> {
    let mut sources = Sources::default();
    let file = sources.add_file(path, text);
    let file = sources.whole(file);
    let mut problems = Vec::new();
    // Without the file's own keys, nothing can be said about the rest.
    let mut tree = match yaml::parse(&sources, file, &mut problems) {
        Ok(Some(tree)) => tree,
        Ok(None) => {
            let empty = Problem::new(file.part(0, 0), "the configuration is empty")
                .help("begin with `experiment: NAME`, or let `explr init` write a project");
            return Err(ConfigError::new(vec![empty], sources));
        }
        Err(problem) => {
            problems.push(problem);
            return Err(ConfigError::new(problems, sources));
        }
    };
    let schema = schema();
    let vocabulary = Vocabulary::new(&schema);
    let mut ranges = Vec::new();
    if matches!(tree.value, Content::Map(_)) {
        ranges = Overrides {
            root: &mut tree,
            vocabulary: &vocabulary,
            sources: &mut sources,
            problems: &mut problems,
        }
        .apply(env, overrides);
    }
    Checker {
        root: &schema,
        vocabulary: &vocabulary,
        sources: &sources,
        problems: &mut problems,
    }
    .check(&mut tree);
    let space = space(&tree, &mut problems);
    Rules {
        tree: &tree,
        dir,
        env,
        sources: &sources,
        problems: &mut problems,
    }
    .check();
    CommandRules {
        tree: &tree,
        space: space.as_ref(),
        env,
        sources: &sources,
        problems: &mut problems,
    }
    .check();
    TuneRules {
        tree: &tree,
        space: space.as_ref(),
        env,
        problems: &mut problems,
    }
    .check();
    SweepRules {
        tree: &tree,
        dir,
        env,
        schema: &schema,
        vocabulary: &vocabulary,
        sources: &sources,
        problems: &mut problems,
    }
    .check();
    if !problems.is_empty() {
        return Err(ConfigError::new(problems, sources));
    }
    let gpu_memory_from = tree
        .at(&["resources", "gpu_memory_gb"])
        .map(|entry| giver(&sources, entry.value.span));
    // JSON forgets the order of the parameters, and what overrides what.
    if let Content::Map(entries) = &mut tree.value {
        entries.retain(|entry| entry.key != "search_space");
    }
    match Config::deserialize(tree.to_json()) {
        Ok(mut config) => {
            config.search_space = space.unwrap_or_default().into();
            Ok(Loaded {
                config,
                path: None,
                dir: dir.to_owned(),
                ranges,
                gpu_memory_from,
            })
        }
        Err(error) => {
            // The checks above are meant to see everything first.
            let problem = Problem::new(tree.span, error.to_string());
            Err(ConfigError::new(vec![problem], sources))
        }
    }
}

/// Who gave a value.
fn giver(sources: &Sources, value: Span) -> Source {
    match sources.origin(value.source) {
        Origin::File(name) => {
            let at = sources.position(value);
            Source::Config(format!("{name}:{}:{}", at.line, at.column))
        }
        Origin::Environment(name) => Source::Config(format!("the variable {name}")),
        Origin::Argument => Source::Argument(sources.text(value.source).to_owned()),
    }
}

/// The search space; none if it is wrong.
fn space(tree: &Node, problems: &mut Vec<Problem>) -> Option<SearchSpace> {
    let Some(entry) = tree.entry("search_space") else {
        return Some(SearchSpace::default());
    };
    let hyperparameters = tree.entry("hyperparameters").map(|entry| &entry.value);
    space::read(&entry.value, hyperparameters)
        .map_err(|found| problems.extend(found))
        .ok()
}
