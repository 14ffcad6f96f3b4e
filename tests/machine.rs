//! `explr gpu-info`, `explr memory` and the limit of GPU memory, on machines
//! without a GPU and with a driver that only says that there are some.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod driver;

use common::{Project, fixture, processes_of, stderr, wait_for};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A project with its own user, on a machine whose driver is in a folder.
struct Machine {
    project: Project,
    home: TempDir,
    driver: PathBuf,
}

impl Machine {
    /// One whose driver can't be opened, whatever the real machine has.
    fn without_gpu(function: &str, more: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("libnvidia-ml.so.1"), "no library").unwrap();
        Self::new(function, more, home.path().to_owned(), home)
    }

    /// One with the two cards of `driver.c`.
    fn with_gpus(function: &str, more: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::new(function, more, driver(), home)
    }

    fn new(function: &str, more: &str, driver: PathBuf, home: TempDir) -> Self {
        // Where no libtorch is near, explr takes it that there will be CUDA.
        let plugin = home.path().join("libfixture.so");
        std::fs::copy(fixture(), &plugin).unwrap();
        let project = Project::with_plugin(&plugin, function, more);
        Self {
            project,
            home,
            driver,
        }
    }

    fn explr(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.explr();
        command
            .args(arguments)
            .env("LD_LIBRARY_PATH", &self.driver)
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("DRIVER_PIDS", self.pids());
        for name in [
            "LIBTORCH",
            "VIRTUAL_ENV",
            "CUDA_VISIBLE_DEVICES",
            "PYTORCH_CUDA_ALLOC_CONF",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn pids(&self) -> PathBuf {
        self.home.path().join("pids")
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.explr(arguments).output().unwrap()
    }

    /// Exit code and all that was said, with the folders by name.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let text = format!(
            "{}{}exit code {}",
            String::from_utf8_lossy(&output.stdout),
            stderr(&output),
            output.status.code().unwrap()
        );
        let name = |text: String, folder: &Path, name: &str| {
            text.replace(&folder.display().to_string(), name)
        };
        let text = name(text, self.project.path(), "PROJECT");
        name(text, self.home.path(), "HOME")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.output(arguments).stdout).unwrap()
    }

    /// What the worker of a run saw in its environment.
    fn worker_saw(&self, command: &mut Command, name: &str) -> Option<String> {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let run = self.project.store().runs().unwrap().pop().unwrap();
        let log = std::fs::read_to_string(run.log_path()).unwrap();
        let value = log
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned);
        value.filter(|value| !value.is_empty())
    }
}

/// `driver.c`, compiled once.
fn driver() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        driver::put(folder.path());
        folder
    });
    folder.path().to_owned()
}

#[test]
fn without_a_gpu_it_is_said_plainly() {
    let machine = Machine::without_gpu("environment", "");
    insta::assert_snapshot!(machine.said(&["gpu-info"]));
    insta::assert_snapshot!(machine.said(&["gpu-info", "--json"]));
    insta::assert_snapshot!(machine.said(&["memory", "--show"]));
    assert!(
        !machine.project.path().join(".explr").exists(),
        "a look leaves nothing behind"
    );
}

#[test]
fn a_stored_limit_is_shown_with_its_source_until_it_is_forgotten() {
    let machine = Machine::without_gpu("environment", "resources: {gpu_memory_gb: 4, gpus: 0.5}");
    let mut story = String::new();
    for arguments in [
        &["memory", "--limit", "8", "--global"][..],
        &["memory", "--limit", "12"],
        &["memory", "--limit", "6", "--global"],
        &["memory"],
        &["memory", "config.yaml"],
        &["memory", "config.yaml", "resources.gpu_memory_gb=2"],
        &["memory", "--reset"],
        &["memory", "--reset", "--global"],
        &["memory", "--reset"],
        &["memory", "--limit", "0"],
        &["memory"],
        &["memory", "--limit", "-3"],
        &["memory", "--limit", "24GB"],
        &["memory", "--global"],
    ] {
        let said = machine.said(arguments);
        writeln!(story, "$ explr {}\n{said}\n", arguments.join(" ")).unwrap();
    }
    insta::assert_snapshot!(story);
}

#[test]
fn a_bad_limit_is_refused_before_a_run_by_the_name_of_its_source() {
    let machine = Machine::without_gpu("environment", "");
    for value in ["-1", "much"] {
        let refused = machine
            .explr(&["run", "config.yaml"])
            .env("EXPLR_GPU_MEMORY_GB", value)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(3));
        let said = stderr(&refused);
        assert!(
            said.contains("the variable EXPLR_GPU_MEMORY_GB: "),
            "{said}"
        );
    }
    machine.output(&["memory", "--limit", "8"]);
    let file = machine.project.path().join(".explr/gpu_memory.json");
    for text in ["{\"limit_gb\": -8}", "{\"limit_gb\"", "{}"] {
        std::fs::write(&file, text).unwrap();
        let refused = machine.output(&["run", "config.yaml"]);
        assert_eq!(refused.status.code(), Some(3), "{text}");
        let said = stderr(&refused);
        assert!(said.contains(".explr/gpu_memory.json): "), "{said}");
        assert!(said.contains("explr memory --reset"), "{said}");
    }
    machine.output(&["memory", "--reset"]);
    assert!(machine.output(&["run", "config.yaml"]).status.success());
}

