//! The limit of GPU memory that a program sets for itself. A file of its own:
//! the limit holds for the whole process, from the first tensor on a GPU.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::memory::set_fraction;
use explr_sdk::tch::{Cuda, Device, Kind, Tensor};

/// On a machine without a GPU: that there is nothing to limit, and nothing
/// breaks.
#[test]
fn a_part_of_the_memory_is_the_limit() {
    for wrong in [0.0, -0.5, 1.5, f64::NAN] {
        let error = set_fraction(wrong).unwrap_err().to_string();
        assert!(error.contains(&wrong.to_string()), "{error}");
    }
    set_fraction(0.02).unwrap();
    if !Cuda::is_available() {
        return;
    }
    let gigabyte = |count: i64| Tensor::f_zeros([count << 30], (Kind::Uint8, Device::Cuda(0)));
    assert!(Tensor::f_zeros([1 << 20], (Kind::Uint8, Device::Cuda(0))).is_ok());
    // More than the fiftieth part of any card of today.
    let error = gigabyte(8).unwrap_err().to_string();
    assert!(error.contains("out of memory"), "{error}");
    let error = set_fraction(0.5).unwrap_err().to_string();
    assert!(error.contains("too late"), "{error}");
}
