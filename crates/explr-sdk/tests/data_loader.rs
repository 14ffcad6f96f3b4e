//! Batches: their order, their bounds, what goes wrong, and going on.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::cast_possible_wrap, reason = "the numbers are small")]

use explr_sdk::Result;
use explr_sdk::data::{
    DataError, DataLoader, Dataset, InMemory, IterableDataset, LoaderBuilder, LoaderState,
    SampleIter, Shard, Tensors,
};
use explr_sdk::tch::{Device, Kind, Tensor, kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sample `i` is the number `i`, and takes its time so that workers finish
/// out of order.
#[derive(Default)]
struct Numbers {
    len: usize,
    /// Samples given so far.
    given: Arc<AtomicUsize>,
    slow: Duration,
    fails: Option<usize>,
    panics: Option<usize>,
}

impl Numbers {
    fn of(len: usize) -> Self {
        Self {
            len,
            ..Self::default()
        }
    }
}

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        self.given.fetch_add(1, Ordering::SeqCst);
        if self.fails == Some(index) {
            Err(std::io::Error::other("the disk is gone"))?;
        }
        assert!(self.panics != Some(index), "sample {index} is bad");
        thread::sleep(self.slow * u32::from(index.is_multiple_of(3)));
        Ok(Tensor::from(index as i64).into())
    }
}

fn numbers(loader: &mut DataLoader, epoch: u64) -> Vec<Vec<i64>> {
    let batches = loader.epoch(epoch).unwrap();
    batches.map(|batch| values(&batch.unwrap())).collect()
}

fn values(batch: &Tensors) -> Vec<i64> {
    Vec::try_from(batch.get("input").unwrap()).unwrap()
}

fn next_error(builder: LoaderBuilder) -> Vec<Result<usize, String>> {
    let mut loader = builder.build().unwrap();
    let batches = loader.epoch(0).unwrap();
    batches
        .map(|batch| match batch {
            Ok(batch) => Ok(batch.samples()),
            Err(error) => Err(error.to_string()),
        })
        .collect()
}

#[test]
fn the_batches_are_the_same_with_any_number_of_workers() {
    let run = |workers| {
        let slow = Numbers {
            slow: Duration::from_micros(300),
            ..Numbers::of(103)
        };
        let mut loader = DataLoader::builder(slow)
            .batch_size(8)
            .shuffle(7)
            .transform(3, |sample, rng| {
                let noise = rng.below(1000) as i64;
                let input = sample.get("input")?.f_mul_scalar(1000)?;
                Ok(input.f_add_scalar(noise)?.into())
            })
            .workers(workers)
            .build()
            .unwrap();
        assert_eq!(loader.batches(), Some(13));
        [0, 1].map(|epoch| numbers(&mut loader, epoch))
    };
    let alone = run(0);
    for workers in [1, 2, 5] {
        assert_eq!(run(workers), alone, "{workers} workers");
    }
    let [first, second] = alone;
    assert_ne!(first, second);
    let mut all: Vec<i64> = first.concat().into_iter().map(|n| n / 1000).collect();
    all.sort_unstable();
    assert_eq!(all, (0..103).collect::<Vec<_>>());
    assert_eq!(first.last().map(Vec::len), Some(103 % 8));
}

#[test]
fn a_last_smaller_batch_can_be_left_out() {
    let mut loader = DataLoader::builder(Numbers::of(10))
        .batch_size(4)
        .drop_last()
        .build()
        .unwrap();
    assert_eq!(loader.batches(), Some(2));
    assert_eq!(numbers(&mut loader, 0), [[0, 1, 2, 3], [4, 5, 6, 7]]);
}

#[test]
fn no_more_than_the_allowed_batches_are_made_ahead() {
    let dataset = Numbers::of(1000);
    let given = Arc::clone(&dataset.given);
    let mut loader = DataLoader::builder(dataset)
        .batch_size(10)
        .workers(3)
        .ahead(4)
        .build()
        .unwrap();
    let mut batches = loader.epoch(0).unwrap();
    for taken in 0..20 {
        // Long enough for workers without a bound to make everything.
        thread::sleep(Duration::from_millis(5));
        let made = given.load(Ordering::SeqCst);
        assert!(made <= (taken + 4) * 10, "{made} samples, {taken} taken");
        batches.next().unwrap().unwrap();
    }
}

