//! The container that this process is in, if it is in one.

use super::Check;
use super::machine::gib;
use std::fs;
use std::path::Path;

pub(super) struct Container {
    /// What it is made with.
    kind: String,
    /// explr is its first process.
    is_first: bool,
    /// In bytes.
    memory_limit: Option<u64>,
}

pub(super) fn gather() -> Option<Container> {
    kind().map(|kind| Container {
        kind,
        is_first: std::process::id() == 1,
        memory_limit: memory_limit(),
    })
}

/// What kind of container this process is in, if it is in one.
pub(super) fn kind() -> Option<String> {
    let exists = |path: &str| Path::new(path).exists();
    if exists("/run/.containerenv") {
        return Some("Podman".to_owned());
    }
    if exists("/.dockerenv") {
        return Some("Docker".to_owned());
    }
    if let Ok(kind) = std::env::var("container") {
        return Some(kind);
    }
    let groups = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    kind_of_groups(&groups).map(str::to_owned)
}

fn kind_of_groups(groups: &str) -> Option<&'static str> {
    let kinds = [
        ("kubepods", "Kubernetes"),
        ("docker", "Docker"),
        ("libpod", "Podman"),
        ("lxc", "LXC"),
    ];
    let mut kinds = kinds.into_iter();
    kinds
        .find(|(mark, _)| groups.contains(mark))
        .map(|(_, kind)| kind)
}

fn memory_limit() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limit = files
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    // Version 1 writes "no limit" as a number beyond all memory.
    limit.filter(|limit| *limit < 1 << 60)
}

pub(super) fn check(container: Option<&Container>) -> Check {
    let name = "container";
    let Some(container) = container else {
        return Check::not_applicable(name, "not in one");
    };
    let limit = container.memory_limit.map_or_else(String::new, |limit| {
        format!(", {:.1} GiB of memory", gib(limit))
    });
    let seen = format!("{}{limit}", container.kind);
    if container.is_first {
        Check::warning(
            name,
            format!("{seen}; explr is its first process, and nobody takes in orphans"),
            "docker run --init ...",
        )
    } else {
        Check::ok(name, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::{Container, check, kind_of_groups};
    use crate::verify::{Check, Verdict};

    #[test]
    fn a_container_has_a_kind_and_needs_an_init() {
        assert_eq!(
            kind_of_groups("0::/kubepods/burstable/x\n"),
            Some("Kubernetes")
        );
        assert_eq!(kind_of_groups("0::/init.scope\n"), None);
        let container = |is_first| Container {
            kind: "Docker".to_owned(),
            is_first,
            memory_limit: Some(16 << 30),
        };
        let seen = "Docker, 16.0 GiB of memory";
        assert_eq!(check(Some(&container(false))), Check::ok("container", seen));
        let fix = "docker run --init ...".to_owned();
        let first = check(Some(&container(true)));
        assert_eq!(first.verdict, Verdict::Warning { fix });
        assert_eq!(check(None).verdict, Verdict::NotApplicable);
    }
}
