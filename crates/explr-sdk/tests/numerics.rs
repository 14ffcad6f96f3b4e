//! How libtorch computes can be set, and put back. One test, as it holds for
//! the whole process.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::numerics::{
    MatmulPrecision, set_cudnn_benchmark, set_cudnn_tf32, set_deterministic, set_matmul_precision,
};
use explr_sdk::tch::Tensor;

#[test]
fn settings_take_effect_and_can_be_put_back() {
    let scatter = || {
        let index = Tensor::from_slice(&[0_i64, 0]);
        let source = Tensor::from_slice(&[1.0_f32, 2.0]);
        Tensor::from_slice(&[0.0_f32; 3]).f_put_(&index, &source, false)
    };
    assert!(scatter().is_ok());
    assert!(!set_deterministic(true).unwrap());
    let refused = scatter().unwrap_err().to_string();
    assert!(refused.contains("put_"), "{refused}");
    assert!(set_deterministic(false).unwrap());
    assert!(scatter().is_ok());

    let precisions = [
        MatmulPrecision::High,
        MatmulPrecision::Medium,
        MatmulPrecision::Highest,
    ];
    let mut before = MatmulPrecision::Highest;
    for precision in precisions {
        assert_eq!(set_matmul_precision(precision).unwrap(), before);
        before = precision;
    }
    for set in [set_cudnn_benchmark, set_cudnn_tf32] {
        let first = set(true).unwrap();
        assert!(set(false).unwrap());
        assert!(!set(first).unwrap());
    }
}
