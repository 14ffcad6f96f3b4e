//! What a train function can learn of the GPU's memory.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::memory::{self, Stats};
use explr_sdk::tch::{Cuda, Device, Kind, Tensor};

#[test]
fn the_cpu_has_no_memory_of_a_gpu() {
    assert_eq!(memory::stats(Device::Cpu).unwrap(), Stats::default());
    memory::empty_cache().unwrap();
}

/// On a machine without a GPU: that nothing is held, and nothing breaks.
#[test]
fn what_tensors_take_of_a_gpu_is_counted() {
    let device = Device::Cuda(0);
    if !Cuda::is_available() {
        assert_eq!(memory::stats(device).unwrap(), Stats::default());
        return;
    }
    let megabytes = Tensor::zeros([8 << 20], (Kind::Uint8, device));
    let with = memory::stats(device).unwrap();
    assert!(
        with.allocated >= 8 << 20 && with.reserved >= with.allocated,
        "{with:?}"
    );
    drop(megabytes);
    memory::empty_cache().unwrap();
    let without = memory::stats(device).unwrap();
    assert!(
        without.allocated <= with.allocated - (8 << 20),
        "{without:?}"
    );
    assert!(without.peak_allocated >= with.allocated, "{without:?}");
    assert!(without.reserved < with.reserved, "{without:?}");
}
