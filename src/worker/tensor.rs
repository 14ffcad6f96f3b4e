//! A tensor operation in a process of its own, for `explr verify`.
//!
//! libtorch is opened as for a plugin, and called through the plain C
//! functions that it exports for compiled models: nothing has to be built,
//! and no version of libtorch is bound.

use super::control::exit_now;
use super::plugin::{PluginError, open_cuda, open_libtorch};
use explr_protocol::Device;
use libloading::os::unix::{Library, Symbol};
use serde::{Deserialize, Serialize};
use std::ffi::c_void;
use std::path::Path;
use std::ptr::null_mut;

/// What to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Multiply matrices on the CPU.
    Cpu,
    /// Multiply matrices on the first GPU that is visible.
    Cuda,
    /// Open the CUDA libraries, and no more.
    OpenCuda,
}

/// How it went, as one line of JSON on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Tried {
    /// It worked.
    Worked,
    /// A library can't be opened.
    NotOpened(String),
    /// This libtorch exports no such functions, so nothing was computed.
    NotExported(String),
    /// It was computed, or should have been, and something went wrong.
    Failed(String),
}

/// Tries it in this process, with the libtorch in `folder`, tells the result
/// and ends the process.
pub fn try_tensors(folder: &Path, trial: Trial) -> ! {
    // Whoever asked is gone when this fires, and libtorch may hang.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    let tried = match attempt(folder, trial) {
        Ok(()) => Tried::Worked,
        Err(tried) => tried,
    };
    match serde_json::to_string(&tried) {
        Ok(line) => println!("{line}"),
        Err(error) => eprintln!("{error}"),
    }
    exit_now(0)
}

fn attempt(folder: &Path, trial: Trial) -> Result<(), Tried> {
    let device = match trial {
        Trial::Cpu | Trial::OpenCuda => Device::Cpu,
        Trial::Cuda => Device::Cuda(0),
    };
    // The other lines say what to do, which is for the one who asked to know.
    let not_opened = |error: PluginError| {
        let text = error.to_string();
        Tried::NotOpened(text.lines().next().unwrap_or_default().to_owned())
    };
    open_libtorch(folder, device).map_err(not_opened)?;
    match trial {
        Trial::OpenCuda => open_cuda(folder).map_err(not_opened),
        Trial::Cpu | Trial::Cuda => multiply(device),
    }
}

type Handle = *mut c_void;
type Code = i32;
type Copy = unsafe extern "C" fn(to: Handle, from: Handle, non_blocking: i32) -> Code;
type Multiply = unsafe extern "C" fn(out: Handle, left: Handle, right: Handle) -> Code;
type Constant = unsafe extern "C" fn() -> i32;
type Empty = unsafe extern "C" fn(
    dimensions: i64,
    sizes: *const i64,
    strides: *const i64,
    dtype: i32,
    device_type: i32,
    device_index: i32,
    out: *mut Handle,
) -> Code;
type Data = unsafe extern "C" fn(tensor: Handle, out: *mut *mut c_void) -> Code;

/// Rows and columns of the matrices.
const SIDE: usize = 64;

