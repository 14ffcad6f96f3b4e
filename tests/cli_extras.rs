//! What a packager takes from the command: completions and manual pages.

#![allow(clippy::unwrap_used)]

use std::process::Command;

fn explr() -> Command {
    Command::new(env!("CARGO_BIN_EXE_explr"))
}

#[test]
fn every_shell_gets_a_completion_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = explr().args(["completions", shell]).output().unwrap();
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["mlflow-ui", "train-fn", "repair"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_bash_completion_script_is_one_that_bash_takes() {
    let output = explr().args(["completions", "bash"]).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("explr.bash");
    std::fs::write(&script, output.stdout).unwrap();
    let status = Command::new("bash").arg("-n").arg(&script).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    let output = explr().arg("man").arg(&pages).output().unwrap();
    assert!(output.status.success());
    for page in [
        "explr.1",
        "explr-run.1",
        "explr-runs-list.1",
        "explr-sync.1",
    ] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    assert!(!pages.join("explr-worker.1").exists());
}

#[test]
fn wrong_usage_has_its_own_code() {
    let output = explr().args(["run", "--no-such-flag"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
