//! What the machine has, and what a run gets of it.

use super::RunError;
use super::libtorch;
use super::provenance::cores;
use crate::config::{Config, DeviceChoice};
use crate::gpu::{Driver, Limit};
use explr_protocol::Device;
use explr_protocol::control::MEMORY_VARIABLE;
use std::path::Path;

/// What a worker gets of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    /// Where tensors will live.
    pub device: Device,
    /// Number of threads.
    pub threads: u32,
    /// UUIDs of its GPUs; none on the CPU.
    pub(crate) gpus: Vec<String>,
    /// Further environment of the worker.
    pub(crate) environment: Vec<(String, String)>,
}

impl Granted {
    /// The worker's environment, with `further` variables that the user wants.
    /// Settings of PyTorch's allocator don't cost the memory limit.
    pub(crate) fn environment_with(
        &self,
        further: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<(String, String)> {
        let ours = self.environment.iter().find(|(name, _)| name == ALLOCATOR);
        let limit = ours.and_then(|(_, ours)| ours.rsplit(',').next());
        let mut environment = self.environment.clone();
        for (name, value) in further {
            match limit {
                Some(limit) if [ALLOCATOR, ALLOCATOR_TOO].contains(&name.as_str()) => {
                    let value = with_limit(Some(&value), limit);
                    environment.push((ALLOCATOR_TOO.to_owned(), value.clone()));
                    environment.push((ALLOCATOR.to_owned(), value));
                }
                _ => environment.push((name, value)),
            }
        }
        environment
    }
}

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq)]
struct Gpu {
    uuid: String,
    total: u64,
    free: u64,
}

/// How many workers are to run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// As many as the machine has room for.
    Auto,
    Count(u32),
}

/// The machine, divided among workers.
#[derive(Debug)]
pub(crate) struct Slots {
    /// How many workers may run at a time.
    pub(crate) jobs: usize,
    /// What a worker can get, the best first; never fewer than `jobs`. What
    /// is more are GPUs to fall back on.
    pub(crate) all: Vec<Granted>,
}

/// Decides what a single run gets, or says what it can't have.
pub(crate) fn grant(
    config: &Config,
    memory: &Limit,
    libtorch: Option<&Path>,
) -> Result<Granted, RunError> {
    let mut slots = slots(config, memory, libtorch, Jobs::Count(1))?;
    Ok(slots.all.swap_remove(0))
}

/// Divides the machine among workers.
pub(crate) fn slots(
    config: &Config,
    memory: &Limit,
    libtorch: Option<&Path>,
    jobs: Jobs,
) -> Result<Slots, RunError> {
    let gpus = match config.device {
        DeviceChoice::Device(Device::Cpu) => Vec::new(),
        _ => gpus(),
    };
    let machine = Machine {
        cores: cores(),
        gpus: &gpus,
        memory,
        cuda: libtorch.is_none_or(libtorch::has_cuda),
    };
    machine.slots(config, jobs)
}

/// What there is to divide.
struct Machine<'a> {
    cores: u32,
    gpus: &'a [Gpu],
    memory: &'a Limit,
    /// The libtorch in use can use them.
    cuda: bool,
}

