//! A loader holds no more memory after many batches than after few. A test
//! of its own, as it measures the process.
#![cfg(all(feature = "torch", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::data::{DataLoader, InMemory};
use explr_sdk::tch::{Tensor, kind};

/// Resident pages of the process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_stays_flat_over_many_batches() {
    let x = Tensor::rand([6400, 256], kind::FLOAT_CPU);
    let mut loader = DataLoader::builder(InMemory::new(&x.into()).unwrap())
        .batch_size(64)
        .shuffle(1)
        .workers(2)
        .transform(1, |sample, _| Ok(sample))
        .build()
        .unwrap();
    let mut epochs = |range: std::ops::Range<u64>| {
        for epoch in range {
            for batch in loader.epoch(epoch).unwrap() {
                batch.unwrap();
            }
        }
    };
    epochs(0..3);
    let before = resident();
    // 2000 batches, 128 000 samples: 131 MB of data, were it kept.
    epochs(3..23);
    let grown = resident().saturating_sub(before) * 4096;
    assert!(grown < 16 << 20, "{grown} bytes more");
}
