use super::{Rules, neighbour};
use crate::config::python::{Place, Target};
use crate::config::source::Span;
use crate::config::{locate, tidy};
use std::path::Path;

impl Rules<'_> {
    /// Where the train function is.
    pub(super) fn train(&mut self) {
        self.plugin();
        let in_python = self.call_of_python();
        self.python(in_python);
    }

    fn plugin(&mut self) {
        let Some((text, span)) = self.text(&["train", "plugin"]) else {
            return;
        };
        if text.trim().is_empty() {
            return self.push(
                span,
                "`train.plugin` is empty",
                "name the plugin's `.so` or the folder of its crate, as in `plugin: ./my-plugin`",
            );
        }
        let path = locate(self.dir, Path::new(&text));
        let shown = tidy(&path);
        let shown = shown.display();
        if path.is_dir() {
            if !path.join("Cargo.toml").is_file() {
                self.push(
                    span,
                    format!("the folder `{shown}` is no plugin crate: it has no `Cargo.toml`"),
                    "name the folder of a plugin crate or a built `.so`; `explr init` makes a new one",
                );
            }
        } else if path.exists() {
            if path.extension().is_none_or(|extension| extension != "so") {
                self.push(
                    span,
                    format!(
                        "`{shown}` is no plugin: neither a `.so` file nor the folder of a crate"
                    ),
                    "name the folder that holds its `Cargo.toml`, and explr builds it",
                );
            }
        } else {
            let help = neighbour(&path, |near| {
                near.is_dir() || near.extension().is_some_and(|e| e == "so")
            })
            .map_or_else(
                || "paths are relative to the folder of the configuration file".to_owned(),
                |near| {
                    let near = Path::new(&text).with_file_name(near);
                    format!("did you mean `{}`?", near.display())
                },
            );
            self.push(span, format!("there is no plugin at `{shown}`"), help);
        }
    }

    /// The name of the function. Whether it is one of Python.
    fn call_of_python(&mut self) -> bool {
        let plugin = self.text(&["train", "plugin"]).is_some();
        let function = self.text(&["train", "function"]);
        let objective = self.text(&["train", "objective"]);
        let in_python = function
            .as_ref()
            .is_some_and(|(name, _)| name.contains(':'));
        if let Some((name, span)) = function {
            if in_python && plugin {
                self.push(
                    span,
                    "a function of a plugin has no `:` in its name",
                    "leave `train.plugin` out to call a function of Python",
                );
            } else if in_python {
                self.target("function", &name, span);
            } else if !is_name(&name) {
                self.push(
                    span,
                    format!("`{name}` can't be the name of a function"),
                    "write the name that the plugin exports, as in `function: train_model`, or a \
                     function of Python, as in `function: my_module:train_model`",
                );
            }
        }
        let Some((name, span)) = objective else {
            return in_python && !plugin;
        };
        if plugin || in_python {
            let other = if plugin { "a plugin" } else { "a function" };
            self.push(
                span,
                format!("`train` names {other} and an objective"),
                "leave one of them out",
            );
        }
        self.target("objective", &name, span);
        true
    }

    /// A function of Python.
    fn target(&mut self, key: &str, text: &str, span: Span) {
        let example = if key == "objective" {
            key
        } else {
            "train_model"
        };
        let target = match Target::parse(text) {
            Ok(target) => target,
            Err(problem) => {
                return self.push(
                    span,
                    format!("`train.{key}`: {problem}"),
                    format!(
                        "write it as in `{key}: my_module:{example}` or \
                         `{key}: folder/train.py:{example}`"
                    ),
                );
            }
        };
        let Place::File(file) = target.place else {
            return;
        };
        let path = locate(self.dir, Path::new(file));
        if path.is_file() {
            return;
        }
        let help = neighbour(&path, |near| near.extension().is_some_and(|e| e == "py"))
            .map_or_else(
                || "paths are relative to the folder of the configuration file".to_owned(),
                |near| {
                    let near = Path::new(file).with_file_name(near);
                    format!("did you mean `{}:{}`?", near.display(), target.function)
                },
            );
        let shown = tidy(&path);
        self.push(
            span,
            format!("there is no file `{}`", shown.display()),
            help,
        );
    }

    /// The interpreter.
    fn python(&mut self, in_use: bool) {
        let Some((text, span)) = self.text(&["train", "python"]) else {
            return;
        };
        if !in_use {
            return self.push(
                span,
                "`train.python` is set, and no function of Python is called",
                "leave it out, or name one, as in `function: my_module:train_model`",
            );
        }
        // A plain name is looked for on the PATH.
        if text.contains('/') && !locate(self.dir, Path::new(&text)).exists() {
            self.push(
                span,
                format!("there is no Python at `{text}`"),
                "name an interpreter or the folder of a virtual environment, as in `python: .venv`",
            );
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}
