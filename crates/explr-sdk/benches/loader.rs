//! What the loader costs beside a loop written by hand.
//!
//! ```sh
//! OMP_NUM_THREADS=1 cargo bench -p explr-sdk --bench loader
//! ```
//!
//! Both gather the same batches from the same tensors; the hand-written loop
//! does so with `index_select` and nothing else. The rounds alternate, so
//! other load hits both, and the median of the rounds' ratios counts. A bare
//! loop over the data is the hardest case; the one that matters has a
//! training step in it.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use explr_sdk::data::{DataLoader, InMemory};
use explr_sdk::tch::nn::{self, Module, OptimizerConfig};
use explr_sdk::tch::{Device, Kind, Tensor, kind};
use std::time::Instant;

const ROUNDS: usize = 16;

struct Case {
    name: &'static str,
    samples: i64,
    pixels: i64,
    batch: i64,
    bytes: bool,
    train: bool,
    workers: usize,
}

/// What is done with a batch.
type Step = Box<dyn FnMut(&Tensor, &Tensor)>;

fn main() {
    println!("a round by hand, and how many times as long the loader takes (median, least, most)");
    let digits = Case {
        name: "digits, 64 floats",
        samples: 1797,
        pixels: 64,
        batch: 64,
        bytes: false,
        train: false,
        workers: 0,
    };
    let mnist = Case {
        name: "60000 x 784 bytes",
        samples: 60_000,
        pixels: 784,
        bytes: true,
        ..digits
    };
    for train in [false, true] {
        for workers in [0, 1] {
            run(&Case {
                train,
                workers,
                ..digits
            });
            run(&Case {
                train,
                workers,
                ..mnist
            });
        }
    }
}

fn run(case: &Case) {
    let size = [case.samples, case.pixels];
    let inputs = if case.bytes {
        Tensor::randint(256, size, (Kind::Uint8, Device::Cpu))
    } else {
        Tensor::rand(size, kind::FLOAT_CPU)
    };
    let targets = Tensor::randint(10, [case.samples], kind::INT64_CPU);
    let mut data = InMemory::pair(&inputs, &targets).unwrap();
    if case.bytes {
        data = data.scaled("input", 255.0).unwrap();
    }
    let mut loader = DataLoader::builder(data)
        .batch_size(usize::try_from(case.batch).unwrap())
        .shuffle(1)
        .workers(case.workers)
        .build()
        .unwrap();
    // Long enough for a clock: bare loops go on for longer.
    let samples = if case.train { 20_000 } else { 200_000 };
    let epochs = (samples / case.samples).max(1);

    let mut by_hand = |step: &mut Step| {
        for _ in 0..epochs {
            let order = Tensor::randperm(case.samples, kind::INT64_CPU);
            for indices in order.split(case.batch, 0) {
                let mut input = inputs.index_select(0, &indices);
                if case.bytes {
                    input = input.to_kind(Kind::Float).divide_scalar_(255.0);
                }
                step(&input, &targets.index_select(0, &indices));
            }
        }
    };
    let mut by_loader = |step: &mut Step| {
        for epoch in 0..epochs.cast_unsigned() {
            for batch in loader.epoch(epoch).unwrap() {
                let batch = batch.unwrap();
                let [input, target] = batch.all().unwrap();
                step(input, target);
            }
        }
    };

    let mut step = step(case);
    let mut timed = |run: &mut dyn FnMut(&mut Step)| {
        let begun = Instant::now();
        run(&mut step);
        begun.elapsed().as_secs_f64()
    };
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            let mut times = [0.0; 2];
            // Each goes first in every other round.
            for turn in [round % 2, (round + 1) % 2] {
                times[turn] = match turn {
                    0 => timed(&mut by_hand),
                    _ => timed(&mut by_loader),
                };
            }
            (times[0], times[1] / times[0])
        })
        .collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (hand, ratio) = rounds[ROUNDS / 2];
    println!(
        "{:18} {} {} workers  {:7.1} ms  x {ratio:.3} ({:.3} {:.3})",
        case.name,
        if case.train { "training" } else { "no step " },
        case.workers,
        1e3 * hand,
        rounds[0].1,
        rounds[ROUNDS - 1].1,
    );
}

/// A training step of a perceptron with Adam, or only a look at the batch.
fn step(case: &Case) -> Step {
    if !case.train {
        return Box::new(|input, target| {
            std::hint::black_box((input, target));
        });
    }
    let vs = nn::VarStore::new(Device::Cpu);
    let net = nn::seq()
        .add(nn::linear(
            vs.root(),
            case.pixels,
            128,
            nn::LinearConfig::default(),
        ))
        .add_fn(Tensor::relu)
        .add(nn::linear(vs.root(), 128, 10, nn::LinearConfig::default()));
    let mut optimizer = nn::Adam::default().build(&vs, 1e-3).unwrap();
    Box::new(move |input, target| {
        let loss = net.forward(input).cross_entropy_for_logits(target);
        optimizer.backward_step(&loss);
    })
}
