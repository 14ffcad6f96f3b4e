//! Train functions of Python: the interpreter, the package, and the call.

mod interpreter;
mod package;

use super::libtorch;
use crate::Exit;
use crate::config::Loaded;
use explr_protocol::control::{Call, PythonCode};
use interpreter::{Interpreter, Surroundings, Way};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// A function of Python, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PythonFunction {
    target: String,
    call: Call,
    way: Way,
    /// The folder of the configuration.
    folder: PathBuf,
}

/// Why no function of Python can be called.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The one that the configuration names is not there.
    #[error(
        "`train.python`: there is no `{}`, neither beside the configuration nor on the PATH\n\
         help: name an interpreter or the folder of a virtual environment",
        given.display()
    )]
    NotThere {
        /// As it was given.
        given: PathBuf,
    },
    /// There is none.
    #[error(
        "no Python was found: neither an active virtual environment, nor a `.venv` beside the \
         configuration or above it, nor `python3` on the PATH\n\
         help: install Python 3.9 or newer, or name the interpreter in `train.python`"
    )]
    None,
    /// It can't be started.
    #[error("`{command}` can't be started: {source}")]
    NoStart {
        /// The command.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// It doesn't work.
    #[error("`{command}` doesn't work ({status}){}{said}", if said.is_empty() { "" } else { ":\n" })]
    NoAnswer {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        said: String,
    },
    /// It is too old.
    #[error(
        "{} is Python {version}, and explr needs 3.9 or newer\n\
         help: name another interpreter in `train.python`",
        path.display()
    )]
    TooOld {
        /// The interpreter.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The package could not be written into the store.
    #[error("the Python package can't be written to {}: {source}", folder.display())]
    Unpack {
        /// The store.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl PythonError {
    /// The code that a command ends with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NotThere { .. } => Exit::Config,
            Self::Unpack { .. } => Exit::Store,
            Self::None | Self::NoStart { .. } | Self::NoAnswer { .. } | Self::TooOld { .. } => {
                Exit::Plugin
            }
        }
    }
}

impl PythonFunction {
    /// The function of Python that a configuration names, if it does.
    /// `folder` is the configuration's, `current` the one that explr is in.
    pub(super) fn of(
        loaded: &Loaded,
        folder: &Path,
        current: &Path,
    ) -> Result<Option<Self>, PythonError> {
        let train = &loaded.config.train;
        let Some((target, call)) = train.python_function() else {
            return Ok(None);
        };
        let variable = std::env::var_os;
        let way = interpreter::find(
            train.python.as_deref(),
            &[folder, current],
            &Surroundings {
                virtual_env: variable("VIRTUAL_ENV").as_deref(),
                path: variable("PATH").as_deref(),
            },
        )?;
        Ok(Some(Self {
            target: target.to_owned(),
            call,
            way,
            folder: folder.to_owned(),
        }))
    }

    /// Its name, with the module's.
    pub fn name(&self) -> &str {
        &self.target
    }

    /// What it is called in: an interpreter, or a project of uv.
    pub fn environment(&self) -> &Path {
        match &self.way {
            Way::Interpreter(path) | Way::Uv(path) => path,
        }
    }

    /// The first folder that its module is looked for in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The libtorch of its environment, if PyTorch is installed there.
    pub(super) fn libtorch(&self) -> Option<PathBuf> {
        let environment = match &self.way {
            Way::Interpreter(python) => python.parent()?.parent()?.to_owned(),
            Way::Uv(project) => project.join(".venv"),
        };
        libtorch::of_environment(&environment)
    }

    /// Sees that the interpreter works and has what it needs.
    pub(super) fn prepare(&self, store: &Path) -> Result<PythonCode, PythonError> {
        let Interpreter { path, version } = self.way.go()?;
        let package = package::unpack(store).map_err(|source| PythonError::Unpack {
            folder: store.to_owned(),
            source,
        })?;
        Ok(PythonCode {
            interpreter: path,
            version,
            package,
            folder: self.folder.clone(),
            target: self.target.clone(),
            call: self.call,
        })
    }
}
