//! What needs libtorch: seeds and threads, models, optimisers, checkpoints,
//! metrics, quantised layers.
//!
//! tch has neither the state of its optimisers nor that of the random
//! generators. [`shim`] reaches both in C++, [`optimizer`] wraps libtorch's
//! optimisers so that their state can be had, and [`checkpoint`] puts model,
//! optimiser, generators and counters into one folder, from which training
//! goes on to the same bits.

pub(crate) mod checkpoint;
pub(crate) mod memory;
pub mod metrics;
pub mod model;
pub mod numerics;
pub(crate) mod optimizer;
pub mod quantize;
pub(crate) mod shim;

use crate::Result;
use explr_protocol::{Device, RunContext};
use std::sync::Once;
use tch::{TchError, Tensor};

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
    // SAFETY: plain numbers; an exception becomes the message that is read.
    unsafe { torch_sys::at_set_num_threads(threads) };
    shim::last_error()?;
    INTEROP.call_once(|| {
        // SAFETY: as above. libtorch takes this once in a process, before it
        // has used its pool. The worker is fresh; a program that used
        // libtorch before keeps its number.
        unsafe { torch_sys::at_set_num_interop_threads(threads) };
        let _ = shim::last_error();
    });
    // SAFETY: as above; any 64 bits make a seed, for the CPU and every GPU.
    unsafe { torch_sys::at_manual_seed(run.seed.cast_signed()) };
    Ok(shim::last_error()?)
}

/// A tensor as a safetensors file takes it.
pub(crate) fn stored(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor
        .f_detach()?
        .f_to_device(tch::Device::Cpu)?
        .f_contiguous()
}
