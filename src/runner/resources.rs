//! What the machine has, and what a run gets of it.

use super::RunError;
use super::libtorch;
use super::provenance::cores;
use crate::config::{Config, DeviceChoice};
use explr_protocol::Device;
use nvml_wrapper::Nvml;
use std::path::Path;

/// Default limit of GPU memory, in GB.
const GPU_MEMORY_GB: f64 = 24.0;
/// What is left to the driver and the desktop, as a part of the card.
const GPU_RESERVE: f64 = 0.03;

/// What a run gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Granted {
    pub(crate) device: Device,
    pub(crate) threads: u32,
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

/// Decides what a run gets, or says what it can't have.
pub(crate) fn grant(config: &Config, libtorch: Option<&Path>) -> Result<Granted, RunError> {
    let cores = cores();
    let threads = config.resources.cpus.unwrap_or(cores);
    if threads > cores {
        return Err(RunError::Resources {
            name: "cpus",
            asked: threads,
            has: cores,
        });
    }
    let gpus = match config.device {
        DeviceChoice::Device(Device::Cpu) => Vec::new(),
        _ => gpus(),
    };
    // A part of a GPU needs a whole one to be there; the configuration is
    // checked to be small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let asked = config.resources.gpus.unwrap_or(0.0).ceil() as u32;
    let has = u32::try_from(gpus.len()).unwrap_or(u32::MAX);
    if asked > has {
        return Err(RunError::Resources {
            name: "gpus",
            asked,
            has,
        });
    }
    let usable = libtorch.is_none_or(libtorch::has_cuda);
    let (device, gpu) = choose(config.device, &gpus, usable)?;
    let mut environment = threads_environment(threads);
    if let Some(gpu) = gpu {
        // The worker sees one GPU, by its UUID: the orders of CUDA and NVML
        // differ. There its index is 0.
        environment.push(("CUDA_VISIBLE_DEVICES".to_owned(), gpu.uuid.clone()));
        let fraction = memory_fraction(config.resources.gpu_memory_gb, gpu.total);
        environment.push((
            "PYTORCH_CUDA_ALLOC_CONF".to_owned(),
            format!("per_process_memory_fraction:{fraction:.4}"),
        ));
    }
    Ok(Granted {
        device,
        threads,
        environment,
    })
}

fn choose(
    choice: DeviceChoice,
    gpus: &[Gpu],
    usable: bool,
) -> Result<(Device, Option<&Gpu>), RunError> {
    let missing = |device, why: &str| {
        Err(RunError::NoDevice {
            device,
            why: why.to_owned(),
        })
    };
    match choice {
        DeviceChoice::Device(Device::Cpu) => Ok((Device::Cpu, None)),
        DeviceChoice::Auto => match gpus.iter().max_by_key(|gpu| gpu.free) {
            Some(gpu) if usable => Ok((Device::Cuda(0), Some(gpu))),
            _ => Ok((Device::Cpu, None)),
        },
        DeviceChoice::Device(device @ Device::Cuda(index)) => {
            if !usable {
                return missing(device, "the libtorch in use is built without CUDA");
            }
            match gpus.get(index as usize) {
                Some(gpu) => Ok((Device::Cuda(0), Some(gpu))),
                None if gpus.is_empty() => missing(
                    device,
                    "this machine has no NVIDIA GPU, or no driver for it",
                ),
                None => missing(device, &format!("this machine has {} GPU(s)", gpus.len())),
            }
        }
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

/// The part of a card of `total` bytes that a worker may use.
fn memory_fraction(limit_gb: Option<f64>, total: u64) -> f64 {
    let limit = limit_gb.unwrap_or(GPU_MEMORY_GB) * 1e9;
    (limit / total as f64).min(1.0 - GPU_RESERVE)
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
    use super::{Gpu, choose, memory_fraction};
    use crate::config::DeviceChoice;
    use explr_protocol::Device;

    fn gpu(uuid: &str, free: u64) -> Gpu {
        Gpu {
            uuid: uuid.into(),
            total: 32_000_000_000,
            free,
        }
    }

    #[test]
    fn auto_takes_the_freest_gpu_and_else_the_cpu() {
        let gpus = [gpu("GPU-a", 1), gpu("GPU-b", 5), gpu("GPU-c", 3)];
        let (device, chosen) = choose(DeviceChoice::Auto, &gpus, true).unwrap();
        assert_eq!(
            (device, &chosen.unwrap().uuid[..]),
            (Device::Cuda(0), "GPU-b")
        );
        for (gpus, usable) in [(&gpus[..], false), (&[][..], true)] {
            let chosen = choose(DeviceChoice::Auto, gpus, usable).unwrap();
            assert_eq!(chosen, (Device::Cpu, None));
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        let gpus = [gpu("GPU-a", 1)];
        let second = DeviceChoice::Device(Device::Cuda(1));
        assert!(choose(second, &gpus, true).is_err());
        let first = DeviceChoice::Device(Device::Cuda(0));
        assert!(choose(first, &gpus, false).is_err());
        assert!(choose(first, &[], true).is_err());
        assert!(choose(first, &gpus, true).is_ok());
    }

    #[test]
    fn the_memory_limit_never_exceeds_the_card() {
        let total = 32_000_000_000;
        for (limit, fraction) in [(None, 0.75), (Some(8.0), 0.25), (Some(64.0), 0.97)] {
            assert!((memory_fraction(limit, total) - fraction).abs() < 1e-9);
        }
    }
}
