//! Where a run comes from: its code's commit and its machine.

use crate::store::{GitInfo, HostInfo};
use std::path::Path;
use std::process::{Command, Stdio};

/// Most of a diff that is kept.
const DIFF_LIMIT: usize = 1 << 20;

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
        .map(|url| crate::config::redact::text(String::from_utf8_lossy(&url).trim()));
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
