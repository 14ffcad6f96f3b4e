//! The package `explr_sdk`, which this program carries and Python workers
//! import.

use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Path and content of each file.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/python_package.rs"));

/// How often this process has begun to fill it.
static UNPACKED: AtomicU32 = AtomicU32::new(0);

/// The folder to look for modules in, under `store`; it is filled if it isn't
/// there.
pub(super) fn unpack(store: &Path) -> io::Result<PathBuf> {
    let all = store.join("python");
    let folder = all.join(digest());
    if folder.is_dir() {
        return Ok(folder);
    }
    crate::store::make_dir(&all).map_err(io::Error::other)?;
    let number = UNPACKED.fetch_add(1, Ordering::Relaxed);
    let fresh = all.join(format!("{}.{number}.tmp", std::process::id()));
    for (name, content) in FILES {
        let path = fresh.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&fresh))?;
        fs::write(path, content)?;
    }
    match fs::rename(&fresh, &folder) {
        Ok(()) => Ok(folder),
        // Another process was faster.
        Err(_) if folder.is_dir() => {
            let _ = fs::remove_dir_all(&fresh);
            Ok(folder)
        }
        Err(error) => {
            let _ = fs::remove_dir_all(&fresh);
            Err(error)
        }
    }
}

/// Names the files by what is in them, so that no run sees another version
/// than the one it began with.
fn digest() -> String {
    let mut digest = Sha256::new();
    for (name, content) in FILES {
        digest.update(name.len().to_le_bytes());
        digest.update(name);
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    let digest = format!("{:x}", digest.finalize());
    digest[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{FILES, unpack};
    use std::fs;

    #[test]
    fn the_package_is_unpacked_once_and_whole() {
        let store = tempfile::tempdir().unwrap();
        let folder = unpack(store.path()).unwrap();
        assert!(folder.join("explr_sdk/_worker.py").is_file());
        for (name, content) in FILES {
            assert_eq!(&fs::read(folder.join(name)).unwrap(), content, "{name}");
        }
        let mark = folder.join("mark");
        fs::write(&mark, "").unwrap();
        assert_eq!(unpack(store.path()).unwrap(), folder);
        assert!(mark.exists());
        assert_eq!(
            fs::read_dir(store.path().join("python")).unwrap().count(),
            1
        );
    }
}
