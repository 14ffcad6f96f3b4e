//! How exactly and how repeatably libtorch computes.
//!
//! All of it holds for the whole process, and every function gives what held
//! before, so that it can be put back. Streams are left alone.

use super::shim::{self, Switch};
use crate::Result;

/// How products of `f32` matrices are computed, on hardware that has faster
/// ways than `f32`; the results are `f32` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// In `f32`, 24 bits of mantissa. libtorch's default.
    #[default]
    Highest,
    /// In TF32, 11 bits of mantissa: several times as fast on GPUs since
    /// Ampere.
    High,
    /// In bfloat16, 8 bits of mantissa, where that is faster still.
    Medium,
}

/// Sets the precision of matrix products.
pub fn set_matmul_precision(precision: MatmulPrecision) -> Result<MatmulPrecision> {
    let level = match precision {
        MatmulPrecision::Highest => 0,
        MatmulPrecision::High => 1,
        MatmulPrecision::Medium => 2,
    };
    Ok(match shim::set_matmul_precision(level)? {
        0 => MatmulPrecision::Highest,
        1 => MatmulPrecision::High,
        _ => MatmulPrecision::Medium,
    })
}

/// Whether only algorithms run that give the same bits every time. An
/// operation that has none becomes an error that names it.
///
/// On a GPU cuBLAS needs `CUBLAS_WORKSPACE_CONFIG=:4096:8` too: put it into
/// `worker.env`, for it has to be there before CUDA starts.
pub fn set_deterministic(on: bool) -> Result<bool> {
    Ok(shim::set(Switch::Deterministic, on)?)
}

/// Whether cuDNN tries its algorithms for each new shape and keeps the
/// fastest: worth it where shapes repeat, and not repeatable to the bit.
pub fn set_cudnn_benchmark(on: bool) -> Result<bool> {
    Ok(shim::set(Switch::CudnnBenchmark, on)?)
}

/// Whether convolutions of cuDNN may use TF32. On by default.
pub fn set_cudnn_tf32(on: bool) -> Result<bool> {
    Ok(shim::set(Switch::CudnnTf32, on)?)
}
