//! A damaged journal: refused, repaired, and what was whole is kept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store_support;

use explr::store::journal::Reader;
use explr::store::{RunDir, Store};
use explr_protocol::{Event, LogLevel};
use std::fs;
use store_support::{completed, metric, run};

fn damaged(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (tempfile::TempDir, Store, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".explr")).unwrap();
    let events: Vec<_> = (0..10).map(|step| metric("loss", 0.5, step)).collect();
    let run = run(&store, 1, "digits", &events);
    let text = fs::read(run.journal_path()).unwrap();
    let mut lines: Vec<Vec<u8>> = text
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    change(&mut lines);
    fs::write(run.journal_path(), lines.concat()).unwrap();
    (dir, store, run)
}

/// Steps of the metrics, and `None` for each warning about a lost record.
fn steps(run: &RunDir) -> Vec<Option<i64>> {
    Reader::open(&run.journal_path(), 0)
        .unwrap()
        .map(|entry| match entry.unwrap().record.event {
            Event::Metric { step, .. } => Some(step),
            Event::Log {
                level: LogLevel::Warning,
                ..
            } => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_lost_record_leaves_a_warning_in_its_place() {
    let (_dir, store, run) = damaged(|lines| lines[4] = b"\0\0\0\0garbage \xff\n".to_vec());
    let before = fs::read(run.journal_path()).unwrap();
    assert!(run.summary().is_err());
    let report = store.repair(&run).unwrap();
    assert_eq!((report.kept, report.missing, report.renumbered), (9, 1, 0));
    assert_eq!(report.dropped[0].line, 5);
    let expected: Vec<_> = (0..10).map(|step| (step != 4).then_some(step)).collect();
    assert_eq!(steps(&run), expected);
    assert_eq!(fs::read(report.original.unwrap()).unwrap(), before);
    assert_eq!(run.summary().unwrap().records, 10);
    assert_eq!(store.repair(&run).unwrap().original, None);
}

#[test]
fn a_hole_of_several_records_keeps_the_numbers_behind_it() {
    // A page of zeros over three lines, as a power cut leaves it.
    let (_dir, store, run) = damaged(|lines| {
        let zeros = lines[3..6].concat().len() - 1;
        lines.splice(3..6, [[vec![0; zeros], b"\n".to_vec()].concat()]);
    });
    let report = store.repair(&run).unwrap();
    assert_eq!(
        (report.kept, report.missing, report.dropped.len()),
        (7, 3, 1)
    );
    let expected: Vec<_> = (0..10)
        .map(|step| (!(3..6).contains(&step)).then_some(step))
        .collect();
    assert_eq!(steps(&run), expected);
}

#[test]
fn records_that_were_written_twice_get_new_numbers() {
    let (_dir, store, run) = damaged(|lines| {
        let twice = lines[8].clone();
        lines.insert(9, twice);
    });
    let report = store.repair(&run).unwrap();
    assert_eq!((report.kept, report.missing, report.renumbered), (11, 0, 2));
    assert_eq!(steps(&run).len(), 11);
}

#[test]
fn damage_at_any_byte_costs_no_other_line() {
    let (_dir, store, run) = damaged(|_| {});
    let whole = fs::read(run.journal_path()).unwrap();
    let start = whole.len() / 2;
    for at in start..start + 80 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs::write(run.journal_path(), &bytes).unwrap();
        let report = store.repair(&run).unwrap();
        assert!(
            report.kept >= 8 && report.dropped.len() == 1,
            "{at}: {report:?}"
        );
        let kept: Vec<_> = steps(&run).into_iter().flatten().collect();
        assert!(kept.is_sorted() && kept.len() >= 8, "{at}");
        fs::remove_file(report.original.unwrap()).unwrap();
    }
}

#[test]
fn a_run_at_work_is_not_repaired() {
    let (_dir, store, run) = damaged(|lines| lines[4] = b"garbage\n".to_vec());
    let _lock = run.lock().unwrap();
    assert_eq!(store.repair(&run).unwrap_err().exit(), explr::Exit::Locked);
}

#[test]
fn a_whole_journal_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".explr")).unwrap();
    let run = run(&store, 1, "digits", &completed(0.1));
    let before = fs::read(run.journal_path()).unwrap();
    assert_eq!(store.repair(&run).unwrap().kept, 12);
    assert_eq!(fs::read(run.journal_path()).unwrap(), before);
    let names: Vec<_> = fs::read_dir(run.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("repaired")),
        "{names:?}"
    );
}
