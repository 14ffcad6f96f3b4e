//! What the machine has, and what a run gets of it.

use super::RunError;
use super::libtorch;
use super::provenance::cores;
use crate::config::{Config, DeviceChoice};
use explr_protocol::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::path::Path;

/// Default limit of GPU memory, in GB.
const GPU_MEMORY_GB: f64 = 24.0;
/// What is left to the driver and the desktop, as a part of the card.
const GPU_RESERVE: f64 = 0.03;

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
pub(crate) fn grant(config: &Config, libtorch: Option<&Path>) -> Result<Granted, RunError> {
    let mut slots = slots(config, libtorch, Jobs::Count(1))?;
    Ok(slots.all.swap_remove(0))
}

/// Divides the machine among workers.
pub(crate) fn slots(
    config: &Config,
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
        cuda: libtorch.is_none_or(libtorch::has_cuda),
    };
    machine.slots(config, jobs)
}

/// What there is to divide.
struct Machine<'a> {
    cores: u32,
    gpus: &'a [Gpu],
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
        cards.sort_by_key(|gpu| std::cmp::Reverse(gpu.free));
        let each = asked.unwrap_or(1.0);
        let shares: Vec<GpuShare> = if each >= 1.0 {
            // Checked with the configuration: a whole number.
            let group = whole(each);
            cards
                .chunks_exact(group)
                .map(|cards| GpuShare {
                    cards: cards.iter().map(|gpu| gpu.uuid.clone()).collect(),
                    fraction: memory_fraction(resources.gpu_memory_gb, cards[0].total, 1),
                })
                .collect()
        } else {
            let fits = |gpu: &Gpu| {
                let by_part = whole((1.0 / each + 1e-9).floor());
                let by_memory = resources
                    .gpu_memory_gb
                    .map_or(usize::MAX, |limit| whole(usable(gpu.total) / (limit * 1e9)));
                by_part.min(by_memory)
            };
            let most = cards.iter().map(|gpu| fits(gpu)).max().unwrap_or(0);
            // Every card gets its first worker before any gets its second.
            (0..most)
                .flat_map(|round| cards.iter().filter(move |gpu| round < fits(gpu)))
                .map(|gpu| GpuShare {
                    cards: vec![gpu.uuid.clone()],
                    fraction: memory_fraction(resources.gpu_memory_gb, gpu.total, fits(gpu)),
                })
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
                        "this machine has no NVIDIA GPU, or no driver for it",
                    ),
                    None => missing(
                        device,
                        &format!("this machine has {} GPU(s)", self.gpus.len()),
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
    /// The part of a card's memory that it may use.
    fraction: f64,
}

impl GpuShare {
    /// The worker sees its own GPUs only, by UUID: the orders of CUDA and NVML
    /// differ. There the first one's index is 0.
    fn environment(&self) -> [(String, String); 2] {
        [
            ("CUDA_VISIBLE_DEVICES".to_owned(), self.cards.join(",")),
            (
                "PYTORCH_CUDA_ALLOC_CONF".to_owned(),
                format!("per_process_memory_fraction:{:.4}", self.fraction),
            ),
        ]
    }
}

fn gpus() -> Vec<Gpu> {
    let Ok(nvml) = Nvml::init() else {
        return Vec::new();
    };
    (0..nvml.device_count().unwrap_or(0))
        .filter_map(|index| {
            let gpu = nvml.device_by_index(index).ok()?;
            let memory = gpu.memory_info().ok()?;
            Some(Gpu {
                uuid: gpu.uuid().ok()?,
                total: memory.total,
                free: memory.free,
            })
        })
        .collect()
}

/// The first of these GPUs that the driver has lost, by UUID.
pub(super) fn lost(gpus: &[String]) -> Option<&String> {
    if gpus.is_empty() {
        return None;
    }
    let nvml = Nvml::init().ok()?;
    gpus.iter().find(|uuid| {
        let answer = nvml
            .device_by_uuid(uuid.as_str())
            .and_then(|gpu| gpu.memory_info());
        matches!(answer, Err(NvmlError::GpuLost | NvmlError::NotFound))
    })
}

/// The part of a card of `total` bytes that each of `workers` may use.
fn memory_fraction(limit_gb: Option<f64>, total: u64, workers: usize) -> f64 {
    let limit = limit_gb.unwrap_or(GPU_MEMORY_GB) * 1e9;
    (limit / total as f64).min((1.0 - GPU_RESERVE) / workers as f64)
}

/// What workers may use of a card of `total` bytes.
fn usable(total: u64) -> f64 {
    total as f64 * (1.0 - GPU_RESERVE)
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
    use super::{Gpu, Granted, Jobs, Machine, Slots, memory_fraction};
    use crate::config::{self, Config};
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
        let machine = Machine {
            cores: 8,
            gpus,
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
    fn the_memory_limit_never_exceeds_the_card() {
        let total = 32_000_000_000;
        for (limit, workers, fraction) in [
            (None, 1, 0.75),
            (Some(8.0), 1, 0.25),
            (Some(64.0), 1, 0.97),
            (None, 2, 0.485),
        ] {
            assert!((memory_fraction(limit, total, workers) - fraction).abs() < 1e-9);
        }
    }
}
