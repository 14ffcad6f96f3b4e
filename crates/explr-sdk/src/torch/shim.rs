//! Safe calls into `shim/state.cpp`.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use tch::{TchError, Tensor};
use torch_sys::{C_optimizer, C_tensor};

/// Tensors that the state of one parameter has at most.
pub(crate) const SLOTS: usize = 3;

unsafe extern "C" {
    fn explr_shim_free(message: *mut c_char);
    fn explr_optimizer_size(
        optimizer: *mut C_optimizer,
        groups: *mut usize,
        parameters: *mut usize,
    ) -> *mut c_char;
    fn explr_optimizer_state(
        optimizer: *mut C_optimizer,
        index: usize,
        step: *mut i64,
        slots: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn explr_optimizer_set_state(
        optimizer: *mut C_optimizer,
        index: usize,
        step: i64,
        slots: *const *const C_tensor,
    ) -> *mut c_char;
    fn explr_optimizer_options(
        optimizer: *mut C_optimizer,
        group: usize,
        values: *mut f64,
    ) -> *mut c_char;
    fn explr_optimizer_set_options(
        optimizer: *mut C_optimizer,
        group: usize,
        values: *const f64,
    ) -> *mut c_char;
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

/// An optimiser of libtorch, owned.
#[derive(Debug)]
pub(crate) struct RawOptimizer(*mut C_optimizer);

// SAFETY: libtorch ties an optimiser to no thread, and only one at a time can
// use it through `&mut`; what goes through `&` only reads.
unsafe impl Send for RawOptimizer {}

/// What an optimiser remembers of one parameter.
#[derive(Debug, Default)]
pub(crate) struct ParamState {
    /// Steps done; -1 when there is no state yet.
    pub(crate) step: i64,
    /// Its tensors, in the order that `shim/state.cpp` gives.
    pub(crate) slots: [Option<Tensor>; SLOTS],
}

/// What can be set for a group of parameters while training.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct GroupOptions {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) weight_decay: f64,
}

impl RawOptimizer {
    /// Takes over what one of torch-sys' constructors made.
    pub(crate) fn new(pointer: *mut C_optimizer) -> Result<Self, TchError> {
        last_error()?;
        Ok(Self(pointer))
    }

    /// Adds a parameter to a group, which is made when there is none.
    pub(crate) fn add(&mut self, tensor: &Tensor, group: usize) -> Result<(), TchError> {
        // SAFETY: both handles are alive, and the tensor is only copied from.
        unsafe { torch_sys::ato_add_parameters(self.0, tensor.as_ptr().cast_mut(), group) };
        last_error()
    }

    pub(crate) fn zero_grad(&mut self) -> Result<(), TchError> {
        // SAFETY: the handle is alive.
        unsafe { torch_sys::ato_zero_grad(self.0) };
        last_error()
    }

    pub(crate) fn step(&mut self) -> Result<(), TchError> {
        // SAFETY: the handle is alive.
        unsafe { torch_sys::ato_step(self.0) };
        last_error()
    }

    /// Number of groups and of parameters.
    pub(crate) fn size(&self) -> Result<(usize, usize), TchError> {
        let (mut groups, mut parameters) = (0, 0);
        // SAFETY: the handle is alive, and both places can be written.
        check(unsafe { explr_optimizer_size(self.0, &raw mut groups, &raw mut parameters) })?;
        Ok((groups, parameters))
    }

    pub(crate) fn state(&self, index: usize) -> Result<ParamState, TchError> {
        let mut step = -1;
        let mut slots = [ptr::null_mut(); SLOTS];
        // SAFETY: as above, and there are `SLOTS` places.
        check(unsafe { explr_optimizer_state(self.0, index, &raw mut step, slots.as_mut_ptr()) })?;
        Ok(ParamState {
            step,
            // SAFETY: handles that are not null are new and ours.
            slots: slots.map(|slot| (!slot.is_null()).then(|| unsafe { Tensor::from_ptr(slot) })),
        })
    }

    pub(crate) fn set_state(&mut self, index: usize, state: &ParamState) -> Result<(), TchError> {
        let pointer = |slot: &Option<Tensor>| slot.as_ref().map_or(ptr::null(), Tensor::as_ptr);
        let slots = state.slots.each_ref().map(pointer);
        // SAFETY: all handles are alive, null stands for none.
        check(unsafe { explr_optimizer_set_state(self.0, index, state.step, slots.as_ptr()) })
    }

    pub(crate) fn options(&self, group: usize) -> Result<GroupOptions, TchError> {
        let mut values = [0.0; 3];
        // SAFETY: the handle is alive, and there are three places.
        check(unsafe { explr_optimizer_options(self.0, group, values.as_mut_ptr()) })?;
        let [lr, momentum, weight_decay] = values;
        Ok(GroupOptions {
            lr,
            momentum,
            weight_decay,
        })
    }

    pub(crate) fn set_options(
        &mut self,
        group: usize,
        options: GroupOptions,
    ) -> Result<(), TchError> {
        let values = [options.lr, options.momentum, options.weight_decay];
        // SAFETY: the handle is alive, and there are three values.
        check(unsafe { explr_optimizer_set_options(self.0, group, values.as_ptr()) })
    }
}

impl Drop for RawOptimizer {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { torch_sys::ato_free(self.0) };
    }
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
