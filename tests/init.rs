//! `explr init` writes a project that is right as it is.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn init(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_explr"))
        .arg("init")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder that looks like libtorch of this version.
fn libtorch(folder: &Path, version: &str) {
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
    fs::write(
        folder.join("version.py"),
        format!("__version__ = '{version}'\n"),
    )
    .unwrap();
}

#[test]
fn a_new_project_has_a_crate_a_valid_config_and_a_link_to_libtorch() {
    let folder = tempfile::tempdir().unwrap();
    let torch = folder.path().join("torch");
    libtorch(&torch, "2.11.0+cpu");
    let output = Command::new(env!("CARGO_BIN_EXE_explr"))
        .args(["init", "my-net"])
        .current_dir(folder.path())
        .env("LIBTORCH", &torch)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let project = folder.path().join("my-net");
    for file in [
        "src/lib.rs",
        "README.md",
        ".gitignore",
        ".cargo/config.toml",
    ] {
        let text = fs::read_to_string(project.join(file)).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"my-net\""), "{manifest}");
    // The version of tch that binds this libtorch.
    assert!(manifest.contains("tch = \"0.24\""), "{manifest}");
    assert!(!manifest.contains("{{"), "{manifest}");
    assert_eq!(
        fs::canonicalize(project.join(".libtorch")).unwrap(),
        torch.canonicalize().unwrap()
    );
    let config =
        explr::config::load(&project.join("config.yaml"), &[], std::iter::empty()).unwrap();
    assert_eq!(config.config.experiment, "my-net");
    let first = fs::read_to_string(project.join("config.yaml")).unwrap();
    assert!(first.starts_with("# yaml-language-server: $schema=./explr.schema.json\n"));
    assert_eq!(
        fs::read_to_string(project.join("explr.schema.json")).unwrap(),
        explr::config::schema_text()
    );
}

#[test]
fn the_crate_is_one_that_cargo_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path(), &["project", "--name", "net"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(folder.path().join("project"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\"cdylib\"") && text.contains("explr-sdk"),
        "{text}"
    );
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let output = init(folder.path(), &["--name", "net"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("is not empty (it has `thesis.tex`)"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_name_that_no_crate_can_have_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path(), &["2nd"]);
    assert!(
        stderr(&output).contains("give one with `--name`"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_new_project_in_python_trains_and_searches_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path(), &["my-line", "--python"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let project = folder.path().join("my-line");
    for arguments in [
        &["run", "config.yaml", "mlflow=off"][..],
        &["tune", "config.yaml", "mlflow=off", "--n-trials", "8"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_explr"))
            .args(arguments)
            .current_dir(&project)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    }
    for file in ["README.md", "training.py", "config.yaml"] {
        let text = fs::read_to_string(project.join(file)).unwrap();
        assert!(text.contains("my-line") && !text.contains("{{"), "{file}");
    }
}
