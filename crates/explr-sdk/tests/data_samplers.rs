//! Which samples make up each batch, and how often.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::Result;
use explr_sdk::data::{
    Batching, ByDataset, Concat, Curriculum, DataLoader, Dataset, InMemory, Sampler, Subset,
    Tensors, Weighted, contrast_scores, random_split,
};
use explr_sdk::tch::{Kind, Tensor, kind};
use std::sync::{Arc, Mutex};

const TENS: Batching = Batching {
    size: 10,
    drop_last: false,
};

fn set(start: i64, len: i64) -> InMemory {
    let numbers = Tensor::arange_start(start, start + len, kind::INT64_CPU);
    InMemory::new(&numbers.into()).unwrap()
}

fn epoch(sampler: &mut impl Sampler, epoch: u64, batching: Batching) -> Vec<Vec<usize>> {
    sampler.begin(epoch, batching);
    (0..sampler.batches(batching))
        .map(|batch| sampler.batch(batch, 0).unwrap())
        .collect()
}

/// Whether `count` of `draws` is what probability `p` gives, within five
/// standard deviations. The seeds are fixed, so it is no matter of luck.
fn assert_share(count: usize, draws: usize, p: f64) {
    let expected = draws as f64 * p;
    let deviation = (expected * (1.0 - p)).sqrt();
    assert!(
        (count as f64 - expected).abs() <= 5.0 * deviation,
        "{count} of {draws}, expected {expected} +- {deviation}"
    );
}

#[test]
fn weights_are_the_probabilities_of_samples() {
    let mut sampler = Weighted::new(&[1.0, 0.0, 3.0, 6.0], 5)
        .unwrap()
        .samples(10_000);
    let all = epoch(&mut sampler, 0, TENS).concat();
    assert_eq!(all.len(), 10_000);
    for (index, p) in [0.1, 0.0, 0.3, 0.6].into_iter().enumerate() {
        assert_share(
            all.iter().filter(|drawn| **drawn == index).count(),
            10_000,
            p,
        );
    }
    assert_ne!(epoch(&mut sampler, 1, TENS).concat(), all);
}

#[test]
fn weights_that_allow_no_sample_are_refused() {
    let refused = |weights: &[f64]| Weighted::new(weights, 0).unwrap_err().to_string();
    assert!(refused(&[0.0, 0.0]).contains("add up to 0"));
    assert!(refused(&[]).contains("0 samples"));
    assert!(refused(&[1.0, -1.0]).contains("sample 1 has the weight -1"));
    assert!(refused(&[f64::NAN]).contains("sample 0 has the weight NaN"));
}

#[test]
fn a_curriculum_holds_from_the_step_on_and_not_from_the_next_epoch() {
    // Sample i may be used from step i on.
    let open = |index: f64, step: u64| if index <= step as f64 { 1.0 } else { 0.0 };
    let sampler = || Curriculum::new((0..100).map(f64::from).collect(), 3, open);
    for (workers, accumulate) in [(0, 1), (4, 1), (4, 3)] {
        let mut loader = DataLoader::builder(set(0, 100))
            .batch_size(5)
            .sampler(sampler())
            .workers(workers)
            .accumulate(accumulate)
            .build()
            .unwrap();
        let mut step = 0;
        let mut highest = 0;
        for epoch in 0..3 {
            let mut pending = 0;
            for batch in loader.epoch(epoch).unwrap() {
                let most = *batch.unwrap().indices().iter().max().unwrap();
                assert!(most <= step, "sample {most} at step {step}");
                highest = highest.max(most);
                pending += 1;
                if pending == accumulate {
                    (step, pending) = (step + 1, 0);
                }
            }
            step += usize::from(pending > 0);
        }
        // 60 batches: in 20 steps, or 21 with the smaller last groups.
        assert_eq!(step, if accumulate == 1 { 60 } else { 21 });
        assert!(
            highest + 8 > step,
            "sample {highest} is the last at step {step}"
        );
    }
}

