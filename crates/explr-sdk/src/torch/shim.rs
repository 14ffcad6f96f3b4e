//! Safe calls into `shim/state.cpp`.

mod optimizer;

pub(crate) use optimizer::{GroupOptions, ParamState, RawOptimizer, SLOTS};

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use tch::{TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn explr_shim_free(message: *mut c_char);
    fn explr_generator_state(cuda_index: i64, state: *mut *mut C_tensor) -> *mut c_char;
    fn explr_generator_set_state(cuda_index: i64, state: *const C_tensor) -> *mut c_char;
    fn explr_memory_stats(cuda_index: i64, values: *mut u64) -> *mut c_char;
    fn explr_memory_set_fraction(fraction: f64) -> *mut c_char;
    fn explr_memory_empty_cache() -> *mut c_char;
    fn explr_set_deterministic(on: bool, before: *mut bool) -> *mut c_char;
    fn explr_set_matmul_precision(level: c_int, before: *mut c_int) -> *mut c_char;
    fn explr_set_cudnn_benchmark(on: bool, before: *mut bool) -> *mut c_char;
    fn explr_set_cudnn_tf32(on: bool, before: *mut bool) -> *mut c_char;
    fn explr_use_one_core() -> *mut c_char;
}

/// State of the random generator of a device, as bytes on the CPU.
pub(crate) fn generator_state(device: tch::Device) -> Result<Tensor, TchError> {
    let mut state = ptr::null_mut();
    // SAFETY: the place can be written.
    check(unsafe { explr_generator_state(generator_index(device), &raw mut state) })?;
    // SAFETY: no error means a new handle, which is ours.
    Ok(unsafe { Tensor::from_ptr(state) })
}

/// Sets the state of the random generator of a device.
pub(crate) fn set_generator_state(device: tch::Device, state: &Tensor) -> Result<(), TchError> {
    // SAFETY: the handle is alive.
    check(unsafe { explr_generator_set_state(generator_index(device), state.as_ptr()) })
}

/// What the allocator holds of a GPU: allocated, reserved, and the most of
/// both.
pub(crate) fn memory_stats(cuda_index: usize) -> Result<[u64; 4], TchError> {
    let mut values = [0; 4];
    let index = i64::try_from(cuda_index).unwrap_or(i64::MAX);
    // SAFETY: there are four places.
    check(unsafe { explr_memory_stats(index, values.as_mut_ptr()) })?;
    Ok(values)
}

/// Limits the allocator to a part of each GPU's memory.
pub(crate) fn set_memory_fraction(fraction: f64) -> Result<(), TchError> {
    // SAFETY: it takes a number.
    check(unsafe { explr_memory_set_fraction(fraction) })
}

/// Gives back what the allocator holds without need.
pub(crate) fn empty_cache() -> Result<(), TchError> {
    // SAFETY: it takes nothing.
    check(unsafe { explr_memory_empty_cache() })
}

/// A switch of libtorch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Switch {
    Deterministic,
    CudnnBenchmark,
    CudnnTf32,
}

/// Sets a switch, and gives what it was.
pub(crate) fn set(switch: Switch, on: bool) -> Result<bool, TchError> {
    let set = match switch {
        Switch::Deterministic => explr_set_deterministic,
        Switch::CudnnBenchmark => explr_set_cudnn_benchmark,
        Switch::CudnnTf32 => explr_set_cudnn_tf32,
    };
    let mut before = false;
    // SAFETY: the place can be written.
    check(unsafe { set(on, &raw mut before) })?;
    Ok(before)
}

/// Sets the precision of matrix products, 0 to 2, and gives what it was.
pub(crate) fn set_matmul_precision(level: u8) -> Result<c_int, TchError> {
    let mut before = 0;
    // SAFETY: the place can be written, and the level is one of three.
    check(unsafe { explr_set_matmul_precision(level.min(2).into(), &raw mut before) })?;
    Ok(before)
}

/// Makes libtorch's operations on this thread run on it alone.
pub(crate) fn use_one_core() -> Result<(), TchError> {
    // SAFETY: it takes nothing.
    check(unsafe { explr_use_one_core() })
}

fn generator_index(device: tch::Device) -> i64 {
    match device {
        tch::Device::Cuda(index) => i64::try_from(index).unwrap_or(i64::MAX),
        _ => -1,
    }
}

/// The shim's message as an error.
pub(super) fn check(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message is a C string that is ours to free, once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        explr_shim_free(message);
        text
    };
    Err(TchError::Torch(text))
}

/// torch-sys' last message on this thread as an error.
pub(crate) fn last_error() -> Result<(), TchError> {
    // SAFETY: it gives null or a C string from `strdup`, as the shim does.
    check(unsafe { torch_sys::get_and_reset_last_err() })
}
