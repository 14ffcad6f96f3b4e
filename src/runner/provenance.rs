//! Where a run comes from: its code's commit and its machine.

use super::resources::Granted;
use crate::config::{Loaded, redact};
use crate::store::{GitInfo, HostInfo, Manifest, RunId};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Most of a diff that is kept.
const DIFF_LIMIT: usize = 1 << 20;

/// What all runs of one command have in common. Found out once: asking git
/// takes longer than starting a worker.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    function: String,
    code: String,
    command: Vec<String>,
    cwd: PathBuf,
    git: Option<GitInfo>,
    diff: Option<Vec<u8>>,
    host: HostInfo,
    versions: BTreeMap<String, String>,
}

impl Origin {
    /// Looks around. `folder` holds the code, which is `function` of `code`;
    /// `versions` are those of what runs it.
    pub(super) fn find(
        folder: &Path,
        function: String,
        code: String,
        mut versions: BTreeMap<String, String>,
        command: &[String],
    ) -> Self {
        let (git, diff) = match git(folder) {
            Some((git, diff)) => (Some(git), diff),
            None => (None, None),
        };
        versions.insert("explr".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Self {
            function,
            code,
            command: command.iter().map(|word| redact::text(word)).collect(),
            cwd: std::env::current_dir().unwrap_or_default(),
            git,
            diff,
            host: host(),
            versions,
        }
    }

    /// The same for another function of this code.
    pub(crate) fn of_function(&self, function: &str) -> Self {
        Self {
            function: function.to_owned(),
            ..self.clone()
        }
    }

    /// What the checkout holds beyond its commit.
    pub(crate) fn diff(&self) -> Option<&[u8]> {
        self.diff.as_deref()
    }

    /// The identity card of a new run with this configuration.
    pub(crate) fn manifest(&self, loaded: &Loaded, granted: &Granted) -> Manifest {
        let config = &loaded.config;
        let hyperparameters = match redact::json(&config.hyperparameters.clone().into()) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Manifest {
            format: Manifest::FORMAT,
            run_id: RunId::new(),
            created_ms: crate::store::now_ms(),
            experiment: config.experiment.clone(),
            description: config.description.clone(),
            tags: config.tags.clone(),
            study: None,
            fingerprint: Manifest::fingerprint_of(
                &self.function,
                &self.code,
                &config.hyperparameters,
                config.seed,
            ),
            function: self.function.clone(),
            code: self.code.clone(),
            hyperparameters,
            seed: config.seed,
            device: granted.device,
            config: loaded.stored(),
            config_file: loaded
                .path
                .as_ref()
                .and_then(|path| std::path::absolute(path).ok()),
            command: self.command.clone(),
            cwd: self.cwd.clone(),
            git: self.git.clone(),
            host: self.host.clone(),
            versions: self.versions.clone(),
        }
    }
}

/// The git checkout around `folder`, and what differs from its commit.
pub(super) fn git(folder: &Path) -> Option<(GitInfo, Option<Vec<u8>>)> {
    let status = run(
        folder,
        &[
            "status",
            "--porcelain=v2",
            "--branch",
            "--untracked-files=no",
        ],
    )?;
    let status = String::from_utf8_lossy(&status);
    let header = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("# branch.")?.strip_prefix(name))
            .map(|value| value.trim().to_owned())
    };
    let commit = header("oid").filter(|oid| oid != "(initial)")?;
    let dirty = status.lines().any(|line| !line.starts_with('#'));
    let diff = dirty
        .then(|| run(folder, &["diff", "--no-color", "HEAD"]))
        .flatten()
        .map(|mut diff| {
            diff.truncate(DIFF_LIMIT);
            diff
        });
    let remote = run(folder, &["config", "--get", "remote.origin.url"])
        .map(|url| redact::text(String::from_utf8_lossy(&url).trim()));
    let git = GitInfo {
        commit,
        branch: header("head").filter(|head| head != "(detached)"),
        dirty,
        remote,
    };
    Some((git, diff))
}

fn run(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

/// This machine, and who uses it.
pub(super) fn host() -> HostInfo {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    HostInfo {
        name: nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        user: user
            .ok()
            .flatten()
            .map(|user| user.name)
            .unwrap_or_default(),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: cores(),
    }
}

/// Number of cores that this process may use.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
}