#[test]
fn a_curriculum_resumed_in_mid_epoch_draws_the_same() {
    let loader = |workers| {
        DataLoader::builder(set(0, 100))
            .batch_size(5)
            .sampler(Curriculum::contrast(
                (0..100).map(|i| f64::from(i) / 50.0).collect(),
                30,
                8,
            ))
            .workers(workers)
            .build()
            .unwrap()
    };
    let all = |loader: &mut DataLoader, from| -> Vec<Vec<usize>> {
        (from..2)
            .flat_map(|epoch| {
                let batches = loader.epoch(epoch).unwrap();
                batches
                    .map(|batch| batch.unwrap().indices().to_vec())
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let wanted = all(&mut loader(0), 0);
    let mut first = loader(2);
    first.epoch(0).unwrap().for_each(drop);
    let mut batches = first.epoch(1).unwrap();
    batches.by_ref().take(7).for_each(drop);
    let state = batches.state();
    assert_eq!((state.epoch, state.batch, state.step), (1, 7, 20));
    let mut second = loader(1);
    second.restore(&state).unwrap();
    assert_eq!(all(&mut second, 1), wanted[27..]);
}

#[test]
fn a_curriculum_draws_by_its_weights_also_where_nearly_all_are_small() {
    // The first by keeping and refusing, the second by the table.
    for scale in [1.0, 1e-4] {
        let scores = vec![0.1, 0.3, 0.6, 0.0];
        let mut sampler = Curriculum::new(scores, 1, move |score, _| score * scale).samples(20_000);
        let all = epoch(&mut sampler, 0, TENS).concat();
        for (index, p) in [0.1, 0.3, 0.6, 0.0].into_iter().enumerate() {
            assert_share(
                all.iter().filter(|drawn| **drawn == index).count(),
                20_000,
                p,
            );
        }
    }
}

#[test]
fn the_contrast_schedule_ends_at_even_draws() {
    let sampler = |step| {
        let mut sampler = Curriculum::contrast(vec![0.2, 0.6, 1.0, 3.0], 8000, 1).samples(8000);
        sampler.begin(0, TENS);
        let all: Vec<usize> = (0..800)
            .flat_map(|batch| sampler.batch(batch, step).unwrap())
            .collect();
        move |index| all.iter().filter(|drawn| **drawn == index).count()
    };
    // Weights at the start: 0.1, 0.3, 0.5, 1; half-way: 0.15, 0.45, 0.75, 1.
    for (step, weights) in [
        (0, [0.1, 0.3, 0.5, 1.0]),
        (4000, [0.15, 0.45, 0.75, 1.0]),
        (8000, [1.0; 4]),
    ] {
        let count = sampler(step);
        let sum: f64 = weights.iter().sum();
        for (index, weight) in weights.into_iter().enumerate() {
            assert_share(count(index), 8000, weight / sum);
        }
    }
}

#[test]
fn a_curriculum_that_allows_no_sample_or_gives_no_probability_is_an_error() {
    let error = |weight: fn(f64, u64) -> f64| {
        let mut loader = DataLoader::builder(set(0, 4))
            .sampler(Curriculum::new(vec![0.5; 4], 1, weight))
            .build()
            .unwrap();
        let error = loader.epoch(0).unwrap().find_map(Result::err).unwrap();
        error.to_string()
    };
    assert_eq!(
        error(|_, step| if step < 2 { 1.0 } else { 0.0 }),
        "batch 2 of epoch 0 could not be drawn: the curriculum at step 2: the weights of 4 \
         samples add up to 0: at least one must be more than 0"
    );
    assert!(error(|_, _| 1.5).contains("the weight 1.5 at step 0: weights must be from 0 to 1"));
    let mut none = DataLoader::builder(set(0, 4))
        .sampler(Curriculum::new(vec![], 1, |_, _| 1.0).samples(1))
        .build()
        .unwrap();
    let outcome = none.epoch(0).unwrap().next().unwrap();
    assert!(outcome.unwrap_err().to_string().contains("0 samples"));
}

#[test]
fn contrast_is_relative_to_the_median() {
    let rows = Tensor::from_slice(&[0_u8, 2, 10, 10, 0, 20]).view([3, 2]);
    assert_eq!(contrast_scores(&rows).unwrap(), [1.0, 0.0, 10.0]);
    let flat = Tensor::zeros([3, 2], (Kind::Uint8, explr_sdk::tch::Device::Cpu));
    let error = contrast_scores(&flat).unwrap_err().to_string();
    assert!(
        error.starts_with("the median contrast of the samples is 0"),
        "{error}"
    );
}

#[test]
fn batches_of_one_data_set_each_cover_all_samples_once() {
    let lens = [25, 0, 7, 12];
    let mut sampler = ByDataset::new(&lens, 4);
    let set_of = |index: usize| match index {
        0..25 => 0,
        25..32 => 2,
        _ => 3,
    };
    let batches = epoch(&mut sampler, 0, TENS);
    assert_eq!(batches.len(), 3 + 1 + 2);
    for batch in &batches {
        let first = set_of(batch[0]);
        assert!(
            batch.iter().all(|index| set_of(*index) == first),
            "{batch:?}"
        );
    }
    let order: Vec<usize> = batches.iter().map(|batch| set_of(batch[0])).collect();
    assert!(!order.is_sorted(), "{order:?}");
    let mut all = batches.concat();
    all.sort_unstable();
    assert_eq!(all, (0..44).collect::<Vec<_>>());
    assert_ne!(epoch(&mut sampler, 1, TENS), batches);
    let full = Batching {
        drop_last: true,
        ..TENS
    };
    let sizes: Vec<usize> = epoch(&mut sampler, 0, full).iter().map(Vec::len).collect();
    assert_eq!(sizes, [10, 10, 10]);
}

#[test]
fn data_sets_come_up_by_their_weights_and_begin_again_when_used_up() {
    let new = || {
        ByDataset::new(&[30, 7], 4)
            .weights(&[1.0, 3.0])
            .unwrap()
            .batches(2000)
    };
    let mut sampler = new();
    let batches = epoch(&mut sampler, 0, TENS);
    let second = batches.iter().filter(|batch| batch[0] >= 30).count();
    assert_share(second, 2000, 0.75);
    // Each of the 7 is used once before any is used again.
    let used: Vec<usize> = batches
        .iter()
        .filter(|batch| batch[0] >= 30)
        .flatten()
        .copied()
        .collect();
    for pass in used.chunks_exact(7) {
        let mut pass = pass.to_vec();
        pass.sort_unstable();
        assert_eq!(pass, (30..37).collect::<Vec<_>>());
    }
    // Any batch can be the first, as after a resume.
    let mut fresh = new();
    fresh.begin(0, TENS);
    assert_eq!(fresh.batch(1234, 0).unwrap(), batches[1234]);

    let error = ByDataset::new(&[3, 0], 1).weights(&[1.0, 1.0]).unwrap_err();
    assert!(error.to_string().contains("data set 1 is empty"), "{error}");
}

#[test]
fn samples_of_several_data_sets_are_tagged_and_mixed_in_the_order_asked_for() {
    let both = Concat::new()
        .and("a", set(100, 3))
        .and("none", set(0, 0))
        .and("b", set(200, 4));
    assert_eq!((both.len(), both.lens()), (7, vec![3, 0, 4]));
    assert_eq!(both.names(), ["a", "none", "b"]);
    assert_eq!(
        [2, 3, 6, 7].map(|index| both.locate(index)),
        [Some((0, 2)), Some((2, 0)), Some((2, 3)), None]
    );
    let batch = both.get_batch(&[5, 0, 6, 2, 0]).unwrap().unwrap();
    let values = |batch: &Tensors, name| Vec::<i64>::try_from(batch.get(name).unwrap()).unwrap();
    assert_eq!(values(&batch, "input"), [202, 100, 203, 102, 100]);
    assert_eq!(values(&batch, "dataset"), [2, 0, 2, 0, 0]);
    let sample = both.get(5).unwrap();
    assert_eq!(sample.get("input").unwrap().int64_value(&[]), 202);
    assert_eq!(sample.get("dataset").unwrap().int64_value(&[]), 2);
    assert_eq!(
        both.weights(&[0.5, 0.0, 0.5]).unwrap(),
        [0.5 / 3.0, 0.5 / 3.0, 0.5 / 3.0, 0.125, 0.125, 0.125, 0.125]
    );
    assert!(
        both.weights(&[1.0])
            .unwrap_err()
            .to_string()
            .contains("1 weights for 3")
    );
}

#[test]
fn homogeneous_batches_may_have_other_tensors_in_each_data_set() {
    let wide = InMemory::new(
        &Tensors::new()
            .with("input", Tensor::zeros([6, 3], kind::FLOAT_CPU))
            .with("spikes", Tensor::zeros([6, 9], kind::FLOAT_CPU)),
    )
    .unwrap();
    let both = Arc::new(Concat::new().and("narrow", set(0, 8)).and("wide", wide));
    let mut loader = DataLoader::builder(Arc::clone(&both))
        .batch_size(4)
        .sampler(ByDataset::new(&both.lens(), 2))
        .workers(2)
        .build()
        .unwrap();
    let mut narrow = 0;
    for batch in loader.epoch(0).unwrap() {
        let batch = batch.unwrap();
        let (set, _) = both.locate(batch.indices()[0]).unwrap();
        assert_eq!(batch.get("spikes").is_ok(), set == 1);
        narrow += usize::from(set == 0);
    }
    assert_eq!(narrow, 2);

    // Without that sampler they meet in a batch, and nothing is left out in silence.
    let mut mixed = DataLoader::builder(both).batch_size(14).build().unwrap();
    let error = mixed
        .epoch(0)
        .unwrap()
        .find_map(Result::err)
        .unwrap()
        .to_string();
    assert!(
        error.contains("data set `wide` has 2 tensors and data set `narrow` has 1"),
        "{error}"
    );
}

#[test]
fn an_error_names_the_data_set() {
    struct Broken;
    impl Dataset for Broken {
        fn len(&self) -> usize {
            2
        }
        fn get(&self, _index: usize) -> Result<Tensors> {
            Err("no electrode".into())
        }
    }
    let mut loader = DataLoader::builder(Concat::new().and("good", set(0, 3)).and("bad", Broken))
        .build()
        .unwrap();
    let error = loader
        .epoch(0)
        .unwrap()
        .find_map(Result::err)
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("sample 3 could not be read: data set `bad`, sample 0: no electrode"),
        "{error}"
    );
}

#[test]
fn a_split_gives_each_sample_to_one_part() {
    let parts = random_split(103, &[0.7, 0.2, 0.1], 9).unwrap();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [72, 21, 10]);
    let mut all = parts.concat();
    all.sort_unstable();
    assert_eq!(all, (0..103).collect::<Vec<_>>());
    assert_eq!(random_split(103, &[0.7, 0.2, 0.1], 9).unwrap(), parts);
    assert!(
        random_split(10, &[0.5, 0.4], 9)
            .unwrap_err()
            .to_string()
            .contains("add up to 1")
    );

    let part = Subset::new(set(50, 10), vec![9, 0, 3]).unwrap();
    let batch = part.get_batch(&[2, 0]).unwrap().unwrap();
    assert_eq!(
        Vec::<i64>::try_from(batch.get("input").unwrap()).unwrap(),
        [53, 59]
    );
    let error = Subset::new(set(0, 3), vec![3]).unwrap_err().to_string();
    assert_eq!(error, "a subset wants sample 3 of a data set that has 3");
}

#[test]
fn a_sampler_for_another_data_set_is_an_error_and_no_panic() {
    let mut loader = DataLoader::builder(set(0, 3))
        .sampler(Weighted::new(&[0.0, 0.0, 0.0, 1.0], 1).unwrap())
        .workers(1)
        .build()
        .unwrap();
    let error = loader
        .epoch(0)
        .unwrap()
        .next()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("wants sample 3 of a data set that has 3"),
        "{error}"
    );
}

#[test]
fn the_sampler_is_asked_in_order_with_the_step_of_each_batch() {
    #[derive(Debug)]
    struct Spy(Arc<Mutex<Vec<(usize, u64)>>>);
    impl Sampler for Spy {
        fn batches(&self, _batching: Batching) -> usize {
            5
        }
        fn begin(&mut self, _epoch: u64, _batching: Batching) {}
        fn batch(&mut self, batch: usize, step: u64) -> Result<Vec<usize>> {
            self.0.lock().unwrap().push((batch, step));
            Ok(vec![0])
        }
    }
    let seen = Arc::default();
    let mut loader = DataLoader::builder(set(0, 1))
        .sampler(Spy(Arc::clone(&seen)))
        .accumulate(2)
        .workers(3)
        .build()
        .unwrap();
    loader.epoch(0).unwrap().for_each(drop);
    loader.set_step(100);
    loader.epoch(1).unwrap().for_each(drop);
    let steps = |base| {
        [
            (0, base),
            (1, base),
            (2, base + 1),
            (3, base + 1),
            (4, base + 2),
        ]
    };
    assert_eq!(*seen.lock().unwrap(), [steps(0), steps(100)].concat());
}
