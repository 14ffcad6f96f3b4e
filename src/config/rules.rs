mod train;

use super::Seconds;
use super::address;
use super::interpolate::{self, InterpolateError};
use super::names::{GOOD_NAMES, bad_name, names_below};
use super::node::{Content, Entry, Node};
use super::overrides::is_reserved;
use super::problem::Problem;
use super::remedy::shorten;
use super::render;
use super::source::{Sources, Span};
use super::suggest::nearest;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// What a schema can't say: rules of names, of paths and of keys that depend
/// on each other. They look at each value that has the right type, whatever is
/// wrong elsewhere.
pub(super) struct Rules<'a> {
    pub(super) tree: &'a Node,
    pub(super) dir: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) sources: &'a Sources,
    pub(super) problems: &'a mut Vec<Problem>,
}

/// Longer waits are no limits, and overflow the clock.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86400.0;

impl Rules<'_> {
    pub(super) fn check(mut self) {
        self.references();
        self.experiment();
        self.names();
        self.train();
        self.folders();
        self.resources();
        self.durations();
        self.worker();
        self.mlflow();
    }

    fn push(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    /// A text with its references resolved; undefined ones are reported once,
    /// by [`Self::references`].
    fn text(&self, path: &[&str]) -> Option<(String, Span)> {
        let node = &self.tree.at(path)?.value;
        let resolved = interpolate::text_with(node.text()?, &|name| self.env.get(name).cloned());
        Some((resolved.ok()?, node.span))
    }

    fn references(&mut self) {
        // A reference in a value of the wrong type is that one mistake.
        let known: HashSet<_> = self
            .problems
            .iter()
            .filter_map(|problem| problem.span)
            .collect();
        let mut found = Vec::new();
        self.tree.for_each_text(&mut |text, span| {
            let resolved = interpolate::text_with(text, &|name| self.env.get(name).cloned());
            if let Err(error) = resolved
                && !known.contains(&span)
            {
                found.push((error, span));
            }
        });
        for (count, (error, span)) in found.into_iter().enumerate() {
            let help = match &error {
                // Nobody will see more of them.
                _ if count > render::SHOWN => String::new(),
                InterpolateError::Undefined(name) => {
                    match nearest(name, self.env.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `${{env:{near}}}`?"),
                        None => format!("set it, as in `export {name}=...`"),
                    }
                }
                _ => "write `${env:NAME}`, or `$${env:` for the text itself".to_owned(),
            };
            let needle = match &error {
                InterpolateError::Undefined(name) => format!("${{env:{name}}}"),
                _ => "${env:".to_owned(),
            };
            let part = self.sources.slice(span).find(&needle);
            let span = part.map_or(span, |at| span.part(at, needle.len()));
            self.push(span, error.to_string(), help);
        }
    }

    fn experiment(&mut self) {
        let Some((name, span)) = self.text(&["experiment"]) else {
            return;
        };
        if name.trim().is_empty() {
            self.push(
                span,
                "`experiment` is empty",
                "give the experiment a name, as in `experiment: digits`",
            );
        } else if let Some(wrong) = name
            .chars()
            .find(|c| matches!(c, '/' | ':') || c.is_control())
        {
            let wrong = wrong.escape_debug();
            self.push(
                span,
                format!("the name of an experiment can't contain `{wrong}`"),
                "use letters, digits, spaces, `-`, `_` and `.`",
            );
        } else if name.chars().count() > 500 {
            let length = name.chars().count();
            self.push(
                span,
                format!("the name of the experiment has {length} characters, and 500 are the most that MLflow takes"),
                "give it a short name, and the rest as `description`",
            );
        }
    }

    /// Names of hyperparameters and tags become names of MLflow's.
    fn names(&mut self) {
        for (section, kind) in [("hyperparameters", "hyperparameter"), ("tags", "tag")] {
            if let Some(entry) = self.tree.entry(section) {
                let mut found = Vec::new();
                names_below(&entry.value, "", &mut found);
                for (name, span) in found {
                    if let Some(problem) = bad_name(&name) {
                        self.push(
                            span,
                            format!(
                                "`{}` can't be the name of a {kind}: {problem}",
                                shorten(&name)
                            ),
                            GOOD_NAMES,
                        );
                    }
                }
            }
        }
    }

    fn folders(&mut self) {
        for path in [
            &["store"][..],
            &["checkpoint_dir"],
            &["mlflow", "artifact_root"],
        ] {
            let key = path.join(".");
            let Some((text, span)) = self.text(path) else {
                continue;
            };
            let folder = super::locate(self.dir, Path::new(&text));
            if text.trim().is_empty() {
                self.push(
                    span,
                    format!("`{key}` is empty"),
                    "name a folder, or leave the key out",
                );
            } else if folder.is_file() {
                let shown = folder.display();
                self.push(
                    span,
                    format!("`{key}` is the file `{shown}`"),
                    "name a folder; it is made when it isn't there",
                );
            }
        }
    }

    fn resources(&mut self) {
        let device = self
            .tree
            .entry("device")
            .and_then(|entry| entry.value.text());
        let gpus = self
            .tree
            .at(&["resources", "gpus"])
            .map(|entry| &entry.value);
        let Some(gpus) = gpus else {
            return;
        };
        let wanted = match &gpus.value {
            Content::Number(number) => number.as_f64(),
            _ => None,
        };
        match (device, wanted) {
            (_, Some(wanted)) if wanted > 1.0 && wanted.fract() != 0.0 => {
                self.push(
                    gpus.span,
                    format!("`resources.gpus` is {wanted}, neither whole nor a part of one GPU"),
                    format!("write `{}`, or a part such as `0.5`", wanted.ceil()),
                );
            }
            (_, Some(wanted)) if wanted > f64::from(u16::MAX) => {
                self.push(
                    gpus.span,
                    format!("`resources.gpus` is {wanted:e}, more than any machine has"),
                    "leave it out for what `device` needs",
                );
            }
            (Some(device), Some(0.0)) if device.starts_with("cuda") => {
                let message = format!("`resources.gpus` is 0, but `device` is `{device}`");
                self.push(
                    gpus.span,
                    message,
                    "leave `resources.gpus` out, or write `device: cpu`",
                );
            }
            (Some("cpu"), Some(wanted)) if wanted > 0.0 => {
                let message = "`resources.gpus` asks for a GPU, but `device` is `cpu`";
                self.push(
                    gpus.span,
                    message,
                    "leave `resources.gpus` out, or write `device: cuda`",
                );
            }
            _ => {}
        }
    }

    fn durations(&mut self) {
        let positive: [&[&str]; 5] = [
            &["tune", "timeout"],
            &["worker", "timeout"],
            &["worker", "heartbeat_timeout"],
            &["worker", "progress_timeout"],
            &["mlflow", "system_metrics_interval"],
        ];
        let any: [&[&str]; 2] = [&["worker", "grace"], &["mlflow", "sync_timeout"]];
        for (path, may_be_zero) in positive
            .iter()
            .map(|p| (p, false))
            .chain(any.iter().map(|p| (p, true)))
        {
            let Some(entry) = self.tree.at(path) else {
                continue;
            };
            let Ok(seconds) = Seconds::deserialize(&entry.value.to_json()) else {
                continue;
            };
            let (seconds, span, key) = (seconds.0.as_secs_f64(), entry.value.span, path.join("."));
            if seconds == 0.0 && !may_be_zero {
                self.push(
                    span,
                    format!("`{key}` must be more than 0"),
                    match path {
                        ["worker", "timeout" | "progress_timeout"] | ["tune", "timeout"] => {
                            "leave the key out for no limit"
                        }
                        _ => "leave the key out for the default",
                    },
                );
            } else if seconds > MAX_SECONDS {
                self.push(
                    span,
                    format!("`{key}` is more than ten years"),
                    "leave the key out for the default",
                );
            }
        }
    }

    fn worker(&mut self) {
        let Some(worker) = self.tree.entry("worker").map(|entry| &entry.value) else {
            return;
        };
        for entry in worker
            .entry("env")
            .map(|env| env.value.entries())
            .unwrap_or_default()
        {
            self.variable(entry);
        }
        let retries = worker.entry("retries").map(|entry| &entry.value);
        let classes = worker.entry("retry_on").map(|entry| &entry.value.value);
        if let (Some(retries), Some(Content::List(classes))) = (retries, classes)
            && let Content::Number(number) = &retries.value
            && number.as_u64() > Some(0)
            && classes.is_empty()
        {
            let message = format!("`worker.retries` is {number}, but `worker.retry_on` is empty");
            self.push(
                retries.span,
                message,
                "name the failures to repeat, as in `retry_on: [signal, abort]`",
            );
        }
        let is_repeated = retries.is_some_and(
            |retries| !matches!(&retries.value, Content::Number(n) if n.as_u64() == Some(0)),
        );
        if let Some(policy) = worker.entry("cuda_oom").map(|entry| &entry.value)
            && policy.text() == Some("retry")
            && !is_repeated
        {
            self.push(
                policy.span,
                "`worker.cuda_oom` is `retry`, but `worker.retries` is 0",
                "say how often to repeat, as in `retries: 2`",
            );
        }
    }

    fn variable(&mut self, entry: &Entry) {
        let name = &entry.key;
        let span = entry.key_span;
        if name.is_empty() || name.contains(['=', '\0']) {
            self.push(
                span,
                format!("`{name}` can't be the name of an environment variable"),
                "write `NAME: value`",
            );
        } else if is_reserved(name) {
            self.push(
                span,
                format!("the worker's variable `{name}` is set by explr"),
                "choose another name",
            );
        } else if let Some(text) = entry.value.text()
            && text.contains('\0')
        {
            let message = format!("the value of the variable `{name}` contains a NUL byte");
            self.push(
                entry.value.span,
                message,
                "no environment variable can hold one",
            );
        }
    }

    fn mlflow(&mut self) {
        let Some(mlflow) = self.tree.entry("mlflow").map(|entry| &entry.value) else {
            return;
        };
        let is = |key: &str, wanted: bool| {
            mlflow.entry(key).is_some_and(
                |entry| matches!(entry.value.value, Content::Bool(value) if value == wanted),
            )
        };
        if is("enabled", false)
            && is("required", true)
            && let Some(entry) = mlflow.entry("required")
        {
            self.push(
                entry.key_span,
                "`mlflow.required` is true, but `mlflow.enabled` is false",
                "remove one of them",
            );
        }
        self.tracking_uri();
    }

    fn tracking_uri(&mut self) {
        let Some((uri, span)) = self.text(&["mlflow", "tracking_uri"]) else {
            return;
        };
        if let Err((message, help)) = address::check(uri.trim()) {
            self.push(span, message, help);
        }
    }
}

/// The file beside a missing one that was most likely meant.
pub(super) fn neighbour(path: &Path, fits: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(1000)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            fits(&entry.path()).then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    let wanted = path.file_name()?.to_str()?;
    nearest(wanted, names.iter().map(String::as_str)).map(PathBuf::from)
}
