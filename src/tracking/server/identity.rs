use crate::tracking::TrackingError;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The header and the experiment tag that say whose server it is.
pub(super) const NAME: &str = "explr.server";

/// The identity of the database in this folder, made at the first call.
///
/// A UUID and a hash of the place: a copied store is another one, although its
/// files are the same.
pub(super) fn of(dir: &Path) -> Result<String, TrackingError> {
    make_dir(dir)?;
    let place = dir.canonicalize().map_err(TrackingError::io(dir))?;
    let hash = Sha256::digest(place.as_os_str().as_bytes());
    let short = hash
        .iter()
        .take(4)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok(format!("{}-{short}", uuid(&dir.join("identity"))?))
}

/// Makes a folder that only its owner may enter.
pub(super) fn make_dir(dir: &Path) -> Result<(), TrackingError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(TrackingError::io(dir))
}

fn uuid(path: &Path) -> Result<String, TrackingError> {
    // Made elsewhere and linked into place: of two processes that make it at
    // once, one wins, and none reads half of it.
    let mut tries = 0;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().len() == 36 => return Ok(text.trim().to_owned()),
            Ok(_) => fs::remove_file(path).map_err(TrackingError::io(path))?,
            Err(error) if error.kind() == ErrorKind::NotFound && tries < 10 => {}
            Err(error) => return Err(TrackingError::io(path)(error)),
        }
        tries += 1;
        let new = uuid::Uuid::new_v4().to_string();
        let draft = path.with_file_name(format!("identity.{new}"));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(new.as_bytes()))
            .and_then(|()| match fs::hard_link(&draft, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        let _ = fs::remove_file(&draft);
        written.map_err(TrackingError::io(path))?;
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_store_keeps_its_identity_and_a_copy_gets_another() {
        let folder = tempfile::tempdir().unwrap();
        let (original, copy) = (folder.path().join("a"), folder.path().join("b"));
        let identity = of(&original).unwrap();
        assert_eq!(of(&original).unwrap(), identity);
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(original.join("identity"), copy.join("identity")).unwrap();
        assert_ne!(of(&copy).unwrap(), identity);
    }

    #[test]
    fn processes_that_make_it_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let identities: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| of(folder.path()).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(identities.iter().all(|identity| *identity == identities[0]));
    }
}
