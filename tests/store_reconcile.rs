//! Promise P3: a run that nobody works on has an end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store_support;

use explr::store::journal::Writer;
use explr::store::{Manifest, Store, StoreError};
use explr_protocol::{Event, RunState, TrainingResult};
use std::os::unix::fs::PermissionsExt;
use store_support::{abandoned, completed, failed, id, manifest, metric, result, run, state};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".explr")).unwrap();
    (dir, store)
}

#[test]
fn a_run_that_a_crash_left_behind_becomes_interrupted_once() {
    let (_dir, store) = store();
    run(&store, 1, "digits", &completed(0.1));
    run(&store, 2, "digits", &failed());
    let left = run(&store, 3, "digits", &abandoned());
    assert_eq!(store.reconcile().unwrap(), [id(3)]);
    let summary = left.summary().unwrap();
    assert_eq!(summary.state, RunState::Interrupted);
    assert_eq!(summary.records, 3);
    assert!(summary.failure.unwrap().message.contains("without a word"));
    assert_eq!(store.reconcile().unwrap(), []);
}

#[test]
fn a_run_that_is_worked_on_is_left_alone() {
    let (_dir, store) = store();
    let live = run(&store, 1, "digits", &abandoned());
    let lock = live.lock().unwrap();
    assert!(live.is_locked().unwrap());
    assert_eq!(store.reconcile().unwrap(), []);
    drop(lock);
    assert!(!live.is_locked().unwrap());
    assert_eq!(store.reconcile().unwrap(), [id(1)]);
}

#[test]
fn a_worker_that_outlives_its_orchestrator_is_not_interfered_with() {
    let (_dir, store) = store();
    let run = run(&store, 1, "digits", &abandoned());
    let mut worker = Writer::open(&run.journal_path()).unwrap();
    assert_eq!(store.reconcile().unwrap(), []);
    assert_eq!(worker.append(&metric("val_loss", 0.6, 1)).unwrap(), 2);
    drop(worker);
    assert_eq!(store.reconcile().unwrap(), [id(1)]);
    assert_eq!(run.summary().unwrap().records, 4);
}

#[test]
fn a_result_that_was_recorded_is_not_thrown_away() {
    let (_dir, store) = store();
    let with = |result: TrainingResult| vec![state(RunState::Running), Event::Result(result)];
    let stopped = TrainingResult {
        stopped_early: true,
        ..result(0.2)
    };
    let done = run(&store, 1, "digits", &with(result(0.1)));
    let nan = run(&store, 2, "digits", &with(result(f64::NAN)));
    let stopped = run(&store, 3, "digits", &with(stopped));
    let mut again = with(result(0.1));
    again.push(state(RunState::Running));
    let again = run(&store, 4, "digits", &again);
    assert_eq!(store.reconcile().unwrap().len(), 4);
    assert_eq!(done.summary().unwrap().state, RunState::Completed);
    for interrupted in [nan, stopped, again] {
        assert_eq!(interrupted.summary().unwrap().state, RunState::Interrupted);
    }
}

#[test]
fn a_damaged_run_does_not_keep_the_others_from_their_end() {
    let (_dir, store) = store();
    let damaged = run(&store, 1, "digits", &abandoned());
    std::fs::write(damaged.journal_path(), "garbage\n").unwrap();
    run(&store, 2, "digits", &abandoned());
    assert_eq!(store.reconcile().unwrap(), [id(2)]);
    assert!(matches!(
        damaged.summary(),
        Err(StoreError::Damaged { line: 1, .. })
    ));
}

#[test]
fn a_run_without_a_record_is_abandoned_unless_it_is_locked() {
    let (_dir, store) = store();
    let held = manifest(&id(1), "digits");
    let (_run, _lock) = store.create_locked_run(&held).unwrap();
    assert_eq!(store.reconcile().unwrap(), []);
    let left = manifest(&id(2), "digits");
    store.create_run(&left).unwrap();
    assert_eq!(store.reconcile().unwrap(), [id(2)]);
}

#[test]
fn a_store_is_private_and_ignored_by_git() {
    let (dir, store) = store();
    let run = run(&store, 1, "digits", &completed(0.1));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for folder in [
        store.root(),
        run.path(),
        &run.artifact_dir(),
        &run.checkpoint_dir(),
    ] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    assert_eq!(mode(&run.path().join("run.json")), 0o600);
    assert_eq!(
        std::fs::read_to_string(store.root().join(".gitignore")).unwrap(),
        "*\n"
    );
    // A folder that was there before is not explr's to ignore.
    Store::open(dir.path()).unwrap();
    assert!(!dir.path().join(".gitignore").exists());
}

#[test]
fn a_store_that_can_not_be_written_is_found_at_the_start() {
    for root in ["/proc/explr", "/dev/null/explr", "/proc"] {
        let error = Store::open(root.as_ref()).unwrap_err();
        assert!(
            matches!(error, StoreError::NotWritable { .. }),
            "{root}: {error}"
        );
        assert_eq!(error.exit(), explr::Exit::Store);
    }
}

#[test]
fn a_run_has_one_owner_at_a_time_and_names_it() {
    let (_dir, store) = store();
    let run = run(&store, 1, "digits", &abandoned());
    let _lock = run.lock().unwrap();
    let error = run.lock().unwrap_err();
    assert_eq!(error.exit(), explr::Exit::Locked);
    let pid = std::process::id();
    assert!(
        error.to_string().contains(&format!("process {pid} on ")),
        "{error}"
    );
}

#[test]
fn a_run_made_twice_is_refused_and_leaves_nothing_behind() {
    let (_dir, store) = store();
    let first = run(&store, 1, "digits", &completed(0.1));
    let other = Manifest {
        seed: 7,
        ..manifest(&id(1), "other")
    };
    store.create_run(&other).unwrap_err();
    assert_eq!(first.manifest().unwrap().experiment, "digits");
    assert_eq!(
        std::fs::read_dir(store.root().join("runs"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn links_in_the_place_of_runs_and_their_files_are_not_followed() {
    let (dir, store) = store();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, store.root().join("runs").join(id(9).as_str())).unwrap();
    assert_eq!(store.runs().unwrap(), []);
    let run = run(&store, 1, "digits", &completed(0.1));
    std::os::unix::fs::symlink(&outside, run.artifact_dir().join("link")).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    store.remove(&run).unwrap();
    assert!(outside.join("precious").exists());
    assert_eq!(store.runs().unwrap(), []);
}

#[test]
fn a_summary_is_the_same_with_and_without_its_cache() {
    let (_dir, store) = store();
    let run = run(&store, 1, "digits", &completed(0.1));
    let fresh = run.summary().unwrap();
    assert!(run.summary_path().exists());
    let cached = run.summary().unwrap();
    // NaN is not equal to itself; as text it is.
    assert_eq!(format!("{fresh:?}"), format!("{cached:?}"));
    for broken in [
        "",
        "{}",
        "[1]",
        "{\"format\":1,\"offset\":99999,\"summary\":{}}",
    ] {
        std::fs::write(run.summary_path(), broken).unwrap();
        assert_eq!(
            format!("{fresh:?}"),
            format!("{:?}", run.summary().unwrap()),
            "{broken}"
        );
    }
}
