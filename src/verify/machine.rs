//! The rest of the machine: clock, limits, container, threads.

use super::{Check, gpu, store, tracking};
use jiff::Timestamp;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fs;
use std::path::Path;

pub(super) struct Facts {
    clock: Clock,
    /// Soft and hard limit.
    open_files: Option<(u64, u64)>,
    locked_memory: Option<u64>,
    gpus: usize,
    /// Size of `/dev/shm` in bytes.
    shared_memory: Option<u64>,
    container: Option<Container>,
    threads: Threads,
}

/// The machine's clock beside others.
struct Clock {
    now_ms: i64,
    /// When the newest run began.
    newest_ms: Option<u64>,
    /// By how many seconds the others are ahead.
    store_ahead_s: Option<i64>,
    server_ahead_s: Option<i64>,
}

struct Container {
    /// What it is made with.
    kind: String,
    /// explr is its first process.
    is_first: bool,
    /// In bytes.
    memory_limit: Option<u64>,
}

struct Threads {
    cores: usize,
    /// Cores of the machine, whoever may use them.
    of_machine: usize,
    /// Variables that tie every worker's threads to the same cores.
    binding: Vec<String>,
}

/// Variables of OpenMP that place threads.
const BINDING: [&str; 4] = [
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
];

pub(super) fn gather(gpus: &gpu::Facts, store: &store::Facts, tracking: &tracking::Facts) -> Facts {
    let shm = nix::sys::statvfs::statvfs("/dev/shm").ok();
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    Facts {
        clock: Clock {
            now_ms: Timestamp::now().as_millisecond(),
            newest_ms: store.newest_ms,
            store_ahead_s: store.clock_ahead(),
            server_ahead_s: tracking.clock_ahead(),
        },
        open_files: getrlimit(Resource::RLIMIT_NOFILE).ok(),
        locked_memory: getrlimit(Resource::RLIMIT_MEMLOCK)
            .ok()
            .map(|limit| limit.0),
        gpus: gpus.gpus().len(),
        shared_memory: shm.map(|stat| stat.blocks() * stat.fragment_size()),
        container: container().map(|kind| Container {
            kind,
            is_first: std::process::id() == 1,
            memory_limit: memory_limit(),
        }),
        threads: Threads {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            of_machine: count_cores(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            binding: BINDING
                .iter()
                .filter(|name| is_set(name))
                .map(|name| (*name).to_owned())
                .collect(),
        },
    }
}

/// What kind of container this process is in, if it is in one.
pub(super) fn container() -> Option<String> {
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

fn count_cores(cpuinfo: &str) -> usize {
    let is_core = |line: &&str| line.starts_with("processor");
    cpuinfo.lines().filter(is_core).count()
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        clock(&facts.clock),
        open_files(facts.open_files),
        locked_memory(facts.locked_memory, facts.gpus),
        shared_memory(facts.shared_memory),
        in_container(facts.container.as_ref()),
        threads(&facts.threads),
    ]
}

/// 1 January 2026, before which there was no explr.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// Clocks that differ by more than this are worth a word.
const SKEW_S: i64 = 60;

fn clock(clock: &Clock) -> Check {
    let name = "clock";
    let fix = "sudo timedatectl set-ntp true";
    let Ok(now) = Timestamp::from_millisecond(clock.now_ms) else {
        return Check::failure(name, "it tells no time that has a date", fix);
    };
    let now = now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if clock.now_ms < BEGINNING_MS {
        return Check::failure(name, format!("{now}, which is long past"), fix);
    }
    let newest = clock.newest_ms.and_then(|ms| i64::try_from(ms).ok());
    let newest_ahead = newest.map(|newest| (newest - clock.now_ms) / 1000);
    let off = [
        (
            newest_ahead.filter(|ahead| *ahead > 0),
            "the start of the newest run",
        ),
        (clock.store_ahead_s, "the clock of the store's file system"),
        (clock.server_ahead_s, "the clock of the MLflow server"),
    ]
    .into_iter()
    .find_map(|(ahead, whose)| {
        let ahead = ahead.filter(|ahead| ahead.abs() > SKEW_S)?;
        let way = if ahead > 0 { "later" } else { "earlier" };
        Some(format!("{whose} is {} s {way}", ahead.abs()))
    });
    match off {
        Some(off) => Check::warning(name, format!("{now}; {off}"), fix),
        None => Check::ok(name, now),
    }
}

/// What a study with many workers, and data loaders, are used to.
const FILES: u64 = 1024;

fn open_files(limits: Option<(u64, u64)>) -> Check {
    let name = "open files";
    let Some((soft, hard)) = limits else {
        return Check::not_applicable(name, "the limit can't be read");
    };
    if soft >= FILES {
        return Check::ok(name, limit_text(soft, ""));
    }
    Check::warning(
        name,
        format!("{soft}; a study with many workers may need {FILES}"),
        if hard >= FILES {
            format!("ulimit -n {FILES}")
        } else {
            format!("sudo prlimit --pid $$ --nofile={FILES}")
        },
    )
}

/// What several GPUs need to talk to each other.
const LOCKED: u64 = 64 << 20;

fn locked_memory(limit: Option<u64>, gpus: usize) -> Check {
    let name = "locked memory";
    let Some(limit) = limit else {
        return Check::not_applicable(name, "the limit can't be read");
    };
    let (shown, unit) = if limit == RLIM_INFINITY {
        (limit, "")
    } else {
        (limit >> 20, " MiB")
    };
    let shown = limit_text(shown, unit);
    if gpus < 2 {
        Check::not_applicable(name, format!("{shown}; only several GPUs at once need it"))
    } else if limit < LOCKED {
        Check::warning(
            name,
            format!("{shown}; NCCL may need more for several GPUs"),
            "ulimit -l unlimited    # docker run --ulimit memlock=-1",
        )
    } else {
        Check::ok(name, shown)
    }
}

fn limit_text(limit: u64, unit: &str) -> String {
    if limit == RLIM_INFINITY {
        "no limit".to_owned()
    } else {
        format!("{limit}{unit}")
    }
}

/// Docker gives 64 MiB.
const SHARED: u64 = 1 << 30;

fn shared_memory(size: Option<u64>) -> Check {
    let name = "shared memory";
    match size {
        None => Check::warning(
            name,
            "there is no /dev/shm, which data loaders with several processes use",
            "sudo mount -t tmpfs tmpfs /dev/shm",
        ),
        Some(size) if size < SHARED => Check::warning(
            name,
            format!(
                "{} MiB in /dev/shm; data loaders with several processes need more",
                size >> 20
            ),
            "docker run --shm-size 8g ...    # else: sudo mount -o remount,size=8G /dev/shm",
        ),
        Some(size) => Check::ok(name, format!("{:.1} GiB in /dev/shm", gib(size))),
    }
}

fn in_container(container: Option<&Container>) -> Check {
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

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn threads(threads: &Threads) -> Check {
    let name = "threads";
    let of = if threads.of_machine > threads.cores {
        format!(" of {}", threads.of_machine)
    } else {
        String::new()
    };
    let seen = format!(
        "{}{of} cores, which explr divides among workers",
        threads.cores
    );
    if threads.binding.is_empty() {
        return Check::ok(name, seen);
    }
    let names = threads.binding.join(", ");
    Check::warning(
        name,
        format!("{seen}; {names} may tie all of them to the same ones"),
        format!("unset {}", threads.binding.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING_MS, Clock, Container, Threads};
    use super::{clock, in_container, kind_of_groups, locked_memory, open_files};
    use super::{count_cores, shared_memory, threads};
    use crate::verify::{Check, Verdict};
    use nix::sys::resource::RLIM_INFINITY;

    const NOW: i64 = BEGINNING_MS + 86_400_000;

    fn fix(check: Check) -> String {
        match check.verdict {
            Verdict::Warning { fix } => fix,
            _ => panic!("no warning: {check:?}"),
        }
    }

    fn at(now_ms: i64) -> Clock {
        Clock {
            now_ms,
            newest_ms: None,
            store_ahead_s: None,
            server_ahead_s: None,
        }
    }

    #[test]
    fn a_clock_of_the_past_is_a_failure() {
        let check = clock(&at(0));
        assert!(check.seen.starts_with("1970-01-01"), "{check:?}");
        assert!(matches!(check.verdict, Verdict::Failure { .. }));
        let wrong = clock(&at(i64::MAX)).verdict;
        assert!(matches!(wrong, Verdict::Failure { .. }));
        assert_eq!(clock(&at(NOW)).verdict, Verdict::Ok);
    }

    #[test]
    fn clocks_that_differ_are_a_warning() {
        let minute = u64::try_from(NOW).unwrap() + 61_000;
        let set_back = Clock {
            newest_ms: Some(minute),
            ..at(NOW)
        };
        let check = clock(&set_back);
        let text = "the start of the newest run is 61 s later";
        assert!(check.seen.ends_with(text), "{check:?}");
        fix(check);
        let slow_server = Clock {
            store_ahead_s: Some(1),
            server_ahead_s: Some(-3600),
            ..at(NOW)
        };
        let check = clock(&slow_server);
        assert!(
            check.seen.ends_with("MLflow server is 3600 s earlier"),
            "{check:?}"
        );
        fix(check);
        let long_ago = Clock {
            newest_ms: Some(0),
            ..at(NOW)
        };
        assert_eq!(clock(&long_ago).verdict, Verdict::Ok);
    }

    #[test]
    fn few_open_files_are_a_warning_with_the_command_that_may_raise_them() {
        assert_eq!(open_files(Some((1024, 4096))).verdict, Verdict::Ok);
        assert_eq!(
            open_files(Some((RLIM_INFINITY, RLIM_INFINITY))).seen,
            "no limit"
        );
        assert_eq!(fix(open_files(Some((256, 4096)))), "ulimit -n 1024");
        assert!(fix(open_files(Some((256, 256)))).contains("prlimit"));
    }

    #[test]
    fn locked_memory_matters_to_several_gpus() {
        let of = |limit, gpus| locked_memory(Some(limit), gpus);
        assert_eq!(of(8 << 20, 1).verdict, Verdict::NotApplicable);
        assert!(of(8 << 20, 1).seen.starts_with("8 MiB"));
        assert!(fix(of(8 << 20, 2)).contains("memlock"));
        assert_eq!(of(RLIM_INFINITY, 2).verdict, Verdict::Ok);
    }

    #[test]
    fn the_shared_memory_of_docker_is_small() {
        assert!(fix(shared_memory(Some(64 << 20))).contains("--shm-size"));
        assert!(fix(shared_memory(None)).contains("tmpfs"));
        assert_eq!(shared_memory(Some(8 << 30)).seen, "8.0 GiB in /dev/shm");
    }

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
        let check = in_container(Some(&container(false)));
        assert_eq!(check, Check::ok("container", "Docker, 16.0 GiB of memory"));
        assert!(fix(in_container(Some(&container(true)))).contains("--init"));
        assert_eq!(in_container(None).verdict, Verdict::NotApplicable);
    }

    #[test]
    fn variables_that_place_threads_are_a_warning() {
        let of = |binding: &[&str]| Threads {
            cores: 2,
            of_machine: 16,
            binding: binding.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(threads(&of(&[])).seen.starts_with("2 of 16 cores"));
        let check = threads(&of(&["OMP_PROC_BIND", "OMP_PLACES"]));
        assert_eq!(fix(check), "unset OMP_PROC_BIND OMP_PLACES");
        assert_eq!(count_cores("processor\t: 0\nmodel\nprocessor\t: 1\n"), 2);
    }
}
