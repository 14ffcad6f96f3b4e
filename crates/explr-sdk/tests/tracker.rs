//! What the tracker hands to the worker, and what it refuses.

mod common;

use common::{MockHost, context};
use explr_protocol::{Dataset, Event, Outcome};
use explr_sdk::{Result, Tracker, TrainingContext, TrainingResult};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Runs a test inside a train function.
fn tracked(dir: &Path, test: impl Fn(&Tracker) -> Result<()> + Send + Sync) -> Vec<Event> {
    let host = MockHost::default();
    let outcome = host.run(
        &context(dir, json!({ "lr": 0.1, "net": { "depth": 2 } })),
        |ctx| {
            test(ctx.tracker())?;
            Ok(TrainingResult::new(0.0))
        },
    );
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    host.events()
}

fn artifact(path: &str) -> Event {
    Event::Artifact { path: path.into() }
}

#[test]
fn metrics_of_one_step_arrive_together_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let events = tracked(dir.path(), |tracker| {
        tracker.log_metric("loss", 0.5_f32, 1_usize)?;
        tracker.log_metric("nan", f64::NAN, -1)?;
        tracker.log_metrics(&[("a", 1.0), ("b", f64::INFINITY)], 2_u64)?;
        tracker.log_metrics::<&str>(&[], 3)?;
        Ok(())
    });
    let names: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Metric { key, value, step } => format!("{key} {value} {step}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["loss 0.5 1", "nan NaN -1", "a 1 2", "b inf 2"]);
}

#[test]
fn a_bad_name_or_step_fails_where_it_is_used_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let events = tracked(dir.path(), |tracker| {
        assert!(tracker.log_metric("a=b", 1.0, 0).is_err());
        assert!(
            tracker
                .log_metrics(&[("good", 1.0), ("../bad", 1.0)], 0)
                .is_err()
        );
        assert!(tracker.log_metric("a", 1.0, u64::MAX).is_err());
        assert!(tracker.set_tag("", "x").is_err());
        assert!(tracker.log_param("a\nb", 1).is_err());
        Ok(())
    });
    assert_eq!(events, []);
}

#[test]
fn a_tracker_is_shared_by_threads() {
    let dir = tempfile::tempdir().unwrap();
    let events = tracked(dir.path(), |tracker| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let tracker = tracker.clone();
                scope.spawn(move || {
                    for step in 0..100 {
                        let name = format!("thread-{thread}");
                        tracker.log_metric(&name, f64::from(step), step).unwrap();
                    }
                });
            }
        });
        Ok(())
    });
    assert_eq!(events.len(), 400);
}

#[test]
fn a_param_is_written_once_and_never_changes() {
    let dir = tempfile::tempdir().unwrap();
    let events = tracked(dir.path(), |tracker| {
        tracker.log_params([("layers", 2), ("layers", 2)])?;
        // The orchestrator has logged the hyperparameters.
        tracker.log_param("lr", 0.1)?;
        tracker.log_param("net.depth", 2)?;
        let changed = tracker.log_param("net.depth", 3).unwrap_err().to_string();
        assert!(
            changed.starts_with("the param `net.depth` is 2 and can't become 3"),
            "{changed}"
        );
        Ok(())
    });
    assert_eq!(
        events,
        [Event::Param {
            key: "layers".into(),
            value: json!(2)
        }]
    );
}

#[test]
fn artifacts_are_whole_when_they_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("roc.csv");
    fs::write(&source, "0,1\n").unwrap();
    let events = tracked(dir.path(), |tracker| {
        tracker.log_artifact(&source, "")?;
        tracker.log_artifact(&source, "tables/")?;
        tracker.log_artifact(&source, "tables/again.csv")?;
        tracker.log_text("hello", "notes/a.txt")?;
        tracker.log_json(&json!({ "a": 1 }), "a.json")?;
        tracker.log_figure("plot.png", [1_u8, 2, 3])?;
        tracker.log_figure("plot.png", [4_u8])?;
        Ok(())
    });
    let paths = [
        "roc.csv",
        "tables/roc.csv",
        "tables/again.csv",
        "notes/a.txt",
        "a.json",
        "plot.png",
        "plot.png",
    ];
    assert_eq!(events, paths.map(artifact));
    let artifacts = dir.path().join("artifacts");
    assert_eq!(
        fs::read(artifacts.join("tables/again.csv")).unwrap(),
        b"0,1\n"
    );
    assert_eq!(fs::read(artifacts.join("plot.png")).unwrap(), [4]);
    let hidden = fs::read_dir(&artifacts)
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with('.')
        })
        .count();
    assert_eq!(hidden, 0);
}

