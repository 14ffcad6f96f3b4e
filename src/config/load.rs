use super::check::Checker;
use super::interpolate;
use super::node::Content;
use super::overrides::Overrides;
use super::problem::{ConfigError, Problem};
use super::rules::Rules;
use super::source::Sources;
use super::vocabulary::Vocabulary;
use super::{Config, read, redact, schema, yaml};
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
}

impl Loaded {
    /// A path of the configuration as one that can be opened: references and
    /// `~/` are resolved, and it is relative to the configuration's folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let text = path.to_str().and_then(|text| interpolate::text(text).ok());
        locate(&self.dir, text.as_deref().map_or(path, Path::new))
    }

    /// The configuration as it may be stored and sent: `${env:NAME}` is
    /// unresolved, secrets are masked.
    pub fn stored(&self) -> Value {
        redact::json(&serde_json::to_value(&self.config).unwrap_or_default())
    }
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
    let config = build(path, text, dir, overrides, &env.collect())?;
    Ok(Loaded {
        config,
        path: Some(path.to_owned()),
        dir: dir.to_owned(),
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
    let config = build(path, text, dir, overrides, &env.collect())?;
    Ok(Loaded {
        config,
        path: None,
        dir: dir.to_owned(),
    })
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
) -> Result<Config, ConfigError> {
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
    if matches!(tree.value, Content::Map(_)) {
        Overrides {
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
    Rules {
        tree: &tree,
        dir,
        env,
        sources: &sources,
        problems: &mut problems,
    }
    .check();
    if !problems.is_empty() {
        return Err(ConfigError::new(problems, sources));
    }
    Config::deserialize(tree.to_json()).map_err(|error| {
        // The checks above are meant to see everything first.
        ConfigError::new(vec![Problem::new(tree.span, error.to_string())], sources)
    })
}
