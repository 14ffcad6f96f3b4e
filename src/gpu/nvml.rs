use super::{Clocks, Ecc, Gpu, Gpus, Memory, Mig, MigPart, Process, Utilisation};
use nvml_wrapper::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use std::collections::BTreeMap;

/// There is no GPU that could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// The driver is not installed, or not given to this container.
    #[error("the NVIDIA driver is not installed (its library libnvidia-ml.so.1 can't be opened)")]
    NoDriver,
    /// The driver's library and its kernel module are of different versions.
    #[error(
        "the NVIDIA driver doesn't answer: its library and its kernel module differ in version; \
         restart the machine"
    )]
    Mismatch,
    /// The driver is installed and does not work.
    #[error("the NVIDIA driver doesn't answer: {0}")]
    NoAnswer(String),
    /// The driver knows of none.
    #[error("the NVIDIA driver is there, and no GPU")]
    NoCard,
}

impl NoGpu {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoDriver => {
                "explr trains on the CPU here; for a GPU, install NVIDIA's driver, or give the \
                 GPU to this container (`docker run --gpus all`)"
            }
            Self::Mismatch | Self::NoAnswer(_) => "`nvidia-smi` and `dmesg` may tell more",
            Self::NoCard => {
                "explr trains on the CPU here; in a container, begin it with `--gpus all`"
            }
        }
    }
}

impl From<NvmlError> for NoGpu {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Self::NoDriver,
            NvmlError::DriverNotLoaded => Self::NoAnswer("it is not loaded".to_owned()),
            NvmlError::LibRmVersionMismatch => Self::Mismatch,
            other => Self::NoAnswer(other.to_string()),
        }
    }
}

/// What decides whether a libtorch can use the GPUs.
pub(crate) struct Abilities {
    /// Version of the driver.
    pub(crate) driver: String,
    /// The newest CUDA that it can run, as in `12080`.
    pub(crate) cuda: i32,
    /// Name, UUID and compute capability of each card.
    pub(crate) cards: Vec<(String, String, (u32, u32))>,
}

/// The driver, open.
pub struct Driver(Nvml);

impl Driver {
    /// Opens the driver's library.
    pub fn open() -> Result<Self, NoGpu> {
        let nvml = Nvml::init()?;
        match nvml.device_count()? {
            0 => Err(NoGpu::NoCard),
            _ => Ok(Self(nvml)),
        }
    }

    /// What the driver and the cards can do, all of them or none.
    pub(crate) fn abilities(&self) -> Result<Abilities, NoGpu> {
        let nvml = &self.0;
        let part = |part: i32| u32::try_from(part).unwrap_or(0);
        let card = |index| {
            let card = nvml.device_by_index(index)?;
            let capability = card.cuda_compute_capability()?;
            let capability = (part(capability.major), part(capability.minor));
            Ok((card.name()?, card.uuid()?, capability))
        };
        Ok(Abilities {
            driver: nvml.sys_driver_version()?,
            cuda: nvml.sys_cuda_driver_version()?,
            cards: (0..nvml.device_count()?)
                .map(card)
                .collect::<Result<_, NvmlError>>()?,
        })
    }

    /// Everything about every GPU.
    pub fn read(&self) -> Gpus {
        self.gpus(everything)
    }

    /// What is needed to divide the GPUs among workers.
    pub(crate) fn read_memory(&self) -> Gpus {
        self.gpus(|device| memory_of(device, |_| Vec::new()))
    }

    fn gpus(&self, of: impl Fn(&Device) -> Gpu) -> Gpus {
        let nvml = &self.0;
        let mut gpus = Gpus {
            driver: nvml.sys_driver_version().ok(),
            cuda: nvml
                .sys_cuda_driver_version()
                .ok()
                .map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
            ..Gpus::default()
        };
        for index in 0..nvml.device_count().unwrap_or(0) {
            match nvml.device_by_index(index) {
                Ok(device) => gpus.gpus.push(of(&device)),
                Err(error) => gpus
                    .notes
                    .push(format!("GPU {index} can't be read: {error}")),
            }
        }
        let variable =
            |name| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
        let by_bus = variable("CUDA_DEVICE_ORDER").is_some_and(|order| order == "PCI_BUS_ID");
        gpus.number(variable("CUDA_VISIBLE_DEVICES"), by_bus);
        gpus
    }
}