#[test]
fn an_error_is_reported_with_its_sample_and_ends_the_epoch() {
    for workers in [0, 3] {
        let dataset = Numbers {
            fails: Some(17),
            ..Numbers::of(40)
        };
        let outcome = next_error(DataLoader::builder(dataset).batch_size(5).workers(workers));
        let error = Err("sample 17 could not be read: the disk is gone".to_owned());
        assert_eq!(outcome, [Ok(5), Ok(5), Ok(5), error], "{workers} workers");
    }
}

#[test]
fn after_an_error_the_position_is_that_of_the_batch_that_failed() {
    for workers in [0, 3] {
        let dataset = Numbers {
            fails: Some(17),
            ..Numbers::of(40)
        };
        let mut loader = DataLoader::builder(dataset)
            .batch_size(5)
            .workers(workers)
            .build()
            .unwrap();
        let mut batches = loader.epoch(0).unwrap();
        assert!(batches.by_ref().any(|batch| batch.is_err()));
        assert!(batches.next().is_none());
        let state = batches.state();
        assert_eq!((state.epoch, state.batch), (0, 3), "{workers} workers");
    }
}

#[test]
fn a_panic_is_reported_with_its_sample_and_ends_the_epoch() {
    for workers in [0, 3] {
        let dataset = Numbers {
            panics: Some(6),
            ..Numbers::of(40)
        };
        let outcome = next_error(DataLoader::builder(dataset).batch_size(5).workers(workers));
        let error = Err("reading sample 6 panicked: sample 6 is bad".to_owned());
        assert_eq!(outcome, [Ok(5), error], "{workers} workers");
    }
}

#[test]
fn a_panic_in_collate_is_an_error_too() {
    let loader = DataLoader::builder(Numbers::of(4))
        .batch_size(2)
        .workers(1)
        .collate(|_| panic!("no way"));
    let error = Err("making a batch panicked: no way".to_owned());
    assert_eq!(next_error(loader), [error]);
}

#[test]
fn samples_of_different_shapes_are_refused_by_name_unless_collate_takes_them() {
    struct Lines;
    impl Dataset for Lines {
        fn len(&self) -> usize {
            4
        }
        fn get(&self, index: usize) -> Result<Tensors> {
            let len = index as i64 + 1;
            Ok(Tensors::new().with("line", Tensor::f_ones([len], kind::INT64_CPU)?))
        }
    }
    let outcome = next_error(DataLoader::builder(Lines).batch_size(2));
    let [Err(error)] = &*outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        error,
        "`line` has the shape [1] in sample 0 and [2] in sample 1; give the loader a `collate` \
         that pads them, or the data set one shape"
    );
    let mut padded = DataLoader::builder(Lines)
        .batch_size(4)
        .collate(|samples| {
            let lines = samples.iter().map(|sample| sample.get("line"));
            let lines = lines.collect::<Result<Vec<_>, _>>()?;
            let padded = Tensor::f_pad_sequence(&lines, true, 0.0, "right")?;
            Ok(padded.into())
        })
        .build()
        .unwrap();
    let batch = padded.epoch(0).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.get("input").unwrap().size(), [4, 4]);
}

#[test]
fn a_dropped_epoch_ends_its_threads_within_the_current_sample() {
    let dataset = Numbers {
        slow: Duration::from_millis(20),
        ..Numbers::of(30_000)
    };
    let given = Arc::clone(&dataset.given);
    // A batch takes 20 ms * 10000 / 3, more than a minute.
    let mut loader = DataLoader::builder(dataset)
        .batch_size(10_000)
        .workers(3)
        .build()
        .unwrap();
    let batches = loader.epoch(0).unwrap();
    while given.load(Ordering::SeqCst) < 30 {
        thread::sleep(Duration::from_millis(1));
    }
    let begun = Instant::now();
    drop(batches);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let after = given.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(given.load(Ordering::SeqCst), after, "a thread goes on");
}

