//! What needs libtorch.

use crate::Result;
use explr_protocol::{Device, RunContext};
use std::sync::Once;

/// The device in tch's words.
pub(crate) fn device(device: Device) -> tch::Device {
    match device {
        Device::Cpu => tch::Device::Cpu,
        Device::Cuda(index) => tch::Device::Cuda(index as usize),
    }
}

/// Seeds libtorch's generators and sets its number of threads, before the
/// train function is called.
pub(crate) fn prepare(run: &RunContext) -> Result<()> {
    static INTEROP: Once = Once::new();
    let threads = i32::try_from(run.threads.max(1)).unwrap_or(i32::MAX);
    tch::set_num_threads(threads);
    // libtorch takes this once in a process, before it has used its pool. The
    // worker is fresh; a program that used libtorch before keeps its number.
    INTEROP.call_once(|| {
        let _ = std::panic::catch_unwind(|| tch::set_num_interop_threads(threads));
    });
    // Any 64 bits make a seed.
    tch::manual_seed(run.seed.cast_signed());
    Ok(())
}
