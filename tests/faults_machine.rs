//! What the machine can't give is refused before anything starts.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{Project, limit_files, stderr};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

#[test]
fn more_cores_than_there_are_are_refused() {
    let project = Project::new("descend", "resources: {cpus: 100000}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(7));
    let shown = stderr(&output);
    assert!(
        shown.contains("resources.cpus: 100000 asked for"),
        "{shown}"
    );
}

#[test]
fn more_gpus_than_there_are_are_refused() {
    let project = Project::new("descend", "resources: {gpus: 64}");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(7));
    let shown = stderr(&output);
    assert!(shown.contains("resources.gpus: 64 asked for"), "{shown}");
}

#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let project = Project::new("descend", "device: cuda:63");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(7));
    let shown = stderr(&output);
    assert!(shown.contains("there is no device `cuda:63`"), "{shown}");
}

#[test]
fn auto_falls_back_to_the_cpu() {
    let project = Project::new("descend", "device: auto");
    let output = project
        .explr()
        .args(["run", "config.yaml"])
        .env("LIBTORCH", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_store_that_can_not_be_written_is_found_before_the_start() {
    let project = Project::new("descend", "");
    // Not even root may make a folder below a file.
    std::fs::write(project.path().join("file"), "").unwrap();
    let output = project.run(&["store=file/store"]);
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));

    if !nix::unistd::geteuid().is_root() {
        let folder = project.path().join("sealed");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
        let output = project.run(&["store=sealed/store"]);
        assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    }
}

#[test]
fn a_journal_that_can_not_grow_ends_the_run_and_keeps_what_it_has() {
    let project = Project::new("counts", "");
    let mut command = project.explr();
    command.args(["run", "config.yaml"]);
    limit_files(&mut command, 256 << 10);
    let output = command.output().unwrap();
    let shown = stderr(&output);
    assert_eq!(output.status.code(), Some(9), "{shown}");
    assert!(shown.contains("events.jsonl"), "{shown}");
    let run = project.only_run();
    let acknowledged = std::fs::read(run.artifact_dir().join("acknowledged")).unwrap();
    let acknowledged = i64::from_ne_bytes(acknowledged.try_into().unwrap());
    assert!(acknowledged > 0);
    assert_eq!(common::metrics(&run).len() as i64, acknowledged);
}

#[test]
fn a_live_run_is_not_continued_by_another_explr() {
    let project = Project::new("waits", "");
    let mut explr = project.start(&[]);
    let run = project.wait_for_metric();
    let output = project.run(&["--resume", run.id().as_str()]);
    let shown = stderr(&output);
    assert_eq!(output.status.code(), Some(8), "{shown}");
    assert!(shown.contains(&explr.pid().to_string()), "{shown}");
    explr.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(explr.code(), Some(130));
}

#[test]
fn a_wrong_configuration_runs_nothing() {
    let project = Project::new("descend", "hyperparameter: {lr: 1}");
    let output = project.run(&[]);
    let shown = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("did you mean `hyperparameters`?"), "{shown}");
    assert!(!project.path().join(".explr").exists());
}

#[test]
fn a_kill_for_want_of_memory_is_told_apart() {
    let Some(group) = MemoryGroup::make(200 << 20) else {
        // Where no memory limit can be set, the classification is covered by
        // the unit tests of `runner::classify` alone.
        eprintln!("NOTE: this system lets nobody set a memory limit: not tried");
        return;
    };
    let python = Project::python("fixture.py:eats_memory", "");
    for project in [Project::new("eats_memory", ""), python] {
        let mut command = project.explr();
        command.args(["run", "config.yaml"]);
        group.adopt(&mut command);
        let output = command.output().unwrap();
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(100), "{shown}");
        let failure = project.failure();
        assert_eq!(failure.class, explr_protocol::FailureClass::Oom, "{shown}");
    }
}

/// A control group with a limit of memory, of either version.
struct MemoryGroup(std::path::PathBuf);

impl MemoryGroup {
    fn make(bytes: u64) -> Option<Self> {
        let name = format!("explr-test-{}", std::process::id());
        [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ]
        .iter()
        .find_map(|(root, limit)| {
            let folder = std::path::Path::new(root).join(&name);
            std::fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            // Swap must not be the way out.
            let _ = std::fs::write(group.0.join("memory.swap.max"), "0");
            Some(group)
        })
    }

    fn adopt(&self, command: &mut std::process::Command) {
        use std::os::unix::process::CommandExt;
        let tasks = self.0.join("cgroup.procs");
        unsafe {
            command.pre_exec(move || std::fs::write(&tasks, "0"));
        }
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}
