use super::Process;
use serde::Serialize;

/// The GPUs of this machine, as the driver tells of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gpus {
    /// Version of the driver, as in `570.195.03`.
    pub driver: Option<String>,
    /// The newest CUDA that the driver can run, as in `12.8`.
    pub cuda: Option<String>,
    /// `CUDA_VISIBLE_DEVICES`, where it is set.
    pub cuda_visible_devices: Option<String>,
    /// The cards, in the order of the PCI bus.
    pub gpus: Vec<Gpu>,
    /// What could not be read, and what may surprise.
    pub notes: Vec<String>,
}

/// A card. What it doesn't know of itself is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its number among those that CUDA may use: `N` of `cuda:N`.
    pub device: Option<u32>,
    /// Its name in every order.
    pub uuid: String,
    /// The model.
    pub name: String,
    /// As in `Blackwell`.
    pub architecture: Option<String>,
    /// Of CUDA, as in `12.0`.
    pub compute_capability: Option<String>,
    /// Address on the PCI bus.
    pub pci: Option<String>,
    /// All of it. None where the GPU shares the processor's memory.
    pub memory: Option<Memory>,
    /// How busy it is.
    pub utilisation: Option<Utilisation>,
    /// In degrees Celsius.
    pub temperature_c: Option<u32>,
    /// What it draws, in milliwatts.
    pub power_mw: Option<u32>,
    /// The most that it may draw, in milliwatts.
    pub power_limit_mw: Option<u32>,
    /// How fast it runs.
    pub clocks: Option<Clocks>,
    /// Error correction; none for a card without it.
    pub ecc: Option<Ecc>,
    /// Whether the card can be divided, and is; none for a card that can't.
    pub mig: Option<Mig>,
    /// What keeps the clocks down, but for having nothing to do.
    pub throttled_by: Vec<&'static str>,
    /// What uses it.
    pub processes: Vec<Process>,
}

/// Memory of a card or of a part of one, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// Taken, by the driver too.
    pub used: u64,
    /// Not taken.
    pub free: u64,
}

/// Percentages of the last moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Utilisation {
    /// Time in which a kernel ran.
    pub gpu: u32,
    /// Time in which memory was read or written.
    pub memory: u32,
}

/// Clocks, in MHz, each with its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Clocks {
    /// The streaming multiprocessors.
    pub sm: u32,
    /// The fastest that they can be.
    pub sm_max: Option<u32>,
    /// The memory.
    pub memory: u32,
    /// The fastest that it can be.
    pub memory_max: Option<u32>,
}

/// Error correction, and what it saw since the driver was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ecc {
    /// It is switched on.
    pub enabled: bool,
    /// Errors that it made good.
    pub corrected: Option<u64>,
    /// Errors that it could not: results may be wrong.
    pub uncorrected: Option<u64>,
}

/// A card's division into parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mig {
    /// It is divided: CUDA can use the parts, and not the card.
    pub enabled: bool,
    /// The parts.
    pub parts: Vec<MigPart>,
}

/// A part of a divided card, which programs use like a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigPart {
    /// Its number among those that CUDA may use.
    pub device: Option<u32>,
    /// Its name in every order.
    pub uuid: String,
    /// Its own memory.
    pub memory: Option<Memory>,
    /// What uses it.
    pub processes: Vec<Process>,
}