#[test]
fn an_epoch_can_be_left_or_fail_at_any_point() {
    let rounds = || {
        for round in 0..400 {
            let dataset = Numbers {
                fails: (round % 3 == 0).then_some(round % 50),
                panics: (round % 7 == 0).then_some(round % 41),
                ..Numbers::of(60)
            };
            let mut loader = DataLoader::builder(dataset)
                .batch_size(1 + round % 5)
                .workers(1 + round % 4)
                .ahead(1 + round % 3)
                .build()
                .unwrap();
            let mut batches = loader.epoch(0).unwrap();
            batches.by_ref().take(round % 23).for_each(drop);
        }
    };
    // A thread that waits for ever would keep its loader's drop from returning.
    let (done, finished) = std::sync::mpsc::channel();
    thread::spawn(move || {
        rounds();
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(120)).unwrap();
}

#[test]
fn a_loader_goes_on_in_mid_epoch_where_it_was() {
    let loader = |workers| {
        DataLoader::builder(Numbers::of(50))
            .batch_size(4)
            .shuffle(11)
            .transform(5, |sample, rng| {
                let noise = rng.below(1_000_000) as i64 * 100;
                Ok(sample.get("input")?.f_add_scalar(noise)?.into())
            })
            .workers(workers)
            .build()
            .unwrap()
    };
    let mut whole = loader(0);
    let wanted = [0, 1, 2].map(|epoch| numbers(&mut whole, epoch)).concat();
    for stop in [0, 1, 5, 12, 13, 14, 20, 39] {
        let mut first = loader(2);
        let mut got = Vec::new();
        let mut saved = first.state();
        'training: for epoch in 0..3 {
            let mut batches = first.epoch(epoch).unwrap();
            while let Some(batch) = batches.next() {
                if got.len() == stop {
                    break 'training;
                }
                got.push(values(&batch.unwrap()));
                saved = batches.state();
            }
            saved = batches.state();
        }
        let text = serde_json::to_string(&saved).unwrap();
        let saved: LoaderState = serde_json::from_str(&text).unwrap();
        let mut second = loader(3);
        second.restore(&saved).unwrap();
        for epoch in saved.epoch..3 {
            got.extend(numbers(&mut second, epoch));
        }
        assert_eq!(got, wanted, "stopped after {stop} batches");
    }
}

#[test]
fn an_epoch_that_was_left_begins_anew_unless_it_is_restored() {
    let mut loader = DataLoader::builder(Numbers::of(6))
        .batch_size(2)
        .build()
        .unwrap();
    loader.epoch(0).unwrap().next().unwrap().unwrap();
    let state = loader.state();
    assert_eq!((state.epoch, state.batch), (0, 1));
    assert_eq!(numbers(&mut loader, 0), [[0, 1], [2, 3], [4, 5]]);
    loader.restore(&state).unwrap();
    assert_eq!(numbers(&mut loader, 0), [[2, 3], [4, 5]]);
    loader.restore(&state).unwrap();
    assert_eq!(numbers(&mut loader, 1).len(), 3);
}

#[test]
fn a_position_of_another_loader_is_refused() {
    let loader = |len, size| {
        DataLoader::builder(Numbers::of(len))
            .batch_size(size)
            .build()
            .unwrap()
    };
    let state = loader(10, 2).state();
    let refused = |len, size| loader(len, size).restore(&state).unwrap_err().to_string();
    assert_eq!(
        refused(10, 5),
        "the saved position of the data loader does not fit: the batch size was 2 and is now 5; \
         set it back, or start without the saved position"
    );
    assert!(refused(11, 2).contains("the number of samples was 10 and is now 11"));
}