#[test]
fn a_worker_gets_the_freest_gpu_and_the_limit_of_the_first_source_that_gives_one() {
    let machine = Machine::with_gpus("environment", "seed: 1");
    let saw = |command: &mut Command, name| machine.worker_saw(command, name);
    let run = || machine.explr(&["run", "config.yaml", "--new"]);
    let bytes = |command: &mut Command| saw(command, "EXPLR_GPU_MEMORY_BYTES").unwrap();

    assert_eq!(
        saw(&mut run(), "CUDA_VISIBLE_DEVICES").unwrap(),
        "GPU-second"
    );
    assert_eq!(bytes(&mut run()), "24000000000");
    machine.output(&["memory", "--limit", "16", "--global"]);
    assert_eq!(bytes(&mut run()), "16000000000");
    machine.output(&["memory", "--limit", "8"]);
    assert_eq!(bytes(&mut run()), "8000000000");
    let mut argument = machine.explr(&["run", "config.yaml", "resources.gpu_memory_gb=4"]);
    assert_eq!(bytes(&mut argument), "4000000000");
    argument.env("EXPLR_GPU_MEMORY_GB", "2");
    assert_eq!(bytes(&mut argument), "2000000000");
    assert_eq!(
        saw(&mut argument, "PYTORCH_CUDA_ALLOC_CONF").unwrap(),
        "per_process_memory_fraction:0.062500"
    );
    argument.env("EXPLR_GPU_MEMORY_GB", "0");
    assert_eq!(bytes(&mut argument), "31040000000");
    assert_eq!(
        saw(
            run().env("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
            "PYTORCH_CUDA_ALLOC_CONF"
        )
        .unwrap(),
        "expandable_segments:True,per_process_memory_fraction:0.250000"
    );
    assert_eq!(
        saw(
            run().env("CUDA_VISIBLE_DEVICES", "GPU-first"),
            "CUDA_VISIBLE_DEVICES"
        )
        .unwrap(),
        "GPU-first"
    );
    let on_cpu = saw(
        run().env("CUDA_VISIBLE_DEVICES", "-1"),
        "EXPLR_GPU_MEMORY_BYTES",
    );
    assert_eq!(on_cpu, None);

    let more = machine
        .explr(&["run", "config.yaml"])
        .env("EXPLR_GPU_MEMORY_GB", "33")
        .output()
        .unwrap();
    assert_eq!(more.status.code(), Some(7));
    assert!(
        stderr(&more).contains("33 GB is more than"),
        "{}",
        stderr(&more)
    );
    assert_eq!(
        machine.output(&["memory", "--limit", "33"]).status.code(),
        Some(7)
    );
}

#[test]
fn a_process_on_a_gpu_is_known_by_its_trial() {
    let more = "search_space: {x: {type: float, low: 0, high: 1}}\ntune: {n_trials: 1}";
    let machine = Machine::with_gpus("waits", more);
    let tune = machine
        .explr(&["tune", "config.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut tune = common::Running(tune);
    let (run, pid) = wait_for("the trial's worker", || {
        let trial = machine
            .project
            .try_history("test")?
            .trials()
            .first()?
            .clone();
        let run = machine.project.try_run_of(&trial)?;
        common::metrics(&run).first()?;
        Some((run.id().to_string(), *processes_of(&run).first()?))
    });
    let own = std::process::id();
    std::fs::write(machine.pids(), format!("{pid}\n{own}\n")).unwrap();
    let shown = machine.json(&["gpu-info", "--json"]);
    let processes = shown["gpus"][1]["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2);
    let of = |pid: u64| processes.iter().find(|one| one["pid"] == pid).unwrap();
    let worker = of(u64::try_from(pid).unwrap());
    assert_eq!(worker["explr"]["trial"], "test#0");
    assert_eq!(worker["explr"]["run"], run);
    assert_eq!(of(own.into())["explr"], Value::Null);

    let memory = machine.json(&["memory", "--json", "config.yaml", "resources.gpus=0.5"]);
    let card = &memory["gpus"][1];
    assert_eq!(card["workers"].as_array().unwrap().len(), 1);
    assert_eq!(card["workers"][0]["memory"], 500_000_000);
    assert_eq!(card["next_trial_bytes"], 12_000_000_000_u64);
    tune.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(tune.code(), Some(143));
}

#[test]
fn cuda_visible_devices_is_shown_and_respected() {
    let machine = Machine::with_gpus("environment", "");
    let mut command = machine.explr(&["gpu-info"]);
    let output = command
        .env("CUDA_VISIBLE_DEVICES", "GPU-second")
        .output()
        .unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_watch_ends_with_its_reader() {
    use std::io::{BufRead, BufReader};
    let machine = Machine::with_gpus("environment", "");
    let mut child = machine
        .explr(&["gpu-info", "--watch", "0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for card in [0, 1, 0, 1] {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!("  cuda:{card}  ")), "{line}");
    }
    drop(lines);
    assert_eq!(common::Running(child).code(), Some(0));
}
