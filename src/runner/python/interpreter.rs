//! Finds the Python that train functions run in.

use super::PythonError;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Python that the package works with.
const OLDEST: (u32, u32) = (3, 9);

/// How to come to an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Interpreter(PathBuf),
    /// The environment of the uv project in this folder, which uv makes.
    Uv(PathBuf),
}

/// An interpreter that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

/// What the search looks at, beside the file system.
pub(super) struct Surroundings<'a> {
    pub(super) virtual_env: Option<&'a OsStr>,
    pub(super) path: Option<&'a OsStr>,
}

/// The interpreter that the configuration names, else the active virtual
/// environment's, else that of a `.venv` or a uv project in one of the folders
/// `near` or above them, else `python3` on the PATH.
pub(super) fn find(
    given: Option<&Path>,
    near: &[&Path],
    around: &Surroundings,
) -> Result<Way, PythonError> {
    let on_path = |name: &Path| {
        let folders = around.path.iter().flat_map(std::env::split_paths);
        folders
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    if let Some(given) = given {
        let here = near.iter().map(|folder| folder.join(given));
        let mut candidates = here.flat_map(|path| [path.join("bin/python"), path]);
        let found = candidates.find(|path| path.is_file());
        return found
            .or_else(|| on_path(given))
            .map(Way::Interpreter)
            .ok_or_else(|| PythonError::NotThere {
                given: given.to_owned(),
            });
    }
    if let Some(python) = around
        .virtual_env
        .and_then(|venv| python_of(Path::new(venv)))
    {
        return Ok(Way::Interpreter(python));
    }
    for folder in near.iter().flat_map(|folder| folder.ancestors()) {
        if let Some(python) = python_of(&folder.join(".venv")) {
            return Ok(Way::Interpreter(python));
        }
        if folder.join("uv.lock").is_file() && on_path(Path::new("uv")).is_some() {
            return Ok(Way::Uv(folder.to_owned()));
        }
    }
    on_path(Path::new("python3"))
        .map(Way::Interpreter)
        .ok_or(PythonError::None)
}

fn python_of(venv: &Path) -> Option<PathBuf> {
    let python = venv.join("bin/python");
    python.is_file().then_some(python)
}

impl Way {
    /// Starts the interpreter to see whether it can be used.
    pub(super) fn go(&self) -> Result<Interpreter, PythonError> {
        let mut command = match self {
            Self::Interpreter(path) => Command::new(path),
            Self::Uv(project) => {
                let mut command = Command::new("uv");
                command
                    .args(["run", "--project"])
                    .arg(project)
                    .arg("python");
                if std::io::stderr().is_terminal() {
                    // It may have much to download, and shows how far it is.
                    command.stderr(Stdio::inherit());
                }
                command
            }
        };
        // Its own idea of its path, for uv's sake.
        let question = "import sys; print(*sys.version_info[:3], sys.executable)";
        command.args(["-c", question]).stdin(Stdio::null());
        let shown = command.get_program().display().to_string();
        let output = match command.output() {
            Ok(output) => output,
            Err(source) => {
                return Err(PythonError::NoStart {
                    command: shown,
                    source,
                });
            }
        };
        let answer = String::from_utf8_lossy(&output.stdout);
        let mut words = answer.trim().splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let version = (number(), number(), number());
        let (Some(major), Some(minor), Some(patch), true) =
            (version.0, version.1, version.2, output.status.success())
        else {
            return Err(PythonError::NoAnswer {
                command: shown,
                status: output.status,
                said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        };
        let path = match self {
            // Through its link: a virtual environment is known by it.
            Self::Interpreter(path) => path.clone(),
            Self::Uv(_) => PathBuf::from(words.next().unwrap_or_default()),
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        let version = format!("{major}.{minor}.{patch}");
        if (major, minor) < OLDEST {
            return Err(PythonError::TooOld { path, version });
        }
        Ok(Interpreter { path, version })
    }
}

#[cfg(test)]
mod tests {
    use super::{Surroundings, Way, find};
    use std::fs;
    use std::path::{Path, PathBuf};

    fn python(venv: &Path) -> PathBuf {
        let python = venv.join("bin/python");
        fs::create_dir_all(python.parent().unwrap()).unwrap();
        fs::write(&python, "").unwrap();
        python
    }

    #[test]
    fn the_configuration_comes_first_and_the_system_last() {
        let root = tempfile::tempdir().unwrap();
        let (near, bin) = (root.path().join("a/b"), root.path().join("bin"));
        for folder in [&near, &bin] {
            fs::create_dir_all(folder).unwrap();
        }
        let look = |given: Option<&str>, venv: Option<&Path>| {
            let around = Surroundings {
                virtual_env: venv.map(Path::as_os_str),
                path: Some(bin.as_os_str()),
            };
            find(given.map(Path::new), &[&near], &around)
        };
        assert!(look(None, None).is_err());

        fs::write(bin.join("python3"), "").unwrap();
        assert_eq!(
            look(None, None).unwrap(),
            Way::Interpreter(bin.join("python3"))
        );

        fs::write(root.path().join("a/uv.lock"), "").unwrap();
        assert_eq!(
            look(None, None).unwrap(),
            Way::Interpreter(bin.join("python3"))
        );
        fs::write(bin.join("uv"), "").unwrap();
        assert_eq!(look(None, None).unwrap(), Way::Uv(root.path().join("a")));

        let local = python(&root.path().join("a/.venv"));
        assert_eq!(look(None, None).unwrap(), Way::Interpreter(local));
        let active = root.path().join("active");
        let active_python = python(&active);
        assert_eq!(
            look(None, Some(&active)).unwrap(),
            Way::Interpreter(active_python)
        );

        let own = python(&near.join("env"));
        for given in ["env", "env/bin/python"] {
            assert_eq!(
                look(Some(given), Some(&active)).unwrap(),
                Way::Interpreter(own.clone())
            );
        }
        let named = look(Some("python3"), Some(&active)).unwrap();
        assert_eq!(named, Way::Interpreter(bin.join("python3")));
        assert!(look(Some("python9"), None).is_err());
    }
}
