//! The command says the same as the library, and ends with code 3.

use crate::bad::{files, folder};
use std::process::Command;

fn explr() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("explr"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EXPLR_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

#[test]
fn every_bad_file_ends_the_command_with_code_3() {
    for file in files() {
        let output = explr()
            .arg("run")
            .arg(&file)
            .arg("--dry-run")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(3),
            "{}: {stderr}",
            file.display()
        );
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(
            stderr.trim_end().ends_with("in the configuration"),
            "{stderr}"
        );
        assert!(output.stdout.is_empty(), "{}", file.display());
    }
}

#[test]
fn a_bad_override_or_variable_ends_the_command_with_code_3() {
    let good = folder().join("good.yml");
    let run = |argument: &str, variable: (&str, &str)| {
        let mut command = explr();
        command.arg("run").arg(&good).arg(argument).arg("--dry-run");
        let output = command.env(variable.0, variable.1).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stderr) = run("sed=3", ("A", "b"));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("did you mean `seed`?"), "{stderr}");
    let (code, stderr) = run("seed=3", ("EXPLR_DEVCE", "cpu"));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("did you mean `EXPLR_DEVICE`?"), "{stderr}");
    let (code, stderr) = run("seed=3", ("EXPLR_DEVICE", "cpu"));
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_missing_file_ends_the_command_with_code_3() {
    let output = explr()
        .args(["run", "nothing.yaml", "--dry-run"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_schema_is_printed() {
    let output = explr().arg("schema").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        explr::config::schema_text()
    );
    assert_eq!(output.status.code(), Some(0));
}
