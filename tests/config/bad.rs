//! Every file of `tests/bad_configs` is refused, with a message that is
//! reviewed as a snapshot.

use explr::config::{ConfigError, load};
use std::path::{Path, PathBuf};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs")
}

/// The bad files, in order.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

/// The environment of the tests: nothing of the machine gets into messages.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    [("MLFLOW_HOST", "box"), ("USER", "me")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// The message, without the folders of the machine.
fn message(error: &ConfigError) -> String {
    error
        .to_string()
        .replace(&format!("{}/", folder().display()), "")
        .replace(&format!("{}/", env!("CARGO_MANIFEST_DIR")), "")
}

#[test]
fn every_bad_file_is_refused_with_a_message_that_helps() {
    let files = files();
    assert!(files.len() >= 45, "{} files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../bad_configs/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            match load(&file, &[], environment()) {
                Ok(_) => panic!("{name} is accepted"),
                Err(error) => insta::assert_snapshot!(name, message(&error)),
            }
        }
    });
}
