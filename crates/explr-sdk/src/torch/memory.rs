//! What libtorch's allocator holds of a GPU's memory.

use super::shim;
use crate::Result;

/// What libtorch holds of a GPU's memory, in bytes. The CUDA context of the
/// process, a few hundred megabytes, is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Taken by tensors.
    pub allocated: u64,
    /// Taken from the GPU, for tensors of now and later.
    pub reserved: u64,
    /// The most that tensors ever took.
    pub peak_allocated: u64,
    /// The most that was ever taken from the GPU. This is what the limit is for.
    pub peak_reserved: u64,
}

/// What this process holds of a device's memory; all 0 for the CPU, and before
/// the first tensor is on a GPU.
pub fn stats(device: tch::Device) -> Result<Stats> {
    let [allocated, reserved, peak_allocated, peak_reserved] = match device {
        tch::Device::Cuda(index) => shim::memory_stats(index)?,
        _ => [0; 4],
    };
    Ok(Stats {
        allocated,
        reserved,
        peak_allocated,
        peak_reserved,
    })
}

/// Lets this process take this part of each GPU's memory and no more: above 0,
/// 1 for all of it.
///
/// For a program that explr did not start: a worker has its limit already. To
/// be called before the first tensor is on a GPU; after that it is refused.
/// Without a GPU it does nothing.
pub fn set_fraction(fraction: f64) -> Result<()> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(crate::Error::new(format!(
            "{fraction} is no part of a GPU's memory: it must be above 0 and at most 1"
        )));
    }
    Ok(shim::set_memory_fraction(fraction)?)
}

/// Gives back what libtorch holds of the GPUs' memory without need. Rarely of
/// use: libtorch does so itself before it runs out of memory.
pub fn empty_cache() -> Result<()> {
    Ok(shim::empty_cache()?)
}
