use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The Python of the workspace, or that of the variable, which is for whoever
/// has Optuna elsewhere.
pub(crate) fn interpreter() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let path = std::env::var_os("EXPLR_TEST_PYTHON").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python"),
            PathBuf::from,
        );
        let status = Command::new(&path)
            .args(["-c", "import optuna, optuna_dashboard"])
            .stderr(Stdio::null())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{} has no Optuna: run `make setup`",
            path.display()
        );
        path
    })
}

/// Starts `helper.py`.
pub(crate) fn start(command: &str, journal: &Path, study: &str, arguments: &[&str]) -> Child {
    Command::new(interpreter())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optuna/helper.py"))
        .arg(command)
        .arg(journal)
        .arg(study)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What `helper.py` answers.
pub(crate) fn answer(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "see the error above");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs `helper.py`.
pub(crate) fn call(command: &str, journal: &Path, study: &str, arguments: &[&str]) -> Value {
    answer(start(command, journal, study, arguments))
}
