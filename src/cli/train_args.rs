use super::run::assignment;
use anyhow::Context;
use std::path::Path;

/// What is trained, on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// The train function: of a plugin (`.so`, or the folder of a crate), or of Python, as in
    /// `my_module:train_model` or `train.py:train_model`.
    #[arg(long, value_name = "PATH|MODULE[:FUNCTION]")]
    train_fn: Option<String>,
    /// An objective of Optuna, as in `my_module:objective`.
    #[arg(long, value_name = "MODULE:OBJECTIVE", conflicts_with = "train_fn")]
    objective: Option<String>,
}

impl TrainArgs {
    /// The settings that they stand for.
    pub(super) fn settings(&self) -> anyhow::Result<Vec<String>> {
        if let Some(given) = &self.objective {
            return Ok([
                &nothing(["plugin", "command", "metrics"])[..],
                &["train.function=train_model".to_owned()],
                &[assignment("train.objective", &python(given)?)],
            ]
            .concat());
        }
        let Some(given) = &self.train_fn else {
            return Ok(Vec::new());
        };
        let (path, function) = split(given);
        // A package of Python is a folder too.
        let is_plugin = path.is_file() || path.join("Cargo.toml").is_file();
        let is_module = function.is_some() && path.to_str().is_some_and(is_module);
        let is_python = path.extension().is_some_and(|kind| kind == "py");
        if is_python || (is_module && !is_plugin) {
            let mut settings = nothing(["plugin", "objective", "command", "metrics"]);
            settings.push(assignment("train.function", &python(given)?));
            return Ok(settings);
        }
        let path = std::path::absolute(path).context("the current folder is gone")?;
        let mut settings = nothing(["objective", "python", "command", "metrics"]);
        settings.push(assignment("train.plugin", &path.display().to_string()));
        settings.extend(function.map(|name| assignment("train.function", name)));
        Ok(settings)
    }
}

/// Takes back what the file says of where the train function is.
fn nothing<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(|key| format!("train.{key}=null")).into()
}

/// A function of Python, whose file is seen from the current folder.
fn python(given: &str) -> anyhow::Result<String> {
    match given.split_once(".py:") {
        Some((file, function)) => {
            let file = std::path::absolute(format!("{file}.py"));
            let file = file.context("the current folder is gone")?;
            Ok(format!("{}:{function}", file.display()))
        }
        None => Ok(given.to_owned()),
    }
}

/// `PATH:function`, where the path may hold colons too.
fn split(given: &str) -> (&Path, Option<&str>) {
    match given.rsplit_once(':') {
        Some((path, function)) if !path.is_empty() && is_module(function) => {
            (Path::new(path), Some(function))
        }
        _ => (Path::new(given), None),
    }
}

fn is_module(text: &str) -> bool {
    let is_name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::split;
    use std::path::Path;

    #[test]
    fn a_function_follows_the_last_colon() {
        for (given, path, function) in [
            ("plugins/digits", "plugins/digits", None),
            (
                "plugins/digits:train_cnn",
                "plugins/digits",
                Some("train_cnn"),
            ),
            ("my.module:Model.fit", "my.module", Some("Model.fit")),
            ("a:b/plugin.so", "a:b/plugin.so", None),
            (":x", ":x", None),
        ] {
            assert_eq!(split(given), (Path::new(path), function), "{given}");
        }
    }
}
