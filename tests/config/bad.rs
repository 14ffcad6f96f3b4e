//! Every file of `tests/bad_configs` is refused, with a message that is
//! reviewed as a snapshot.

use explr::config::{ConfigError, load};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_configs")
}

/// The environment of the tests: nothing of the machine gets into messages.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    [("MLFLOW_HOST", "box"), ("USER", "me")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// The message, with the folder taken out of paths.
fn message(error: &ConfigError) -> String {
    error
        .to_string()
        .replace(&format!("{}/", folder().display()), "")
}

#[test]
fn every_bad_file_is_refused_with_a_message_that_helps() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
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