/// The first of these GPUs that the driver has lost, by UUID.
pub(crate) fn lost(gpus: &[String]) -> Option<&String> {
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

fn memory_of(device: &Device, processes: fn(&Device) -> Vec<Process>) -> Gpu {
    Gpu {
        uuid: device.uuid().unwrap_or_default(),
        name: device.name().unwrap_or_default(),
        memory: memory(device),
        mig: mig(device, processes),
        processes: processes(device),
        ..Gpu::default()
    }
}

fn everything(device: &Device) -> Gpu {
    Gpu {
        architecture: device.architecture().ok().map(|one| format!("{one:?}")),
        compute_capability: device
            .cuda_compute_capability()
            .ok()
            .map(|capability| format!("{}.{}", capability.major, capability.minor)),
        pci: device.pci_info().ok().map(|pci| pci.bus_id),
        utilisation: device.utilization_rates().ok().map(|rates| Utilisation {
            gpu: rates.gpu,
            memory: rates.memory,
        }),
        temperature_c: device.temperature(TemperatureSensor::Gpu).ok(),
        power_mw: device.power_usage().ok(),
        power_limit_mw: device.enforced_power_limit().ok(),
        clocks: clocks(device),
        ecc: ecc(device),
        throttled_by: device
            .current_throttle_reasons()
            .map(throttled_by)
            .unwrap_or_default(),
        ..memory_of(device, processes)
    }
}

fn memory(device: &Device) -> Option<Memory> {
    let memory = device.memory_info().ok()?;
    Some(Memory {
        total: memory.total,
        used: memory.used,
        free: memory.free,
    })
}

fn clocks(device: &Device) -> Option<Clocks> {
    Some(Clocks {
        sm: device.clock_info(Clock::SM).ok()?,
        sm_max: device.max_clock_info(Clock::SM).ok(),
        memory: device.clock_info(Clock::Memory).ok()?,
        memory_max: device.max_clock_info(Clock::Memory).ok(),
    })
}

fn ecc(device: &Device) -> Option<Ecc> {
    let enabled = device.is_ecc_enabled().ok()?.currently_enabled;
    let errors = |kind| device.total_ecc_errors(kind, EccCounter::Volatile).ok();
    Some(Ecc {
        enabled,
        corrected: errors(MemoryError::Corrected),
        uncorrected: errors(MemoryError::Uncorrected),
    })
}

fn mig(device: &Device, processes: fn(&Device) -> Vec<Process>) -> Option<Mig> {
    let enabled = device.mig_mode().ok()?.current == 1;
    let count = if enabled {
        device.mig_device_count().unwrap_or(0)
    } else {
        0
    };
    let part = |index| {
        let part = device.mig_device_by_index(index).ok()?;
        Some(MigPart {
            device: None,
            uuid: part.uuid().ok()?,
            memory: memory(&part),
            processes: processes(&part),
        })
    };
    Some(Mig {
        enabled,
        parts: (0..count).filter_map(part).collect(),
    })
}

/// What computes and what draws. A process that does both is one.
fn processes(device: &Device) -> Vec<Process> {
    let all = [
        device.running_compute_processes(),
        device.running_graphics_processes(),
    ];
    let mut held: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    for process in all.into_iter().flatten().flatten() {
        let memory = held_by(&process);
        let known = held.entry(process.pid).or_default();
        *known = (*known).max(memory);
    }
    held.into_iter()
        .map(|(pid, memory)| Process::look(pid, memory))
        .collect()
}

fn held_by(process: &ProcessInfo) -> Option<u64> {
    match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    }
}

fn throttled_by(reasons: ThrottleReasons) -> Vec<&'static str> {
    [
        (ThrottleReasons::SW_POWER_CAP, "power limit"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "heat (hardware)"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power supply"),
        (ThrottleReasons::HW_SLOWDOWN, "hardware slowdown"),
        (
            ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
            "clocks set by the user",
        ),
        (ThrottleReasons::SYNC_BOOST, "another GPU of its group"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "a display"),
    ]
    .into_iter()
    .filter(|(reason, _)| reasons.contains(*reason))
    .map(|(_, name)| name)
    .collect()
}