impl Machine<'_> {
    fn slots(&self, config: &Config, jobs: Jobs) -> Result<Slots, RunError> {
        let shares = self.gpu_shares(config)?;
        let asked = match jobs {
            Jobs::Count(count) => Some(count.max(1)),
            Jobs::Auto => None,
        };
        let room = shares.as_ref().map(|shares| count_u32(shares.len()));
        let cpus = config.resources.cpus;
        let cores = self.cores;
        if let Some(cpus) = cpus.filter(|cpus| cpus * asked.unwrap_or(1) > cores) {
            return Err(RunError::Resources {
                name: "cpus",
                asked: f64::from(cpus * asked.unwrap_or(1)),
                has: cores,
            });
        }
        if let (Some(asked), Some(room)) = (asked, room)
            && asked > room
        {
            return Err(RunError::TooManyJobs { asked, room });
        }
        let count = asked.unwrap_or_else(|| {
            let by_cores = cores / cpus.unwrap_or(1);
            room.map_or(by_cores, |room| room.min(by_cores)).max(1)
        });
        let threads = cpus.unwrap_or((cores / count).max(1));
        let jobs = count as usize;
        let shares = match shares {
            Some(shares) => shares.into_iter().map(Some).collect(),
            None => vec![None; jobs],
        };
        let all = shares
            .into_iter()
            .map(|share| {
                let mut environment = threads_environment(threads);
                let (device, gpus) = match share {
                    None => (Device::Cpu, Vec::new()),
                    Some(share) => {
                        environment.extend(share.environment());
                        (Device::Cuda(0), share.cards)
                    }
                };
                Granted {
                    device,
                    threads,
                    gpus,
                    environment,
                }
            })
            .collect();
        Ok(Slots { jobs, all })
    }

    /// The parts of GPUs that workers can have, the freest card first; none
    /// when they train on the CPU.
    fn gpu_shares(&self, config: &Config) -> Result<Option<Vec<GpuShare>>, RunError> {
        let resources = &config.resources;
        let asked = resources.gpus;
        if asked == Some(0.0) {
            return Ok(None);
        }
        let Some(mut cards) = self.cards(config.device)? else {
            return match asked {
                Some(asked) => Err(RunError::Resources {
                    name: "gpus",
                    asked,
                    has: count_u32(self.gpus.len()),
                }),
                None => Ok(None),
            };
        };
        if let Some(largest) = cards.iter().map(|gpu| gpu.total).max() {
            self.memory.check(largest)?;
        }
        cards.sort_by_key(|gpu| std::cmp::Reverse(gpu.free));
        let each = asked.unwrap_or(1.0);
        let shares: Vec<GpuShare> = if each >= 1.0 {
            // Checked with the configuration: a whole number.
            let group = whole(each);
            cards
                .chunks_exact(group)
                .map(|cards| GpuShare::of(cards, self.memory, 1))
                .collect()
        } else {
            // Every card gets its first worker before any gets its second.
            let workers = resources.trials_per_gpu();
            (0..workers)
                .flat_map(|_| &cards)
                .map(|&gpu| GpuShare::of(&[gpu], self.memory, workers))
                .collect()
        };
        if shares.is_empty() {
            return Err(RunError::Resources {
                name: "gpus",
                asked: each,
                has: count_u32(cards.len()),
            });
        }
        Ok(Some(shares))
    }

    /// The cards that workers may use; none when they train on the CPU.
    fn cards(&self, choice: DeviceChoice) -> Result<Option<Vec<&Gpu>>, RunError> {
        let missing = |device, why: &str| {
            Err(RunError::NoDevice {
                device,
                why: why.to_owned(),
            })
        };
        match choice {
            DeviceChoice::Auto if self.cuda && !self.gpus.is_empty() => {
                Ok(Some(self.gpus.iter().collect()))
            }
            DeviceChoice::Auto | DeviceChoice::Device(Device::Cpu) => Ok(None),
            DeviceChoice::Device(device @ Device::Cuda(index)) => {
                if !self.cuda {
                    return missing(device, "the libtorch in use is built without CUDA");
                }
                match self.gpus.get(index as usize) {
                    Some(gpu) => Ok(Some(vec![gpu])),
                    None if self.gpus.is_empty() => missing(
                        device,
                        "this machine has no NVIDIA GPU, or no driver for it, or \
                         CUDA_VISIBLE_DEVICES hides it (see `explr gpu-info`)",
                    ),
                    None => missing(
                        device,
                        &format!(
                            "{} can be used here (see `explr gpu-info`)",
                            self.gpus.len()
                        ),
                    ),
                }
            }
        }
    }
}

/// What a worker gets of the GPUs.
#[derive(Clone)]
struct GpuShare {
    /// UUIDs.
    cards: Vec<String>,
    /// What it may use of each card's memory, in bytes.
    memory: u64,
    /// The same as a part of the card. PyTorch takes one number for all.
    fraction: f64,
}

