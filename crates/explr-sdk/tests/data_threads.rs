//! Workers use one core each. A test of its own, as it counts the threads of
//! the process.
#![cfg(all(feature = "torch", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::Result;
use explr_sdk::data::{DataLoader, Dataset, Tensors};
use explr_sdk::tch::{self, Tensor, kind};

/// Each sample is work that libtorch would spread over cores.
struct Sums;

impl Dataset for Sums {
    fn len(&self) -> usize {
        40
    }

    fn get(&self, _index: usize) -> Result<Tensors> {
        let sum = Tensor::f_ones([1 << 20], kind::FLOAT_CPU)?
            .f_exp()?
            .f_sum(tch::Kind::Float)?;
        let square = Tensor::f_ones([256, 256], kind::FLOAT_CPU)?;
        let product = square.f_matmul(&square)?.f_sum(tch::Kind::Float)?;
        let sample = Tensors::new().with("sum", sum.f_add(&product)?);
        Ok(sample
            .with("threads", Tensor::from(i64::from(tch::get_num_threads())))
            .with("tasks", Tensor::from(tasks())))
    }
}

fn tasks() -> i64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.count().try_into().unwrap()
}

#[test]
fn workers_start_no_threads_of_openmp_and_leave_the_main_thread_its_own() {
    tch::set_num_threads(4);
    let before = tasks();
    let mut loader = DataLoader::builder(Sums)
        .batch_size(2)
        .workers(3)
        .build()
        .unwrap();
    for batch in loader.epoch(0).unwrap() {
        let batch = batch.unwrap();
        let most = |name| i64::try_from(batch.get(name).unwrap().max()).unwrap();
        assert_eq!(most("threads"), 1);
        assert!(
            most("tasks") <= before + 3,
            "{} tasks, {before} before",
            most("tasks")
        );
    }
    // The kernel lists a thread for a moment after it was joined.
    while tasks() > before {
        std::thread::yield_now();
    }
    assert_eq!(tch::get_num_threads(), 4);
    // It does spread the work where it may.
    Sums.get(0).unwrap();
    assert!(tasks() > before);
}
