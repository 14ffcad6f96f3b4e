use super::check::Checker;
use super::interpolate;
use super::node::{Content, Node};
use super::problem::{ConfigError, Problem};
use super::rules::{Rules, neighbour};
use super::source::{Sources, Span};
use super::vocabulary::Vocabulary;
use super::{Config, overrides, redact, schema, yaml};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of the largest file that is read.
const MAX_BYTES: usize = 1024 * 1024;

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

/// Reads a file, then lets `EXPLR_*` variables and `key=value` overrides take
/// precedence over it, and checks the whole.
pub fn load(
    path: &Path,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut sources = Sources::default();
    let text = match read(path, &mut sources) {
        Ok(text) => text,
        Err(problem) => return Err(ConfigError::new(vec![problem], sources)),
    };
    sources.add_file(path, text);
    let dir = path.parent().unwrap_or(Path::new(""));
    let config = build(sources, dir, overrides, env.collect())?;
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
    let mut sources = Sources::default();
    let source = sources.add_file(Path::new(name), text.to_owned());
    if text.len() > MAX_BYTES {
        return Err(ConfigError::new(vec![too_large(name)], sources));
    }
    if let Some(problem) = control_character(text, sources.whole(source)) {
        return Err(ConfigError::new(vec![problem], sources));
    }
    let config = build(sources, dir, overrides, env.collect())?;
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
    from_str("<built in code>", &text, dir, overrides, env)
}

/// The text of a file, if it can be one.
fn read(path: &Path, sources: &mut Sources) -> Result<String, Problem> {
    let shown = path.display();
    let is_yaml = |near: &Path| near.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let cannot = |error: std::io::Error| {
        let near = neighbour(path, is_yaml)
            .filter(|_| error.kind() == std::io::ErrorKind::NotFound)
            .map(|near| format!("did you mean `{}`?", path.with_file_name(near).display()));
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
            _ => error.to_string(),
        };
        Problem::of_file(format!("can't read `{shown}`: {reason}")).maybe_help(near)
    };
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(
            Problem::of_file(format!("`{shown}` is a folder")).help("name a YAML file in it")
        );
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large(&shown.to_string()));
    }
    let bytes = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .map_or(&*bytes, |rest| rest);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let byte = bytes[error.valid_up_to()];
            let at = valid.len();
            let source = sources.add_file(path, valid + "\u{fffd}");
            let span = Span {
                source,
                start: at,
                end: at + 3,
            };
            return Err(
                Problem::new(span, format!("the byte 0x{byte:02x} here is not UTF-8"))
                    .help("save the file as UTF-8 text"),
            );
        }
    };
    let source = sources.add_file(path, text.clone());
    let problem = control_character(&text, sources.whole(source));
    match problem {
        Some(problem) => Err(problem),
        None => {
            *sources = Sources::default();
            Ok(text)
        }
    }
}

fn too_large(name: &str) -> Problem {
    Problem::of_file(format!("`{name}` is larger than 1 MiB"))
        .help("a configuration describes an experiment; keep data in files of its own")
}

/// The first character that no text file has.
fn control_character(text: &str, whole: Span) -> Option<Problem> {
    let (at, found) = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}'))?;
    let span = whole.part(at, found.len_utf8());
    let message = format!(
        "the control character U+{:04X} can't be in a configuration",
        u32::from(found)
    );
    Some(
        Problem::new(span, message)
            .help("is this a text file? In \"...\" quotes, write `\\x1b` and the like"),
    )
}

/// Makes a configuration of the first source, which is a file, and what goes
/// over it.
fn build(
    mut sources: Sources,
    dir: &Path,
    overrides: &[String],
    env: BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let schema = schema();
    let vocabulary = Vocabulary::new(&schema);
    let mut problems = Vec::new();
    let file = sources.whole(0);
    let is_readable;
    let mut tree = match yaml::parse(&sources, file, &mut problems) {
        Ok(Some(tree)) => {
            is_readable = true;
            tree
        }
        Ok(None) => {
            is_readable = true;
            Node {
                value: Content::Map(Vec::new()),
                span: file.part(0, 0),
            }
        }
        Err(problem) => {
            is_readable = false;
            problems.push(problem);
            Node {
                value: Content::Null,
                span: file.part(0, 0),
            }
        }
    };
    // Without the file's own keys, nothing can be said about the rest.
    if is_readable && matches!(tree.value, Content::Map(_)) {
        let variables = env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        overrides::environment(
            &mut tree,
            variables,
            &vocabulary,
            &mut sources,
            &mut problems,
        );
        overrides::arguments(
            &mut tree,
            overrides,
            &vocabulary,
            &mut sources,
            &mut problems,
        );
    }
    if is_readable {
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
            env: &env,
            sources: &sources,
            problems: &mut problems,
        }
        .check();
    }
    if !problems.is_empty() {
        return Err(ConfigError::new(problems, sources));
    }
    Config::deserialize(tree.to_json()).map_err(|error| {
        // The checks above are meant to see everything first.
        ConfigError::new(vec![Problem::new(tree.span, error.to_string())], sources)
    })
}