/// Multiplies two matrices on `device` and compares with what Rust gets. All
/// numbers are small integers, so the results are equal in any precision.
fn multiply(device: Device) -> Result<(), Tried> {
    let torch = Torch::find(device)?;
    let left: Vec<f32> = (0..SIDE * SIDE).map(|i| small(i * 7)).collect();
    let right: Vec<f32> = (0..SIDE * SIDE).map(|i| small(i * 5 + 1)).collect();
    let a = torch.upload(&left, device)?;
    let b = torch.upload(&right, device)?;
    let product = torch.empty(device)?;
    // SAFETY: three live tensors of fitting shapes.
    done("a matrix product", unsafe {
        (torch.multiply)(product, a, b)
    })?;
    if torch.download(product)? == expected(&left, &right) {
        Ok(())
    } else {
        Err(Tried::Failed("a matrix product came out wrong".to_owned()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is below 8")]
fn small(number: usize) -> f32 {
    (number % 8) as f32
}

fn expected(left: &[f32], right: &[f32]) -> Vec<f32> {
    let cell = |row: usize, column: usize| -> f32 {
        (0..SIDE)
            .map(|k| left[row * SIDE + k] * right[k * SIDE + column])
            .sum()
    };
    (0..SIDE * SIDE).map(|i| cell(i / SIDE, i % SIDE)).collect()
}

/// libtorch's functions. Its tensors are never freed: the process ends.
struct Torch {
    empty: Empty,
    data: Data,
    copy: Copy,
    multiply: Multiply,
    float: i32,
    cpu: i32,
    cuda: i32,
}

impl Torch {
    fn find(device: Device) -> Result<Self, Tried> {
        let multiply = match device {
            Device::Cpu => "aoti_torch_cpu_mm_out",
            Device::Cuda(_) => "aoti_torch_cuda_mm_out",
        };
        let library = Library::this();
        // SAFETY: the types are those of `aoti_torch/c/shim.h`, libtorch's
        // interface for compiled models, whose functions keep theirs.
        unsafe {
            let constant = |name: &str| Ok(symbol::<Constant>(&library, name)?());
            Ok(Self {
                empty: *symbol(&library, "aoti_torch_empty_strided")?,
                data: *symbol(&library, "aoti_torch_get_data_ptr")?,
                copy: *symbol(&library, "aoti_torch_copy_")?,
                multiply: *symbol(&library, multiply)?,
                float: constant("aoti_torch_dtype_float32")?,
                cpu: constant("aoti_torch_device_type_cpu")?,
                cuda: constant("aoti_torch_device_type_cuda")?,
            })
        }
    }

    /// A matrix with anything in it.
    fn empty(&self, device: Device) -> Result<Handle, Tried> {
        let (kind, index) = match device {
            Device::Cpu => (self.cpu, 0),
            Device::Cuda(_) => (self.cuda, 0),
        };
        #[expect(clippy::cast_possible_wrap, reason = "it is 64")]
        let side = SIDE as i64;
        let (sizes, strides) = ([side; 2], [side, 1]);
        let mut tensor = null_mut();
        // SAFETY: sizes and strides have two entries each; all pointers live.
        let code = unsafe {
            (self.empty)(
                2,
                sizes.as_ptr(),
                strides.as_ptr(),
                self.float,
                kind,
                index,
                &raw mut tensor,
            )
        };
        done("making a tensor", code)?;
        Ok(tensor)
    }

    fn upload(&self, values: &[f32], device: Device) -> Result<Handle, Tried> {
        let here = self.empty(Device::Cpu)?;
        // SAFETY: the matrix is on the CPU, contiguous, and as long as
        // `values`.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.data(here)?, SIDE * SIDE) };
        let there = self.empty(device)?;
        self.copy(there, here)?;
        Ok(there)
    }

    fn download(&self, tensor: Handle) -> Result<Vec<f32>, Tried> {
        let here = self.empty(Device::Cpu)?;
        self.copy(here, tensor)?;
        // SAFETY: the matrix is on the CPU, contiguous, of this length, and
        // was written by the copy.
        Ok(unsafe { std::slice::from_raw_parts(self.data(here)?, SIDE * SIDE) }.to_vec())
    }

    fn copy(&self, to: Handle, from: Handle) -> Result<(), Tried> {
        // SAFETY: two live tensors of one shape; the call blocks.
        done("copying a tensor", unsafe { (self.copy)(to, from, 0) })
    }

    fn data(&self, tensor: Handle) -> Result<*mut f32, Tried> {
        let mut data = null_mut();
        // SAFETY: a live tensor, and a pointer that lives during the call.
        done("finding a tensor's memory", unsafe {
            (self.data)(tensor, &raw mut data)
        })?;
        Ok(data.cast())
    }
}

/// # Safety
/// The symbol has the type `T`.
unsafe fn symbol<T>(library: &Library, name: &str) -> Result<Symbol<T>, Tried> {
    // SAFETY: the caller's promise.
    unsafe { library.get(name) }.map_err(|_| Tried::NotExported(name.to_owned()))
}

/// libtorch writes the exception to standard error, and returns a code.
fn done(what: &str, code: Code) -> Result<(), Tried> {
    if code == 0 {
        Ok(())
    } else {
        Err(Tried::Failed(format!("{what} failed")))
    }
}
