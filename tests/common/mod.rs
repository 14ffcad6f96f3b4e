//! What the integration tests share: a project in a temporary folder, the
//! real binary, the fixture plugin.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // Every test binary uses its own part.

pub mod chaos;

use explr::store::journal::Reader;
use explr::store::{RunDir, Store};
use explr_protocol::{Event, Failure, RunState};
use explr_study::{History, Trial};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for something that must happen. Only a failing test waits
/// this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fixture plugin, built once.
pub fn fixture() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| build_plugins("release").join("libfixture.so"))
        .clone()
}

/// Builds `tests/plugins` and returns the folder of its libraries.
pub fn build_plugins(profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_explr"))
        .parent()
        .and_then(Path::parent)
        .unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins"))
        .status()
        .unwrap();
    assert!(status.success(), "the fixture plugin doesn't build");
    target.join(profile)
}

/// A folder with a configuration and a store.
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// A project that runs `function` of the fixture plugin. `more` is YAML.
    pub fn new(function: &str, more: &str) -> Self {
        Self::with_plugin(&fixture(), function, more)
    }

    /// The same with another plugin. Without tracking, unless `more` asks for
    /// it.
    pub fn with_plugin(plugin: &Path, function: &str, more: &str) -> Self {
        let train = format!("{{plugin: {}, function: {function}}}", plugin.display());
        Self::with_train(&train, more)
    }

    /// A project that runs `function` of `tests/python`, in the Python that
    /// the tests use: `fixture.py:descend`.
    pub fn python(function: &str, more: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let train = format!(
            "{{function: {}, python: {}}}",
            root.join("tests/python").join(function).display(),
            root.join(".venv").display(),
        );
        Self::with_train(&train, more)
    }

    /// A project that runs a shell script. It has a function `say` that appends
    /// a line to the events.
    pub fn with_script(script: &str, more: &str) -> Self {
        let project = Self::with_train("{command: [bash, train.sh]}", more);
        project.write_script(script);
        project
    }

    /// Gives the project the script `train.sh`.
    pub fn write_script(&self, script: &str) {
        let say = r#"say() { printf '%s\n' "$1" >> "$EXPLR_EVENTS"; }"#;
        let text = format!("set -u\n{say}\n{script}\n");
        std::fs::write(self.path().join("train.sh"), text).unwrap();
    }

    /// A project with this value of `train`. Without tracking, unless `more`
    /// asks for it.
    pub fn with_train(train: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mlflow = if more.contains("mlflow:") {
            ""
        } else {
            "mlflow: off\n"
        };
        let text = format!("experiment: test\ntrain: {train}\n{mlflow}{more}\n");
        std::fs::write(folder.path().join("config.yaml"), text).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `explr`, in the project's folder.
    pub fn explr(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_explr"));
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars() {
            if name.starts_with("EXPLR_") || name.starts_with("MLFLOW_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// `explr run config.yaml` with further arguments, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        println!("{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// `explr tune config.yaml` with further arguments, to its end.
    pub fn tune(&self, arguments: &[&str]) -> Output {
        let mut command = self.explr();
        let output = command
            .args(["tune", "config.yaml"])
            .args(arguments)
            .output()
            .unwrap();
        println!("{}", stderr(&output));
        output
    }

    /// `explr run`, still running.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_command("run", arguments)
    }

    /// `explr COMMAND config.yaml` with further arguments, still running.
    pub fn start_command(&self, command: &str, arguments: &[&str]) -> Running {
        let child = self
            .explr()
            .args([command, "config.yaml"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Running(child)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.explr();
        command.args(["run", "config.yaml"]).args(arguments);
        command
    }

    pub fn store(&self) -> Store {
        Store::existing(&self.path().join(".explr")).unwrap()
    }

    /// The one run of the store.
    pub fn only_run(&self) -> RunDir {
        let mut runs = self.store().runs().unwrap();
        assert_eq!(runs.len(), 1);
        runs.remove(0)
    }

    /// What a study remembers.
    pub fn history(&self, study: &str) -> History {
        self.try_history(study).unwrap()
    }

    /// The same, while it may not exist or be in the middle of a write.
    pub fn try_history(&self, study: &str) -> Option<History> {
        let studies = History::load(&self.study_path(study)).ok()?;
        studies.into_iter().find(|found| found.name() == study)
    }

    fn study_path(&self, study: &str) -> PathBuf {
        let studies = self.path().join(".explr/studies");
        studies.join(format!("{study}.journal"))
    }

    /// The run of a trial.
    pub fn run_of(&self, trial: &Trial) -> RunDir {
        self.try_run_of(trial).unwrap()
    }

    /// The same, for a trial that may not have one yet.
    pub fn try_run_of(&self, trial: &Trial) -> Option<RunDir> {
        let run = explr::tuning::export::run_of(trial)?;
        self.store().run(run).ok()
    }

    /// Waits until the store has a run whose journal holds a metric.
    pub fn wait_for_metric(&self) -> RunDir {
        wait_for("a metric in the journal", || {
            let store = Store::existing(&self.path().join(".explr")).ok()?;
            let run = store.runs().ok()?.pop()?;
            (!metrics(&run).is_empty()).then_some(run)
        })
    }

    /// The failure of the one run, which must have failed.
    pub fn failure(&self) -> Failure {
        let summary = self.only_run().summary().unwrap();
        assert_eq!(summary.state, RunState::Failed);
        summary.failure.unwrap()
    }
}

/// A process that is ended, should the test end first.
pub struct Running(pub Child);

impl Running {
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    /// The exit code, once it has exited.
    pub fn code(&mut self) -> Option<i32> {
        let child = &mut self.0;
        wait_for("the process to exit", || child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lets no file of a command grow beyond so many bytes: the kernel refuses the
/// write, as a full disk does.
pub fn limit_files(command: &mut Command, bytes: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::unix::process::CommandExt;
    // SAFETY: `setrlimit` may be called between fork and exec.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes)?));
    }
}

/// The events of a run.
pub fn events(run: &RunDir) -> Vec<Event> {
    Reader::open(&run.journal_path(), 0)
        .unwrap()
        .map(|entry| entry.unwrap().record.event)
        .collect()
}

/// The metrics of a run that its train function logged, in order.
pub fn metrics(run: &RunDir) -> Vec<(String, i64, f64)> {
    events(run)
        .into_iter()
        .filter_map(|event| match event {
            Event::Metric { key, value, step } if !key.starts_with("system/") => {
                Some((key, step, value))
            }
            _ => None,
        })
        .collect()
}

/// Whether a process is there and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

/// Processes that carry the mark of a run.
pub fn processes_of(run: &RunDir) -> Vec<i32> {
    let mark = format!("EXPLR_RUN_ID={}", run.id());
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
        })
        .collect()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The worker's output was kept within its bounds.
pub fn assert_bounded(run: &RunDir) {
    let kept: u64 = ["worker.log", "worker.log.1"]
        .iter()
        .map(|name| std::fs::metadata(run.path().join(name)).unwrap().len())
        .sum();
    assert!(kept <= 64 << 20, "{kept}");
}

/// The next command calls the run of a killed explr interrupted, and ends what
/// is left of it.
pub fn assert_reconciled(project: &Project, run: &RunDir) {
    let list = project.explr().args(["runs", "list"]).output().unwrap();
    assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
    assert_eq!(run.summary().unwrap().state, RunState::Interrupted);
    wait_for("all to end", || processes_of(run).is_empty().then_some(()));
}
