use crate::torch::shim::check;
use std::ffi::{c_char, c_void};
use std::ptr;
use tch::{TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn explr_linear_pack(
        weight: *const C_tensor,
        bias: *const C_tensor,
        packed: *mut *mut c_void,
    ) -> *mut c_char;
    fn explr_linear_apply(
        packed: *mut c_void,
        input: *const C_tensor,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn explr_linear_free(packed: *mut c_void);
}

/// A weight and a bias as libtorch's int8 operator wants them.
#[derive(Debug)]
pub(super) struct Packed(*mut c_void);

// SAFETY: libtorch counts references to it atomically, and ties it to no
// thread.
unsafe impl Send for Packed {}

impl Packed {
    /// Packs a weight that is quantised by row.
    pub(super) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self, TchError> {
        let bias = bias.map_or(ptr::null(), Tensor::as_ptr);
        let mut packed = ptr::null_mut();
        // SAFETY: the handles are alive or null, and the place can be written.
        check(unsafe { explr_linear_pack(weight.as_ptr(), bias, &raw mut packed) })?;
        Ok(Self(packed))
    }

    /// The layer's output for an input of `Float` on the CPU.
    pub(super) fn apply(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let mut output = ptr::null_mut();
        // SAFETY: both are alive, and the place can be written.
        check(unsafe { explr_linear_apply(self.0, input.as_ptr(), &raw mut output) })?;
        // SAFETY: without an error it is a new handle, and ours.
        Ok(unsafe { Tensor::from_ptr(output) })
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // SAFETY: it came from `explr_linear_pack`, and is freed once.
        unsafe { explr_linear_free(self.0) };
    }
}
