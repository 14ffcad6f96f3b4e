//! The rest of the machine: its limits and threads, with clock and container.

use super::clock::{Clock, clock};
use super::container::{self, Container};
use super::{Check, gpu, store, tracking};
use jiff::Timestamp;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fs;

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
        container: container::gather(),
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
        container::check(facts.container.as_ref()),
        threads(&facts.threads),
    ]
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

pub(super) fn gib(bytes: u64) -> f64 {
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
    use super::{Threads, count_cores, locked_memory, open_files, shared_memory, threads};
    use crate::verify::{Check, Verdict};
    use nix::sys::resource::RLIM_INFINITY;

    fn fix(check: Check) -> String {
        match check.verdict {
            Verdict::Warning { fix } => fix,
            _ => panic!("no warning: {check:?}"),
        }
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
