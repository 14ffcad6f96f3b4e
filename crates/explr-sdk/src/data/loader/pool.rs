use super::batch::Batch;
use super::recipe::{Recipe, panicked};
use super::source::Source;
use crate::data::DataError;
use crate::torch::shim;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads that make batches ahead of their use.
///
/// Each takes the next piece of work under a lock, with its number, and puts
/// the batch where the consumer finds it by number. At most `ahead` batches
/// are in the making or ready. Dropped, it ends the threads, and waits for
/// the samples that are being read.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    recipe: Arc<Recipe>,
    source: Mutex<Numbered>,
    ready: Mutex<Ready>,
    /// Something is ready.
    filled: Condvar,
    /// There is room for more.
    emptied: Condvar,
    ahead: u64,
    stop: AtomicBool,
}

struct Numbered {
    source: Source,
    next: u64,
    ended: bool,
}

#[derive(Default)]
struct Ready {
    /// Batches by number; `None` is the end.
    batches: BTreeMap<u64, Result<Option<Batch>, DataError>>,
    /// The number that the consumer takes next.
    next: u64,
}

impl Pool {
    pub(super) fn new(
        recipe: &Arc<Recipe>,
        source: Source,
        workers: usize,
        ahead: usize,
    ) -> Result<Self, DataError> {
        let shared = Arc::new(Shared {
            recipe: Arc::clone(recipe),
            source: Mutex::new(Numbered {
                source,
                next: 0,
                ended: false,
            }),
            ready: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            ahead: ahead.max(1) as u64,
            stop: AtomicBool::new(false),
        });
        // Dropped on an error, it ends the threads that began.
        let mut pool = Self {
            shared,
            threads: Vec::with_capacity(workers),
        };
        for number in 0..workers {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new()
                .name(format!("explr-data-{number}"))
                .spawn(move || shared.work())
                .map_err(DataError::Thread)?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// The next batch, when it is ready; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, DataError> {
        let mut ready = lock(&self.shared.ready);
        let next = ready.next;
        let batch = loop {
            if let Some(batch) = ready.batches.remove(&next) {
                break batch;
            }
            ready = wait(&self.shared.filled, ready);
        };
        ready.next += 1;
        drop(ready);
        self.shared.emptied.notify_one();
        batch
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Under the lock, so that no thread is about to wait.
        let ready = lock(&self.shared.ready);
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(ready);
        self.shared.emptied.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        // Without it each worker would have threads of its own, for nothing.
        // It is only slower if it fails.
        let _ = shim::use_one_core();
        let stopped = || self.stop.load(Ordering::Relaxed);
        loop {
            let (number, work) = {
                let mut source = lock(&self.source);
                if source.ended || !self.wait_for_room(source.next) {
                    return;
                }
                let number = source.next;
                source.next += 1;
                let work = panic::catch_unwind(AssertUnwindSafe(|| source.source.next()))
                    .unwrap_or_else(|payload| {
                        Err(panicked(
                            &*payload,
                            "choosing the samples of a batch".to_owned(),
                        ))
                    });
                source.ended = !matches!(work, Ok(Some(_)));
                (number, work)
            };
            let batch = match work {
                Ok(Some(work)) => match self.recipe.make(work, &stopped) {
                    Ok(None) => return,
                    made => made,
                },
                end => end.map(|_| None),
            };
            lock(&self.ready).batches.insert(number, batch);
            self.filled.notify_one();
        }
    }

    /// Waits until batch `number` may be begun; false when there is no need.
    fn wait_for_room(&self, number: u64) -> bool {
        let mut ready = lock(&self.ready);
        while !self.stop.load(Ordering::Relaxed) {
            if number < ready.next + self.ahead {
                return true;
            }
            ready = wait(&self.emptied, ready);
        }
        false
    }
}

// What the locks protect is whole whenever a thread could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}