impl GpuShare {
    /// The part of one of `workers` that have these cards.
    fn of(cards: &[&Gpu], limit: &Limit, workers: u64) -> Self {
        let memory = |gpu: &Gpu| limit.share(gpu.total, workers);
        let fraction = |gpu: &&Gpu| memory(gpu) as f64 / gpu.total.max(1) as f64;
        Self {
            cards: cards.iter().map(|gpu| gpu.uuid.clone()).collect(),
            memory: cards.iter().map(|gpu| memory(gpu)).min().unwrap_or(0),
            fraction: cards.iter().map(fraction).fold(1.0, f64::min),
        }
    }

    /// The worker sees its own GPUs only, by UUID: the orders of CUDA and NVML
    /// differ. There the first one's index is 0.
    fn environment(&self) -> [(String, String); 3] {
        let given = std::env::var(ALLOCATOR).or_else(|_| std::env::var(ALLOCATOR_TOO));
        let given = given.ok();
        let allocator = with_limit(given.as_deref(), &memory_fraction(self.fraction));
        [
            ("CUDA_VISIBLE_DEVICES".to_owned(), self.cards.join(",")),
            (ALLOCATOR.to_owned(), allocator),
            (MEMORY_VARIABLE.to_owned(), self.memory.to_string()),
        ]
    }
}

/// Settings of PyTorch's allocator.
const ALLOCATOR: &str = "PYTORCH_CUDA_ALLOC_CONF";
/// Another name of them, which counts less in libtorch 2.10.
const ALLOCATOR_TOO: &str = "PYTORCH_ALLOC_CONF";

/// The limit, in the allocator's words. Rounded down, so that it holds.
fn memory_fraction(fraction: f64) -> String {
    let fraction = (fraction * 1e6).floor() / 1e6;
    format!("per_process_memory_fraction:{fraction:.6}")
}

/// The user's settings of the allocator and the limit.
fn with_limit(given: Option<&str>, limit: &str) -> String {
    match given.map(str::trim) {
        None | Some("") => limit.to_owned(),
        // The last one counts.
        Some(given) => format!("{given},{limit}"),
    }
}

/// What CUDA may use here, in the order of its numbers.
fn gpus() -> Vec<Gpu> {
    let Ok(driver) = Driver::open() else {
        return Vec::new();
    };
    let gpus = driver.read_memory();
    let units = gpus.units().into_iter().filter_map(|unit| {
        let memory = unit.memory?;
        Some(Gpu {
            uuid: unit.uuid.to_owned(),
            total: memory.total,
            free: memory.free,
        })
    });
    units.collect()
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> usize {
    number.max(0.0) as usize
}

/// Threads that spin at a barrier burn the cores that another process needs,
/// so a worker gets its share of them and waits passively.
fn threads_environment(threads: u32) -> Vec<(String, String)> {
    let count = threads.to_string();
    let mut environment: Vec<_> = [
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), count.clone()))
    .collect();
    environment.push(("OMP_WAIT_POLICY".to_owned(), "passive".to_owned()));
    environment
}

#[cfg(test)]
mod tests {
    use super::{ALLOCATOR, Gpu, Granted, Jobs, Machine, Slots, memory_fraction, with_limit};
    use crate::config::{self, Config};
    use crate::gpu::{Limit, Source};
    use crate::runner::RunError;
    use explr_protocol::Device;
    use std::path::Path;

    fn gpu(uuid: &str, free: u64) -> Gpu {
        Gpu {
            uuid: uuid.into(),
            total: 32_000_000_000,
            free,
        }
    }

    fn config(yaml: &str) -> Config {
        let text = format!("experiment: test\n{yaml}\n");
        config::from_str("test", &text, Path::new(""), &[], std::iter::empty())
            .unwrap()
            .config
    }

    fn slots(gpus: &[Gpu], yaml: &str, jobs: Jobs) -> Result<Vec<Granted>, RunError> {
        limited(gpus, yaml, jobs, "24")
    }

