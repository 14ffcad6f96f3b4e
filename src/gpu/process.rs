use crate::store::{RunId, Store, StudyRole};
use explr_protocol::control::RUN_VARIABLE;
use nix::unistd::{Uid, User};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process that uses a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Who runs it, where that can be seen.
    pub user: Option<String>,
    /// Its command line, or its name; nothing of what is gone or hidden.
    pub command: Option<String>,
    /// What it holds of the GPU's memory, in bytes.
    pub memory: Option<u64>,
    /// What it does for explr.
    pub explr: Option<Work>,
}

/// The run that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Work {
    /// The run's id.
    pub run: RunId,
    /// The trial, as in `digits#17`.
    pub trial: Option<String>,
}

impl Process {
    /// Looks at a process that holds `memory` bytes.
    pub(super) fn look(pid: u32, memory: Option<u64>) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        Self {
            pid,
            user: user(&folder),
            command: command(&folder),
            memory,
            explr: work(&folder),
        }
    }
}

/// What a process does for explr; nothing if it is none of explr's, or can't
/// be looked at.
pub fn work_of(pid: u32) -> Option<Work> {
    work(Path::new(&format!("/proc/{pid}")))
}

fn work(process: &Path) -> Option<Work> {
    let environment = fs::read(process.join("environ")).ok()?;
    let run: RunId = environment.split(|byte| *byte == 0).find_map(|variable| {
        let text = std::str::from_utf8(variable).ok()?;
        let id = text.strip_prefix(RUN_VARIABLE)?.strip_prefix('=')?;
        id.parse().ok()
    })?;
    let trial = store(process, &run)
        .and_then(|store| store.run(run.as_str()).ok()?.manifest().ok()?.study)
        .and_then(|study| match study.role {
            StudyRole::Trial { number, .. } => Some(format!("{}#{number}", study.study)),
            StudyRole::Study => None,
        });
    Some(Work { run, trial })
}

/// The store of a worker's run: the one that its open journal is in, or the
/// nearest one to its folder, for a process that the worker has started.
fn store(process: &Path, run: &RunId) -> Option<Store> {
    let journal = Path::new("runs").join(run.as_str()).join("events.jsonl");
    let files = fs::read_dir(process.join("fd")).into_iter().flatten();
    let open = files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .find(|file| file.ends_with(&journal));
    let root = match open {
        Some(file) => file.ancestors().nth(3)?.to_owned(),
        None => Store::find(&fs::read_link(process.join("cwd")).ok()?)?,
    };
    Store::existing(&root).ok()
}

fn user(process: &Path) -> Option<String> {
    let uid = fs::metadata(process).ok()?.uid();
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Some(user.name),
        _ => Some(uid.to_string()),
    }
}

fn command(process: &Path) -> Option<String> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let words = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    let line: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let text = if line.is_empty() {
        // A kernel's thread, or a zombie.
        fs::read_to_string(process.join("comm"))
            .ok()?
            .trim()
            .to_owned()
    } else {
        line.join(" ")
    };
    Some(crate::config::redact::text(&text))
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn this_process_has_a_user_and_a_command_and_no_run() {
        let own = Process::look(std::process::id(), Some(5));
        assert!(own.user.is_some_and(|user| !user.is_empty()));
        assert!(own.command.is_some_and(|command| command.contains("explr")));
        assert_eq!((own.memory, own.explr), (Some(5), None));
    }

    #[test]
    fn a_process_that_is_gone_is_a_number() {
        let gone = Process::look(u32::MAX, None);
        assert_eq!(
            gone,
            Process {
                pid: u32::MAX,
                ..Process::default()
            }
        );
    }
}
