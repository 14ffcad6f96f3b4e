//! Lists the files of the Python package that explr carries.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PACKAGE: &str = "python/explr_sdk";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PACKAGE}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    collect(&root.join(PACKAGE), &mut files)?;
    files.sort();
    let mut list = "[".to_owned();
    for file in &files {
        let name = file
            .strip_prefix(root.join("python"))
            .map_err(io::Error::other)?;
        let (name, file) = (name.to_string_lossy(), file.to_string_lossy());
        // `include_bytes!` makes cargo look at the file itself.
        let _ = write!(list, "({name:?}, include_bytes!({file:?}).as_slice()),");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("python_package.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "__pycache__") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "py")
            || path.file_name().is_some_and(|name| name == "py.typed")
        {
            files.push(path);
        }
    }
    Ok(())
}
