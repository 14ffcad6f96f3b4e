//! From a configuration to what will run.

use super::provenance::Origin;
use super::resources::{self, Granted};
use super::{PythonFunction, Resume, RunError, Sink, command, libtorch, plugin_crate};
use crate::Error;
use crate::config::Loaded;
use crate::gpu::{self, Limit};
use crate::store::Manifest;
use explr_protocol::{Command, TrainFunction, control};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run, as asked for.
#[derive(Clone)]
pub struct Request {
    /// The configuration.
    pub loaded: Loaded,
    /// A function of this program, instead of a plugin's.
    pub function: Option<Arc<dyn TrainFunction>>,
    /// Run that function in this process, without isolation.
    pub in_process: bool,
    /// What to do about earlier runs.
    pub resume: Resume,
    /// The command line, for the record.
    pub command: Vec<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Request")
            .field("loaded", &self.loaded)
            .field("function", &self.function.as_ref().map(|f| f.name()))
            .field("in_process", &self.in_process)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}

/// The code of a train function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Code {
    /// A plugin, built.
    Plugin(PathBuf),
    /// A crate that builds a plugin.
    Crate(PathBuf),
    /// A function of Python.
    Python(PythonFunction),
    /// A function of this program.
    Program,
    /// Another program.
    Command(Box<Command>),
}

/// What will run, on what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The code as the configuration gives it.
    pub code: Code,
    /// Name of the train function, or the words of a command.
    pub function: String,
    /// What a worker gets of the machine.
    pub granted: Granted,
    /// The libtorch that the worker opens, if the code needs one.
    pub libtorch: Option<PathBuf>,
    /// Folder of the store.
    pub store: PathBuf,
    /// The limit of GPU memory in force.
    pub gpu_memory: Limit,
    /// Folder of the configuration.
    pub(crate) folder: PathBuf,
}

impl Plan {
    /// Decides, without building or starting anything.
    pub fn make(request: &Request) -> Result<Self, Error> {
        let config = &request.loaded.config;
        let current = std::env::current_dir().unwrap_or_default();
        let folder = current.join(&request.loaded.dir);
        let code = code(request, &folder, &current)?;
        let libtorch = match &code {
            Code::Plugin(path) | Code::Crate(path) => libtorch::find(&[path, &folder, &current]),
            Code::Python(function) => function.libtorch(),
            Code::Program | Code::Command(_) => None,
        };
        let store = current.join(request.loaded.resolve(&config.store));
        let gpu_memory = gpu::limit(Some(&request.loaded), Some(&store))?;
        let granted = resources::grant(config, &gpu_memory, libtorch.as_deref())?;
        Ok(Self {
            function: match (&request.function, &code) {
                (Some(function), _) => function.name().to_owned(),
                (None, Code::Python(function)) => function.name().to_owned(),
                (None, Code::Command(command)) => command::shown(command),
                (None, _) => config.train.function.clone(),
            },
            code,
            granted,
            libtorch,
            folder,
            store,
            gpu_memory,
        })
    }

    /// The code for a worker; a crate is built first.
    pub(crate) fn build(&self, sink: &mut Sink<'_>) -> Result<control::Code, RunError> {
        let path = match &self.code {
            Code::Program => return Ok(control::Code::Program),
            Code::Python(function) => {
                let code = function.prepare(&self.store)?;
                return Ok(control::Code::Python(code));
            }
            Code::Command(command) => return Ok(control::Code::Command(command.clone())),
            Code::Plugin(path) => path.clone(),
            Code::Crate(folder) => plugin_crate::build(folder, self.libtorch.as_deref(), sink)?,
        };
        Ok(control::Code::Plugin {
            path,
            libtorch: self.libtorch.clone(),
        })
    }

    /// Where its runs come from, when it is built as `built`.
    pub(crate) fn origin(&self, request: &Request, built: &control::Code) -> Origin {
        let folder = match &self.code {
            Code::Crate(path) => path.clone(),
            Code::Plugin(path) => path.parent().unwrap_or(Path::new(".")).to_owned(),
            Code::Python(function) => function.folder().to_owned(),
            Code::Program => std::env::current_dir().unwrap_or_default(),
            Code::Command(_) => self.folder.clone(),
        };
        let code = match (&self.code, &request.loaded.config.train.plugin) {
            (Code::Plugin(_) | Code::Crate(_), Some(plugin)) => plugin.display().to_string(),
            (Code::Python(_), _) => "python".to_owned(),
            (Code::Command(_), _) => Manifest::COMMAND.to_owned(),
            _ => "program".to_owned(),
        };
        let mut versions = BTreeMap::new();
        if let Some(version) = self
            .libtorch
            .as_deref()
            .and_then(crate::worker::libtorch_version)
        {
            versions.insert("libtorch".to_owned(), version);
        }
        if let control::Code::Python(python) = built {
            versions.insert("python".to_owned(), python.version.clone());
        }
        Origin::find(
            &folder,
            self.function.clone(),
            code,
            versions,
            &request.command,
        )
    }
}

fn code(request: &Request, folder: &Path, current: &Path) -> Result<Code, RunError> {
    if request.function.is_some() {
        return Ok(Code::Program);
    }
    if let Some(arguments) = &request.loaded.config.train.command {
        let command = command::of(&request.loaded, arguments.clone());
        return Ok(Code::Command(Box::new(command)));
    }
    if let Some(function) = PythonFunction::of(&request.loaded, folder, current)? {
        return Ok(Code::Python(function));
    }
    let Some(plugin) = &request.loaded.config.train.plugin else {
        return Err(RunError::NoTrainFunction);
    };
    let path = request.loaded.resolve(plugin);
    let path = path.canonicalize().unwrap_or(path);
    if path.join("Cargo.toml").is_file() {
        Ok(Code::Crate(path))
    } else if path.is_file() {
        Ok(Code::Plugin(path))
    } else {
        Err(RunError::NoPlugin { path })
    }
}
