//! Builds the crate of a plugin with cargo.

use super::{RunError, Sink, libtorch};
use crate::report::RunEvent;
use serde::Deserialize;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The part of cargo's JSON messages that matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// Builds the crate in `folder` in release mode and returns its shared
/// library. Cargo's errors come back word for word.
pub(super) fn build(
    folder: &Path,
    libtorch: Option<&Path>,
    sink: &mut Sink<'_>,
) -> Result<PathBuf, RunError> {
    let began = Instant::now();
    sink(RunEvent::Building {
        folder: folder.to_owned(),
    });
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let color = if std::io::stderr().is_terminal() {
        "always"
    } else {
        "never"
    };
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--color", color])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(libtorch) = libtorch.filter(|_| !libtorch::is_linked(folder)) {
        command.env("LIBTORCH", libtorch);
    }
    let mut child = command.spawn().map_err(RunError::NoCargo)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (artifact, said) = std::thread::scope(|scope| {
        let artifact = scope.spawn(|| stdout.and_then(|stdout| find_library(stdout, folder)));
        let mut said = String::new();
        for line in stderr
            .map(BufReader::new)
            .into_iter()
            .flat_map(BufRead::lines)
        {
            let Ok(line) = line else { break };
            said.push_str(&line);
            said.push('\n');
            sink(RunEvent::BuildLine(line));
        }
        (artifact.join().ok().flatten(), said)
    });
    let status = child.wait().map_err(RunError::Wait)?;
    if !status.success() {
        return Err(RunError::Build {
            folder: folder.to_owned(),
            said,
        });
    }
    sink(RunEvent::Built {
        took: began.elapsed(),
    });
    artifact.ok_or_else(|| RunError::NoLibrary {
        folder: folder.to_owned(),
    })
}

fn find_library(stdout: impl Read, folder: &Path) -> Option<PathBuf> {
    let manifest = folder.join("Cargo.toml").canonicalize().ok()?;
    BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Message>(&line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| message.manifest_path == manifest)
        .filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
        })
        .filter_map(|message| {
            message
                .filenames
                .into_iter()
                .find(|name| name.extension().is_some_and(|extension| extension == "so"))
        })
        .last()
}
