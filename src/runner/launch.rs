//! Which program is a worker, and which is a template.

use super::{Granted, RunError};
use crate::config::{WorkerConfig, interpolate};
use explr_protocol::control::{Code, PythonCode};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where Python looks for modules.
const PYTHON_PATH: &str = "PYTHONPATH";

/// A program with what it is started with.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// What it needs in its environment.
    variables: Vec<(String, String)>,
}

impl Launch {
    /// The environment of the process: what it gets of the machine, what it
    /// needs, and what the user wants.
    pub(crate) fn environment(
        &self,
        granted: &Granted,
        worker: &WorkerConfig,
    ) -> Result<Vec<(String, String)>, RunError> {
        let mut further = self.variables.clone();
        for (name, value) in &worker.env {
            let value = interpolate::text(value)?;
            match further.iter_mut().find(|(own, _)| own == name) {
                Some((own, path)) if own == PYTHON_PATH => *path = format!("{path}:{value}"),
                Some((_, own)) => *own = value,
                None => further.push((name.clone(), value)),
            }
        }
        Ok(granted.environment_with(further))
    }

    /// A worker for `code`.
    pub(crate) fn worker(code: &Code) -> Result<Self, RunError> {
        match code {
            Code::Python(code) => Ok(python(code, "explr_sdk._worker")),
            Code::Plugin { .. } | Code::Command(_) => own(vec!["worker".into()]),
            Code::Program if super::workers_are_served() => own(super::spawn::own_arguments()),
            Code::Program => Err(RunError::NotServed),
        }
    }

    /// A template that forks workers for `code`; none where that can't be.
    pub(crate) fn template(code: &Code) -> Result<Option<Self>, RunError> {
        match code {
            Code::Python(code) => Ok(Some(python(code, "explr_sdk._template"))),
            Code::Plugin { .. } => own(vec!["worker".into()]).map(Some),
            Code::Program | Code::Command(_) => Ok(None),
        }
    }
}

fn own(arguments: Vec<OsString>) -> Result<Launch, RunError> {
    let program = std::env::current_exe().map_err(|source| RunError::Spawn {
        program: PathBuf::from("explr"),
        source,
    })?;
    Ok(Launch {
        program,
        arguments,
        variables: Vec::new(),
    })
}

fn python(code: &PythonCode, module: &str) -> Launch {
    let mut path = code.package.clone().into_os_string();
    if let Some(given) = std::env::var_os(PYTHON_PATH).filter(|given| !given.is_empty()) {
        path.push(":");
        path.push(given);
    }
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut variables = vec![
        // What it prints is shown when it is printed.
        variable("PYTHONUNBUFFERED", "1"),
        // A crash leaves the stack of Python in the log.
        variable("PYTHONFAULTHANDLER", "1"),
    ];
    variables.retain(|(name, _)| std::env::var_os(name).is_none());
    variables.push(variable(PYTHON_PATH, &path.to_string_lossy()));
    Launch {
        program: code.interpreter.clone(),
        arguments: vec!["-m".into(), module.into()],
        variables,
    }
}