    fn limited(gpus: &[Gpu], yaml: &str, jobs: Jobs, gb: &str) -> Result<Vec<Granted>, RunError> {
        let machine = Machine {
            cores: 8,
            gpus,
            memory: &Limit::choose([(Source::Variable, gb.to_owned())]).unwrap(),
            cuda: true,
        };
        machine.slots(&config(yaml), jobs).map(at_a_time)
    }

    /// What the first workers get.
    fn at_a_time(slots: Slots) -> Vec<Granted> {
        slots.all.into_iter().take(slots.jobs).collect()
    }

    fn variable<'a>(granted: &'a Granted, name: &str) -> Option<&'a str> {
        let found = granted.environment.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn cards(slots: &[Granted]) -> Vec<&str> {
        let visible = |slot| variable(slot, "CUDA_VISIBLE_DEVICES");
        slots.iter().filter_map(visible).collect()
    }

    #[test]
    fn auto_takes_the_freest_gpu_and_else_the_cpu() {
        let gpus = [gpu("GPU-a", 1), gpu("GPU-b", 5), gpu("GPU-c", 3)];
        let one = slots(&gpus, "device: auto", Jobs::Count(1)).unwrap();
        assert_eq!(one[0].device, Device::Cuda(0));
        assert_eq!(cards(&one), ["GPU-b"]);
        let none = slots(&[], "device: auto", Jobs::Count(1)).unwrap();
        assert_eq!((none[0].device, none[0].threads), (Device::Cpu, 8));
        let without_cuda = Machine {
            cores: 8,
            gpus: &gpus,
            memory: &Limit::choose([]).unwrap(),
            cuda: false,
        };
        let slots = without_cuda
            .slots(&config("device: auto"), Jobs::Auto)
            .map(at_a_time)
            .unwrap();
        assert_eq!((slots.len(), slots[0].device), (8, Device::Cpu));
    }

    #[test]
    fn a_device_that_is_not_there_is_refused() {
        let gpus = [gpu("GPU-a", 1)];
        for (yaml, gpus) in [("device: cuda:1", &gpus[..]), ("device: cuda", &[])] {
            let refused = slots(gpus, yaml, Jobs::Auto);
            assert!(matches!(refused, Err(RunError::NoDevice { .. })), "{yaml}");
        }
        let two = slots(&gpus, "resources: {gpus: 2}", Jobs::Auto);
        assert!(matches!(two, Err(RunError::Resources { name: "gpus", .. })));
    }

    #[test]
    fn jobs_share_the_cores() {
        let threads = |yaml: &str, jobs| {
            let slots = slots(&[], yaml, jobs).unwrap();
            (slots.len(), slots[0].threads)
        };
        assert_eq!(threads("seed: 1", Jobs::Count(3)), (3, 2));
        assert_eq!(threads("seed: 1", Jobs::Count(20)), (20, 1));
        assert_eq!(threads("seed: 1", Jobs::Auto), (8, 1));
        assert_eq!(threads("resources: {cpus: 3}", Jobs::Auto), (2, 3));
        let refused = slots(&[], "resources: {cpus: 3}", Jobs::Count(3));
        assert!(matches!(
            refused,
            Err(RunError::Resources { name: "cpus", .. })
        ));
    }

    #[test]
    fn each_job_has_its_own_gpu_or_its_part_of_one() {
        let gpus = [gpu("GPU-a", 1), gpu("GPU-b", 5)];
        let whole = slots(&gpus, "device: cuda", Jobs::Auto);
        assert_eq!(cards(&whole.unwrap()), ["GPU-a"], "`cuda` is the first");
        let each = slots(&gpus, "resources: {gpus: 1}", Jobs::Auto).unwrap();
        assert_eq!(cards(&each), ["GPU-b", "GPU-a"]);
        let both = slots(&gpus, "resources: {gpus: 2}", Jobs::Auto).unwrap();
        assert_eq!(cards(&both), ["GPU-b,GPU-a"]);
        let refused = slots(&gpus, "resources: {gpus: 1}", Jobs::Count(3));
        let said = refused.unwrap_err().to_string();
        assert!(
            said.contains("3 jobs") && said.contains("room for 2"),
            "{said}"
        );
    }

    #[test]
    fn gpus_beyond_the_number_of_jobs_are_there_to_fall_back_on() {
        let gpus = [gpu("GPU-a", 1), gpu("GPU-b", 5)];
        let machine = Machine {
            cores: 8,
            gpus: &gpus,
            memory: &Limit::choose([]).unwrap(),
            cuda: true,
        };
        let slots = machine
            .slots(&config("resources: {gpus: 0.5}"), Jobs::Count(1))
            .unwrap();
        assert_eq!((slots.jobs, slots.all[0].threads), (1, 8));
        let own: Vec<_> = slots.all.iter().flat_map(|slot| &slot.gpus).collect();
        assert_eq!(own, ["GPU-b", "GPU-a", "GPU-b", "GPU-a"]);
    }

    #[test]
    fn the_workers_on_a_card_share_its_limit() {
        let gpus = [gpu("GPU-a", 1)];
        for (yaml, gb, bytes, fraction) in [
            ("seed: 1", "24", "24000000000", "0.750000"),
            ("seed: 1", "0", "31040000000", "0.970000"),
            ("resources: {gpus: 0.5}", "24", "12000000000", "0.375000"),
            ("resources: {gpus: 0.3}", "10", "3333333333", "0.104166"),
        ] {
            let slots = limited(&gpus, yaml, Jobs::Auto, gb).unwrap();
            for slot in &slots {
                let given = variable(slot, "EXPLR_GPU_MEMORY_BYTES");
                assert_eq!(given, Some(bytes), "{yaml}, {gb} GB");
                let limit = variable(slot, "PYTORCH_CUDA_ALLOC_CONF").unwrap();
                assert!(
                    limit.ends_with(&format!("memory_fraction:{fraction}")),
                    "{limit}"
                );
            }
            let all = slots.len() as u64 * bytes.parse::<u64>().unwrap();
            assert!(all <= 31_040_000_000, "{yaml}, {gb} GB");
        }
    }

    #[test]
    fn the_limit_holds_on_the_smallest_of_several_cards() {
        let mut small = gpu("GPU-b", 1);
        small.total = 16_000_000_000;
        let gpus = [gpu("GPU-a", 2), small];
        let both = limited(&gpus, "resources: {gpus: 2}", Jobs::Auto, "24").unwrap();
        let given = variable(&both[0], "EXPLR_GPU_MEMORY_BYTES");
        assert_eq!(given, Some("15520000000"));
        let limit = variable(&both[0], "PYTORCH_CUDA_ALLOC_CONF").unwrap();
        assert!(limit.ends_with("memory_fraction:0.750000"), "{limit}");
    }

    #[test]
    fn more_memory_than_any_card_has_is_refused() {
        let refused = limited(&[gpu("GPU-a", 1)], "seed: 1", Jobs::Auto, "33");
        assert!(
            matches!(refused, Err(RunError::GpuMemory(_))),
            "{refused:?}"
        );
        let on_cpu = limited(&[], "seed: 1", Jobs::Auto, "33");
        assert!(on_cpu.is_ok(), "{on_cpu:?}");
    }

    #[test]
    fn settings_of_the_allocator_are_kept() {
        let limit = memory_fraction(0.5);
        assert_eq!(with_limit(None, &limit), limit);
        assert_eq!(with_limit(Some(" "), &limit), limit);
        let granted = Granted {
            device: Device::Cuda(0),
            threads: 1,
            gpus: Vec::new(),
            environment: vec![(ALLOCATOR.into(), format!("pinned_use_x:True,{limit}"))],
        };
        for name in [ALLOCATOR, "PYTORCH_ALLOC_CONF"] {
            let given = (name.to_owned(), "expandable_segments:True".to_owned());
            let environment = granted.environment_with([given, ("HOME".into(), "/x".into())]);
            let last = |name| environment.iter().rev().find(|(key, _)| key == name);
            let kept = &last(ALLOCATOR).unwrap().1;
            assert_eq!(*kept, format!("expandable_segments:True,{limit}"), "{name}");
            assert_eq!(last("HOME").unwrap().1, "/x");
        }
    }
}