#[test]
fn a_folder_is_copied_with_all_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plots");
    fs::create_dir_all(source.join("deep")).unwrap();
    fs::write(source.join("a"), "a").unwrap();
    fs::write(source.join("deep/b"), "b").unwrap();
    std::os::unix::fs::symlink("a", source.join("link")).unwrap();
    let events = tracked(dir.path(), |tracker| {
        tracker.log_folder(&source, "out/plots")?;
        tracker.log_folder(source.join("deep"), "")?;
        Ok(())
    });
    assert_eq!(events, [artifact("out/plots"), artifact("b")]);
    let artifacts = dir.path().join("artifacts");
    assert_eq!(fs::read(artifacts.join("out/plots/deep/b")).unwrap(), b"b");
    let link = artifacts.join("out/plots/link");
    assert!(link.is_file() && !link.is_symlink());
}

#[test]
fn artifacts_neither_leave_their_folder_nor_follow_links_out_of_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "s").unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(&source).unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), source.join("link")).unwrap();
    let events = tracked(dir.path(), |tracker| {
        for name in ["../x", "/tmp/x", "a/../../x", ""] {
            assert!(tracker.log_text("x", name).is_err(), "{name}");
        }
        assert!(tracker.log_folder(&source, "source").is_err());
        assert!(tracker.log_folder(&source, "../source").is_err());
        let link = dir.path().join("artifacts/link");
        if !link.is_symlink() {
            std::os::unix::fs::symlink(&outside, link).unwrap();
        }
        assert!(tracker.log_text("x", "link/new").is_err());
        assert!(tracker.log_artifact(&outside, "").is_err());
        assert!(
            tracker
                .log_artifact(dir.path().join("missing"), "")
                .is_err()
        );
        Ok(())
    });
    assert_eq!(events, []);
    assert!(!outside.join("new").exists());
}

#[test]
fn a_data_set_with_a_digest_too_long_for_mlflow_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = |digest: &str| Dataset {
        name: "digits".into(),
        digest: digest.into(),
        context: Some("training".into()),
        source: None,
        schema: None,
        profile: None,
    };
    let events = tracked(dir.path(), |tracker| {
        assert!(tracker.log_dataset(dataset(&"x".repeat(37))).is_err());
        tracker.log_dataset(dataset("abc"))?;
        Ok(())
    });
    assert_eq!(events, [Event::Dataset(dataset("abc"))]);
}

#[test]
fn a_later_attempt_says_where_it_starts_before_its_first_metric() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = context(dir.path(), json!({}));
    let note = Event::Resumed {
        seq_of_checkpoint: 0,
        checkpoint: None,
    };
    let train = |ctx: &mut TrainingContext| {
        if ctx.hyperparameters().is_empty() {
            ctx.tracker().log_metric("loss", 1.0, 0)?;
            ctx.tracker().log_metric("loss", 1.0, 1)?;
        }
        Ok(TrainingResult::new(0.0))
    };
    let count = |run: &_| {
        let host = MockHost::default();
        host.run(run, train);
        let events = host.events();
        (events.first() == Some(&note), events.len())
    };
    assert_eq!(count(&run), (false, 2));
    run.attempt = 2;
    assert_eq!(count(&run), (true, 3));
    run.hyperparameters.insert("quiet".into(), json!(true));
    assert_eq!(count(&run), (true, 1));
}

#[test]
fn the_context_tells_and_shows() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let outcome = host.run(&context(dir.path(), json!({})), |ctx| {
        assert_eq!((ctx.seed(), ctx.attempt(), ctx.threads()), (7, 1, 1));
        assert_eq!(ctx.experiment_name(), "test");
        assert_eq!(ctx.device_spec().to_string(), "cpu");
        assert!(ctx.trial().is_none());
        assert!(ctx.checkpoint_dir().is_dir() && ctx.artifact_dir().is_dir());
        assert!(!ctx.stop_requested());
        ctx.progress(1, 5);
        ctx.progress_steps(10, 50);
        ctx.info("half way");
        ctx.report(3, 0.5)?;
        Ok(TrainingResult::new(0.0))
    });
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    let shown = host.progress.lock().unwrap();
    let last: serde_json::Value = serde_json::from_str(&shown[1]).unwrap();
    assert_eq!(
        (
            &last["epoch"],
            &last["epochs"],
            &last["step"],
            &last["steps"]
        ),
        (&json!(1), &json!(5), &json!(10), &json!(50))
    );
    assert!(matches!(host.events()[1], Event::Report { step: 3, .. }));
}