#[test]
fn processes_share_an_epoch_evenly() {
    let world = 3;
    let mut seen = Vec::new();
    let mut shapes = Vec::new();
    for rank in 0..world {
        let mut loader = DataLoader::builder(Numbers::of(20))
            .batch_size(2)
            .shuffle(1)
            .shard(rank, world)
            .workers(rank)
            .build()
            .unwrap();
        let batches = numbers(&mut loader, 0);
        shapes.push(batches.iter().map(Vec::len).collect::<Vec<_>>());
        seen.extend(batches.concat());
    }
    // 20 samples: three batches of 2 a process, and 2 samples for three.
    assert_eq!(shapes, vec![vec![2, 2, 2, 1]; 3]);
    seen.sort_unstable();
    assert_eq!(seen.len(), 21);
    seen.dedup();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[test]
fn settings_without_sense_are_refused() {
    let new = || DataLoader::builder(Numbers::of(1));
    for (builder, wanted) in [
        (new().batch_size(0), "the batch size is 0"),
        (new().shard(2, 2), "rank 2 of 2 processes"),
        (new().accumulate(0), "0 batches to an optimiser step"),
        (new().ahead(0), "0 batches ahead"),
        (
            DataLoader::stream(Lines {
                count: 1,
                fails: None,
            })
            .shuffle(1),
            "a stream gives its samples in its own order",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, DataError::Invalid(_)), "{error:?}");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
}

struct Lines {
    count: usize,
    fails: Option<usize>,
}

impl IterableDataset for Lines {
    fn samples(&self, epoch: u64, shard: Shard, skip: usize) -> Result<SampleIter> {
        let fails = self.fails;
        let base = 1000 * epoch as i64;
        let own = (0..self.count).skip(shard.rank).step_by(shard.world);
        Ok(Box::new(own.skip(skip).map(move |line| {
            if fails == Some(line) {
                Err("not a line")?;
            }
            Ok(Tensor::from(base + line as i64).into())
        })))
    }
}

#[test]
fn a_stream_keeps_its_order_and_goes_on_in_mid_epoch() {
    let loader = |workers| {
        let lines = Lines {
            count: 23,
            fails: None,
        };
        DataLoader::stream(lines)
            .batch_size(4)
            .workers(workers)
            .build()
            .unwrap()
    };
    let wanted = numbers(&mut loader(0), 2);
    assert_eq!(wanted.concat(), (2000..2023).collect::<Vec<_>>());
    assert_eq!(numbers(&mut loader(3), 2), wanted);

    let mut first = loader(3);
    let mut batches = first.epoch(2).unwrap();
    batches
        .by_ref()
        .take(3)
        .for_each(|batch| drop(batch.unwrap()));
    let state = batches.state();
    let mut second = loader(2);
    second.restore(&state).unwrap();
    assert_eq!(numbers(&mut second, 2), wanted[3..]);
}

#[test]
fn an_error_in_a_stream_has_the_number_of_its_sample() {
    for workers in [0, 2] {
        let lines = Lines {
            count: 20,
            fails: Some(9),
        };
        let outcome = next_error(DataLoader::stream(lines).batch_size(4).workers(workers));
        let error = Err("sample 9 could not be read: not a line".to_owned());
        assert_eq!(outcome, [Ok(4), Ok(4), error], "{workers} workers");
    }
}

#[test]
fn bytes_in_memory_are_served_as_numbers_to_the_last_bit() {
    let bytes = Tensor::f_arange(2 * 3 * 4 * 4, (Kind::Uint8, Device::Cpu)).unwrap();
    let pictures = bytes.view([2, 3, 4, 4]);
    let labels = Tensor::from_slice(&[7_i64, 9]);
    let (mean, std) = ([0.1_f32, 0.2, 0.3], [0.5_f32, 0.25, 0.2]);
    let data = InMemory::pair(&pictures, &labels)
        .unwrap()
        .normalised("input", 255.0, &mean, &std)
        .unwrap();
    let shaped = |values: &[f32]| Tensor::from_slice(values).view([1, 3, 1, 1]);
    let wanted = (pictures.to_kind(Kind::Float) / 255.0 - shaped(&mean)) / shaped(&std);

    let mut loader = DataLoader::builder(data)
        .batch_size(2)
        .workers(1)
        .build()
        .unwrap();
    let batch = loader.epoch(0).unwrap().next().unwrap().unwrap();
    let [input, target] = batch.all().unwrap();
    assert!(input.equal(&wanted));
    assert!(target.equal(&labels));
    assert_eq!(batch.indices(), [0, 1]);
    // The stored bytes stay as they are.
    assert_eq!(pictures.int64_value(&[1, 2, 3, 3]), 95);
}

#[test]
fn a_sample_in_memory_is_the_same_alone_and_in_a_batch() {
    let x = Tensor::rand([5, 3], kind::FLOAT_CPU);
    let data = InMemory::new(&x.copy().into())
        .unwrap()
        .normalised("input", 1.0, &[0.1, 0.2, 0.3], &[1.0, 2.0, 3.0])
        .unwrap();
    let alone = data.get(3).unwrap();
    assert_eq!(alone.get("input").unwrap().size(), [3]);
    let batch = data.get_batch(&[1, 3]).unwrap().unwrap();
    assert!(
        batch
            .get("input")
            .unwrap()
            .get(1)
            .equal(alone.get("input").unwrap())
    );
}

#[test]
fn tensors_that_do_not_belong_together_are_refused() {
    let (x, y) = (
        Tensor::zeros([5, 3], kind::FLOAT_CPU),
        Tensor::zeros([4], kind::INT64_CPU),
    );
    let pair = Tensors::from((x.copy(), y.copy()));
    assert_eq!(
        pair.all::<3>().unwrap_err().to_string(),
        "3 tensors are wanted, and there are 2: `input`, `target`"
    );
    let error = InMemory::pair(&x, &y).unwrap_err().to_string();
    assert!(
        error.starts_with("`input` has 5 samples and `target` has 4"),
        "{error}"
    );
    let error = InMemory::new(&x.into()).unwrap().scaled("inptu", 255.0);
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no tensor `inptu`; there are: `input`"
    );
}
