use crate::store::files::beside;
use std::path::{Component, Path, PathBuf};

/// Where the files of a run are looked for and put.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The run's artifacts.
    pub(crate) artifacts: PathBuf,
    /// The command's working folder.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// The name under which a file will stand among the artifacts.
    pub(crate) fn name(&self, path: &Path, name: Option<&str>) -> Result<String, String> {
        if name.is_none()
            && let Some(inside) = self.inside(path)
        {
            return text(inside);
        }
        let own = || {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let name = name.map(str::to_owned).or_else(own);
        let name = name.ok_or_else(|| format!("`{}` names no file", path.display()))?;
        if is_plain(Path::new(&name)) {
            Ok(name)
        } else {
            Err(format!("`{name}` leads out of the run's artifacts"))
        }
    }

    /// Sees to it that the file stands under `name`.
    pub(crate) fn take(&self, path: &Path, name: &str) -> Result<(), String> {
        let target = self.artifacts.join(name);
        let source = match self.inside(path) {
            Some(inside) => self.artifacts.join(inside),
            None => self.folder.join(path),
        };
        let failed =
            |error: std::io::Error| format!("`{}` can't be kept: {error}", source.display());
        if source == target {
            let real = target.canonicalize().map_err(failed)?;
            let root = self.artifacts.canonicalize().map_err(failed)?;
            return if real.starts_with(root) {
                Ok(())
            } else {
                Err(format!("`{name}` leads out of the run's artifacts"))
            };
        }
        if source.metadata().map_err(failed)?.is_dir() {
            return Err(format!(
                "`{}` is a folder: write it into EXPLR_ARTIFACT_DIR instead",
                source.display()
            ));
        }
        self.copy(&source, &target).map_err(failed)
    }

    /// Complete or not at all.
    fn copy(&self, source: &Path, target: &Path) -> std::io::Result<()> {
        let parent = target.parent().unwrap_or(&self.artifacts);
        std::fs::create_dir_all(parent)?;
        if !parent
            .canonicalize()?
            .starts_with(self.artifacts.canonicalize()?)
        {
            return Err(std::io::Error::other("a link leads out of the artifacts"));
        }
        let temporary = beside(target, "new");
        let copied =
            std::fs::copy(source, &temporary).and_then(|_| std::fs::rename(&temporary, target));
        if copied.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        copied
    }

    /// The path below the artifacts, if it is there.
    fn inside<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let below = match path.strip_prefix(&self.artifacts) {
            Ok(below) => below,
            Err(_) if path.is_absolute() => return None,
            Err(_) => path,
        };
        (is_plain(below) && self.artifacts.join(below).exists()).then_some(below)
    }
}

fn is_plain(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn text(path: &Path) -> Result<String, String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("`{}` is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Place;
    use std::fs::{create_dir, read_to_string, write};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn files_are_kept_under_their_names_and_never_outside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let place = Place {
            artifacts: root.join("artifacts"),
            folder: root.clone(),
        };
        create_dir(&place.artifacts).unwrap();
        write(place.artifacts.join("a"), "inside").unwrap();
        write(root.join("a"), "outside").unwrap();
        write(root.join("b"), "b").unwrap();
        symlink(&root, place.artifacts.join("out")).unwrap();
        let keep = |path: &str, name: Option<&str>| {
            let name = place.name(Path::new(path), name)?;
            place.take(Path::new(path), &name).map(|()| name)
        };
        assert_eq!(keep("a", None), Ok("a".to_owned()));
        assert_eq!(read_to_string(place.artifacts.join("a")).unwrap(), "inside");
        assert_eq!(keep("b", None), Ok("b".to_owned()));
        assert_eq!(keep("b", Some("c/d")), Ok("c/d".to_owned()));
        assert_eq!(read_to_string(place.artifacts.join("c/d")).unwrap(), "b");
        let absolute = root.join("artifacts/a").display().to_string();
        assert_eq!(keep(&absolute, None), Ok("a".to_owned()));
        for (path, name) in [
            ("nowhere", None),
            ("b", Some("../x")),
            ("b", Some("/x")),
            ("b", Some("out/x")),
            ("out/b", None),
            ("..", None),
            ("artifacts", None),
        ] {
            assert!(keep(path, name).is_err(), "{path} {name:?}");
        }
    }
}
