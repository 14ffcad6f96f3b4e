use crate::tracking::TrackingError;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// A Python that has MLflow: in a `.venv` of one of these folders or their
/// parents, in the active virtual environment, or behind `mlflow` on the PATH.
pub fn find(near: &[PathBuf]) -> Result<PathBuf, TrackingError> {
    let variable = std::env::var_os;
    find_in(
        near,
        variable("VIRTUAL_ENV").as_deref(),
        variable("PATH").as_deref(),
    )
}

fn find_in(
    near: &[PathBuf],
    virtual_env: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Result<PathBuf, TrackingError> {
    let mut looked_for = Vec::new();
    let venvs = near
        .iter()
        .flat_map(|folder| folder.ancestors().map(|folder| folder.join(".venv")))
        .chain(virtual_env.map(PathBuf::from));
    for venv in venvs {
        if let Some(python) = python_of(&venv) {
            return Ok(python);
        }
    }
    for folder in near {
        let text = format!("`.venv` in {} and its parents", folder.display());
        if !looked_for.contains(&text) {
            looked_for.push(text);
        }
    }
    looked_for.push("VIRTUAL_ENV".to_owned());
    looked_for.push("`mlflow` on PATH".to_owned());
    path.iter()
        .flat_map(std::env::split_paths)
        .find_map(|folder| interpreter_of(&folder.join("mlflow")))
        .ok_or(TrackingError::NoMlflow { looked_for })
}

/// The Python of a virtual environment, if MLflow is installed there.
fn python_of(venv: &Path) -> Option<PathBuf> {
    let python = venv.join("bin/python");
    let has_mlflow = fs::read_dir(venv.join("lib"))
        .ok()?
        .filter_map(Result::ok)
        .any(|folder| folder.path().join("site-packages/mlflow/server").is_dir());
    (has_mlflow && python.exists()).then_some(python)
}

/// The Python that a script's first line names.
fn interpreter_of(script: &Path) -> Option<PathBuf> {
    let text = fs::read(script).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("#!")?.trim();
    let python = PathBuf::from(line.split_whitespace().next()?);
    let is_python = python.file_name()?.to_str()?.starts_with("python");
    (is_python && python.exists()).then_some(python)
}

#[cfg(test)]
mod tests {
    use super::find_in;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    fn make_venv(folder: &Path, with_mlflow: bool) -> PathBuf {
        let python = folder.join(".venv/bin/python");
        fs::create_dir_all(python.parent().unwrap()).unwrap();
        fs::write(&python, "").unwrap();
        let site = folder.join(".venv/lib/python3.12/site-packages");
        fs::create_dir_all(if with_mlflow {
            site.join("mlflow/server")
        } else {
            site
        })
        .unwrap();
        python
    }

    #[test]
    fn the_nearest_environment_with_mlflow_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let outer = make_venv(folder.path(), true);
        make_venv(&inner, false);
        assert_eq!(find_in(&[inner], None, None).unwrap(), outer);
    }

    #[test]
    fn a_script_on_the_path_names_its_python() {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python3");
        fs::write(&python, "").unwrap();
        let script = format!("#!{}\nimport mlflow\n", python.display());
        fs::write(folder.path().join("mlflow"), script).unwrap();
        let path = std::ffi::OsStr::from_bytes(folder.path().as_os_str().as_bytes());
        assert_eq!(find_in(&[], None, Some(path)).unwrap(), python);
    }

    #[test]
    fn where_there_is_none_the_message_says_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let error = find_in(&[folder.path().to_owned()], None, None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("pip install mlflow"), "{text}");
        assert!(
            text.contains(&folder.path().display().to_string()),
            "{text}"
        );
    }
}
