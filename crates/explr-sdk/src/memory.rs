//! Memory of the GPU: what a run may use of it, and what it uses.

use explr_protocol::control::MEMORY_VARIABLE;

/// How many bytes of each of its GPUs the run may use; none on the CPU, and in
/// a program that explr did not start.
///
/// PyTorch keeps to it by itself. Another framework has to be told by its own
/// means.
pub fn limit() -> Option<u64> {
    std::env::var(MEMORY_VARIABLE).ok()?.parse().ok()
}

#[cfg(feature = "torch")]
pub use crate::torch::memory::{Stats, empty_cache, set_fraction, stats};
