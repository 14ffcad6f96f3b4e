//! Promise P1, the real way: a process that appends is killed at random
//! moments, and everything that it had acknowledged is in the journal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use explr::store::journal::{Reader, Writer};
use explr_protocol::Event;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the journal, in the process that is to be killed.
const JOURNAL: &str = "EXPLR_TEST_JOURNAL";

/// Runs one test of this executable again, as a process of its own.
fn this_test_again(name: &str, journal: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(JOURNAL, journal)
        .stdout(Stdio::piped());
    command
}

fn random_below(limit: u64) -> u64 {
    RandomState::new().hash_one(0) % limit
}

/// Appends for ever, and says so after each append that returned.
fn append_until_killed(journal: &Path) {
    let mut writer = Writer::open(journal).unwrap();
    let mut out = std::io::stdout();
    for step in 0.. {
        let first = writer
            .append_metrics([("loss", 0.5), ("acc", f64::NAN)], step)
            .unwrap();
        writeln!(out, "ack {first} {step}").unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    if let Some(journal) = std::env::var_os(JOURNAL) {
        return append_until_killed(journal.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut before = 0;
    for round in 0..8 {
        let name = "what_was_acknowledged_survives_a_kill_at_any_moment";
        let mut child = this_test_again(name, &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        let mut take = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
            if let (Some(first), Some(step)) = (words.next(), words.next()) {
                acknowledged.push((first.parse::<u64>().unwrap(), step.parse::<i64>().unwrap()));
            }
        };
        // At work for sure, then any moment.
        for line in lines.by_ref().take(50) {
            take(line);
        }
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(random_below(50_000)));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let rest: Vec<_> = lines.collect();
        killer.join().unwrap();
        let whole = rest.len().saturating_sub(1);
        // The last line may be cut off in the middle of a number.
        rest.into_iter().take(whole).for_each(&mut take);

        let entries: Vec<_> = Reader::open(&path, 0)
            .unwrap()
            .map(|entry| entry.unwrap().record)
            .collect();
        assert!(acknowledged.len() > 10, "round {round}");
        assert_eq!(
            acknowledged[0].0, before,
            "round {round} goes on where the last ended"
        );
        for (first, step) in &acknowledged {
            let of = |seq: u64| match &entries[usize::try_from(seq).unwrap()].event {
                Event::Metric { key, step, .. } => (key.clone(), *step),
                other => panic!("{other:?}"),
            };
            assert_eq!(of(*first), ("loss".to_owned(), *step));
            assert_eq!(of(first + 1), ("acc".to_owned(), *step));
        }
        before = entries.len() as u64;
    }
}

/// Appends until the file may grow no more, then says how much is in.
fn append_until_full(journal: &Path) {
    const LIMIT: u64 = 10_000;
    // Blocked, so that the write fails instead of ending the process.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, LIMIT, LIMIT * 10).unwrap();
    let mut writer = Writer::open(journal).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match writer.append_metrics([("loss", 0.5), ("acc", 0.25)], 7) {
            Ok(first) => acknowledged = first + 2,
            Err(error) => break error,
        }
    };
    println!("error {error}");
    // Still full: fails again, harms nothing.
    writer.append_metrics([("loss", 0.5)], 8).unwrap_err();
    let in_file = writer.len();
    println!("acknowledged {acknowledged} {in_file}");
    // Room again.
    setrlimit(Resource::RLIMIT_FSIZE, LIMIT * 10, LIMIT * 10).unwrap();
    assert_eq!(writer.append_metrics([("loss", 0.5)], 9).unwrap(), in_file);
}

#[test]
fn a_file_that_may_grow_no_more_keeps_its_journal_whole() {
    if let Some(journal) = std::env::var_os(JOURNAL) {
        return append_until_full(journal.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let name = "a_file_that_may_grow_no_more_keeps_its_journal_whole";
    let output = this_test_again(name, &path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("Everything recorded before is intact"),
        "{text}"
    );
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("acknowledged "));
    let numbers: Vec<u64> = line
        .unwrap()
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    assert!(
        numbers[0] > 100 && numbers[1] - numbers[0] < 2,
        "{numbers:?}"
    );
    let read: Vec<_> = Reader::open(&path, 0)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read.len() as u64, numbers[1] + 1);
}

#[test]
fn a_full_device_is_an_error_every_time() {
    let mut writer = Writer::open(Path::new("/dev/full")).unwrap();
    for _ in 0..3 {
        let error = writer.append_metrics([("loss", 0.5)], 0).unwrap_err();
        assert_eq!(error.exit(), explr::Exit::Store);
        assert_eq!(writer.len(), 0);
    }
}
