//! Optimisers: torch-sys makes and frees them, the shim does the rest.

use super::{check, last_error};
use crate::torch::optimizer::{Adagrad, Lbfgs};
use std::any::Any;
use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use tch::{TchError, Tensor};
use torch_sys::{C_optimizer, C_tensor};

/// Tensors that the state of one parameter has at most.
pub(crate) const SLOTS: usize = 7;

unsafe extern "C" {
    fn explr_optimizer_adagrad(
        lr: f64,
        lr_decay: f64,
        weight_decay: f64,
        initial: f64,
        eps: f64,
        optimizer: *mut *mut C_optimizer,
    ) -> *mut c_char;
    fn explr_optimizer_lbfgs(
        lr: f64,
        max_iter: i64,
        max_eval: i64,
        tolerance_grad: f64,
        tolerance_change: f64,
        history_size: i64,
        strong_wolfe: bool,
        optimizer: *mut *mut C_optimizer,
    ) -> *mut c_char;
    fn explr_optimizer_add(
        optimizer: *mut C_optimizer,
        parameter: *const C_tensor,
        group: usize,
    ) -> *mut c_char;
    fn explr_optimizer_step(optimizer: *mut C_optimizer) -> *mut c_char;
    fn explr_optimizer_step_with(
        optimizer: *mut C_optimizer,
        loss: extern "C" fn(*mut c_void) -> *mut C_tensor,
        context: *mut c_void,
        first: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn explr_optimizer_clip_norm(
        optimizer: *mut C_optimizer,
        max: f64,
        norm: *mut *mut C_tensor,
    ) -> *mut c_char;
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

/// What can be set for a group of parameters while training; `None` for what
/// the algorithm does not have.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct GroupOptions {
    pub(crate) lr: f64,
    pub(crate) momentum: Option<f64>,
    pub(crate) weight_decay: Option<f64>,
}

impl RawOptimizer {
    /// Takes over what one of torch-sys' constructors made.
    pub(crate) fn new(pointer: *mut C_optimizer) -> Result<Self, TchError> {
        last_error()?;
        Ok(Self(pointer))
    }

    pub(crate) fn adagrad(lr: f64, config: Adagrad) -> Result<Self, TchError> {
        let mut pointer = ptr::null_mut();
        // SAFETY: plain numbers, and the place can be written.
        check(unsafe {
            explr_optimizer_adagrad(
                lr,
                config.lr_decay,
                config.wd,
                config.initial,
                config.eps,
                &raw mut pointer,
            )
        })?;
        Ok(Self(pointer))
    }

    pub(crate) fn lbfgs(lr: f64, config: Lbfgs) -> Result<Self, TchError> {
        let mut pointer = ptr::null_mut();
        // SAFETY: as above.
        check(unsafe {
            explr_optimizer_lbfgs(
                lr,
                config.max_iter.into(),
                config.max_eval.map_or(-1, i64::from),
                config.tolerance_grad,
                config.tolerance_change,
                config.history_size.into(),
                config.strong_wolfe,
                &raw mut pointer,
            )
        })?;
        Ok(Self(pointer))
    }

    /// Adds a parameter to a group, which is made when there is none.
    pub(crate) fn add(&mut self, tensor: &Tensor, group: usize) -> Result<(), TchError> {
        // SAFETY: both handles are alive, and the tensor is only copied from.
        check(unsafe { explr_optimizer_add(self.0, tensor.as_ptr(), group) })
    }

    pub(crate) fn zero_grad(&mut self) -> Result<(), TchError> {
        // SAFETY: the handle is alive.
        unsafe { torch_sys::ato_zero_grad(self.0) };
        last_error()
    }

    pub(crate) fn step(&mut self) -> Result<(), TchError> {
        // SAFETY: the handle is alive.
        check(unsafe { explr_optimizer_step(self.0) })
    }

    /// One step by a function that gives the loss; gives the first one.
    ///
    /// An error of the function, and a panic, comes out as it is.
    pub(crate) fn step_with<E: From<TchError>>(
        &mut self,
        loss: impl FnMut() -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let mut closure = Closure {
            loss,
            failure: None,
        };
        let mut first = ptr::null_mut();
        let function = callback(&closure);
        // SAFETY: the handle is alive, the place can be written, and the
        // context is what this callback takes; it outlives the call.
        let message = unsafe {
            explr_optimizer_step_with(self.0, function, (&raw mut closure).cast(), &raw mut first)
        };
        let outcome = check(message);
        match closure.failure {
            Some(Failure::Error(error)) => return Err(error),
            Some(Failure::Panic(payload)) => resume_unwind(payload),
            None => outcome?,
        }
        // SAFETY: no error means a new handle, which is ours.
        Ok(unsafe { Tensor::from_ptr(first) })
    }

    /// Limits the norm of the gradients and gives what it was.
    pub(crate) fn clip_norm(&mut self, max: f64) -> Result<Tensor, TchError> {
        let mut norm = ptr::null_mut();
        // SAFETY: the handle is alive, and the place can be written.
        check(unsafe { explr_optimizer_clip_norm(self.0, max, &raw mut norm) })?;
        // SAFETY: no error means a new handle, which is ours.
        Ok(unsafe { Tensor::from_ptr(norm) })
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
        let known = |value: f64| (!value.is_nan()).then_some(value);
        Ok(GroupOptions {
            lr,
            momentum: known(momentum),
            weight_decay: known(weight_decay),
        })
    }

    pub(crate) fn set_options(
        &mut self,
        group: usize,
        options: GroupOptions,
    ) -> Result<(), TchError> {
        let value = |option: Option<f64>| option.unwrap_or(f64::NAN);
        let values = [
            options.lr,
            value(options.momentum),
            value(options.weight_decay),
        ];
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

/// A function on its way through C++.
struct Closure<F, E> {
    loss: F,
    failure: Option<Failure<E>>,
}

enum Failure<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

/// The callback that takes a pointer to this closure.
fn callback<F: FnMut() -> Result<Tensor, E>, E>(
    _: &Closure<F, E>,
) -> extern "C" fn(*mut c_void) -> *mut C_tensor {
    extern "C" fn call<F: FnMut() -> Result<Tensor, E>, E>(context: *mut c_void) -> *mut C_tensor {
        // SAFETY: `step_with` passes its closure, and nothing else uses it
        // until that call has returned.
        let closure = unsafe { &mut *context.cast::<Closure<F, E>>() };
        let failure = match catch_unwind(AssertUnwindSafe(&mut closure.loss)) {
            // The handle becomes C++'s.
            Ok(Ok(loss)) => return ManuallyDrop::new(loss).as_ptr().cast_mut(),
            Ok(Err(error)) => Failure::Error(error),
            Err(payload) => Failure::Panic(payload),
        };
        closure.failure = Some(failure);
        ptr::null_mut()
    }
    call::<F, E>
}
