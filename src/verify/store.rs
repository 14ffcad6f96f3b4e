//! The store: whether it can be written and locked, and what it lies on.

use super::Check;
use crate::runner::{NEED_MB, free_bytes};
use crate::store::{Probe, Store, probe};
use std::fs;
use std::path::{Path, PathBuf};

/// Below this, a checkpoint or two fill the disk.
const ROOM_GB: f64 = 2.0;
/// Below this, no run starts.
const LEAST_GB: f64 = NEED_MB as f64 / 1e3;

pub(super) struct Facts {
    root: PathBuf,
    /// The store, or the folder that it will be made in.
    folder: PathBuf,
    probe: Result<Probe, String>,
    free_gb: Option<f64>,
    /// The kind of file system, as in `ext4`.
    kind: Option<String>,
    /// When the newest run began, in Unix milliseconds.
    pub(super) newest_ms: Option<u64>,
}

pub(super) fn gather(root: &Path) -> Facts {
    let folder = root
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(root)
        .to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let newest = Store::existing(root).and_then(|store| store.runs());
    Facts {
        root: root.to_owned(),
        probe: probe(&folder).map_err(|error| error.to_string()),
        free_gb: free_bytes(&folder).map(|bytes| bytes as f64 / 1e9),
        kind: folder
            .canonicalize()
            .ok()
            .and_then(|folder| kind_of(&folder, &mounts)),
        newest_ms: newest
            .ok()
            .and_then(|mut runs| Some(runs.pop()?.manifest().ok()?.created_ms)),
        folder,
    }
}

impl Facts {
    /// By how many seconds the file system's clock is ahead.
    pub(super) fn clock_ahead(&self) -> Option<i64> {
        self.probe.as_ref().ok().map(|probe| probe.ahead_s)
    }
}

/// The kind of file system that a path lies on, by `/proc/self/mountinfo`.
fn kind_of(path: &Path, mounts: &str) -> Option<String> {
    let entries = mounts.lines().filter_map(|line| {
        let point = Path::new(line.split(' ').nth(4)?);
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        path.starts_with(point)
            .then(|| (point.components().count(), kind))
    });
    // The last of equals: it lies over the others.
    let (_, kind) = entries.max_by_key(|(depth, _)| *depth)?;
    Some(kind.to_owned())
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        writable(facts),
        space(facts.free_gb, &facts.folder),
        file_system(facts.kind.as_deref()),
        locks(&facts.probe),
    ]
}

const ELSEWHERE: &str = "export EXPLR_STORE=/a/folder/on/a/local/disk";

fn writable(facts: &Facts) -> Check {
    let name = "writable";
    let root = facts.root.display();
    match &facts.probe {
        Err(why) => Check::failure(name, format!("{root}: {why}"), ELSEWHERE),
        Ok(_) if facts.folder == facts.root => Check::ok(name, root.to_string()),
        Ok(_) => Check::ok(name, format!("{root}, which the first run makes")),
    }
}

fn space(free_gb: Option<f64>, folder: &Path) -> Check {
    let name = "space";
    let fix = format!("du -xh -d 2 {} | sort -h | tail", folder.display());
    match free_gb {
        None => Check::not_applicable(name, "the file system does not tell"),
        Some(free) if free < LEAST_GB => {
            Check::failure(name, format!("{free:.3} GB free; no run starts"), fix)
        }
        Some(free) if free < ROOM_GB => Check::warning(
            name,
            format!("{free:.1} GB free; checkpoints may fill that"),
            fix,
        ),
        Some(free) => Check::ok(name, format!("{free:.0} GB free")),
    }
}

fn file_system(kind: Option<&str>) -> Check {
    let name = "file system";
    let Some(kind) = kind else {
        return Check::not_applicable(name, "its kind is not known");
    };
    let network = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "9p",
        "afs",
        "glusterfs",
    ];
    if network.contains(&kind) || kind.starts_with("fuse") {
        Check::warning(
            name,
            format!(
                "{kind}: locks may not hold between machines, and MLflow's database needs them"
            ),
            ELSEWHERE,
        )
    } else if matches!(kind, "tmpfs" | "ramfs") {
        Check::warning(
            name,
            format!("{kind}: it lives in memory, and ends with the machine"),
            ELSEWHERE,
        )
    } else {
        Check::ok(name, kind)
    }
}

fn locks(probe: &Result<Probe, String>) -> Check {
    let name = "locks";
    match probe {
        Err(_) => Check::not_applicable(name, "nothing can be written"),
        Ok(probe) if probe.locks => Check::ok(name, "one holder at a time"),
        Ok(_) => Check::failure(
            name,
            "two can hold one lock: nothing keeps two explr processes from one run",
            ELSEWHERE,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, file_system, kind_of, locks, space, writable};
    use crate::store::Probe;
    use crate::verify::Verdict;
    use std::path::Path;

    const MOUNTS: &str = "\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 30 0:41 / /home/ada/fast rw - xfs /dev/sdb rw
32 21 0:42 / /tmp rw - ext4 /dev/sdc rw
33 21 0:43 / /tmp rw - tmpfs tmpfs rw
";

    fn worked(locks: bool) -> Probe {
        Probe { locks, ahead_s: 0 }
    }

    #[test]
    fn the_innermost_mount_and_the_last_on_a_place_counts() {
        for (path, kind) in [
            ("/home/ada", "nfs4"),
            ("/home/ada/fast/x", "xfs"),
            ("/home/ada/faster", "nfs4"),
            ("/homes", "ext4"),
            ("/tmp/x", "tmpfs"),
        ] {
            assert_eq!(kind_of(Path::new(path), MOUNTS).as_deref(), Some(kind));
        }
        assert_eq!(kind_of(Path::new("/"), ""), None);
    }

    #[test]
    fn a_file_system_of_the_network_or_in_memory_is_a_warning() {
        for kind in ["nfs4", "fuse.sshfs", "tmpfs"] {
            let verdict = file_system(Some(kind)).verdict;
            assert!(matches!(verdict, Verdict::Warning { .. }), "{kind}");
        }
        for kind in ["ext4", "overlay", "btrfs"] {
            assert_eq!(file_system(Some(kind)).verdict, Verdict::Ok);
        }
    }

    #[test]
    fn locks_that_do_not_lock_are_a_failure() {
        let verdict = locks(&Ok(worked(false))).verdict;
        assert!(matches!(verdict, Verdict::Failure { .. }));
        assert_eq!(locks(&Ok(worked(true))).verdict, Verdict::Ok);
    }

    #[test]
    fn room_is_needed_for_checkpoints() {
        let verdict = |free| space(Some(free), Path::new("/x")).verdict;
        assert!(matches!(verdict(0.01), Verdict::Failure { .. }));
        assert!(matches!(verdict(1.0), Verdict::Warning { .. }));
        assert_eq!(verdict(100.0), Verdict::Ok);
    }

    #[test]
    fn a_store_that_is_still_to_be_made_is_fine_where_it_can_be_made() {
        let facts = |probe| Facts {
            root: "/project/.explr".into(),
            folder: "/project".into(),
            probe,
            free_gb: None,
            kind: None,
            newest_ms: None,
        };
        let check = writable(&facts(Ok(worked(true))));
        assert!(check.seen.contains("first run makes"), "{check:?}");
        let check = writable(&facts(Err("Read-only file system".to_owned())));
        assert!(check.seen.contains("Read-only"), "{check:?}");
        assert!(matches!(check.verdict, Verdict::Failure { .. }));
    }
}
