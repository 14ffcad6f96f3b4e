//! A made-up NVIDIA driver, and C compiled for tests.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// Puts the driver of `driver.c` into a folder, for `LD_LIBRARY_PATH`.
pub(crate) fn put(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver/driver.c");
    compile(&source, &folder.join("libnvidia-ml.so.1"));
}

/// Compiles a library.
pub(crate) fn compile(source: &Path, library: &Path) {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .arg(library)
        .arg(source)
        .status();
    assert!(built.unwrap().success());
}
