//! The library as a program uses it. No test harness: `main` must serve
//! workers before anything else, as a user's program does.

#![allow(clippy::unwrap_used, clippy::too_many_lines)]

use explr::report::{Reporter, RunEvent};
use explr::runner::{Resume, StopReason};
use explr::{Exit, Experiment};
use explr_protocol::{FailureClass, RunState};
use explr_sdk::{Function, TrainingResult};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static CALLS_HERE: AtomicU32 = AtomicU32::new(0);

fn main() {
    let descend = Function::new("descend", |ctx| {
        CALLS_HERE.fetch_add(1, Ordering::Relaxed);
        let (lr, mut x) = (ctx.f64("lr")?, 1.0_f64);
        for step in 0..ctx.i64_or("steps", 10)? {
            x -= lr * 2.0 * x;
            ctx.tracker().log_metric("loss", x * x, step)?;
        }
        Ok(TrainingResult::new(x * x).metric("x", x))
    });
    let crash = Function::new("crash", |_| std::process::abort());
    let wait = Function::new("wait", |ctx| {
        ctx.tracker().log_metric("loss", 1.0, 0)?;
        while !ctx.stop_requested() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(TrainingResult::new(1.0))
    });
    explr::worker::serve(&[&descend, &crash, &wait]);

    let experiment = |name: &str, folder: &std::path::Path| {
        Experiment::new(name)
            .set("mlflow=off")
            .set("hyperparameters.lr=1e-1")
            .store(folder.join("store"))
    };
    let tests: [(&str, &dyn Fn()); 7] = [
        ("a_function_runs_in_a_worker_of_its_own", &|| {
            let folder = tempfile::tempdir().unwrap();
            let outcome = experiment("test", folder.path())
                .function(descend.clone())
                .run()
                .unwrap();
            assert_eq!(outcome.state, RunState::Completed);
            assert_eq!(outcome.exit(), Exit::Ok);
            let result = outcome.result.unwrap();
            assert!((result.metrics["x"] - 0.8_f64.powi(10)).abs() < 1e-12);
            assert_eq!(CALLS_HERE.load(Ordering::Relaxed), 0);
        }),
        ("a_function_that_crashes_leaves_the_program_alone", &|| {
            let folder = tempfile::tempdir().unwrap();
            let outcome = experiment("test", folder.path())
                .function(crash.clone())
                .run()
                .unwrap();
            assert_eq!(outcome.failure.unwrap().class, FailureClass::Abort);
        }),
        ("a_function_runs_in_this_process_by_choice", &|| {
            let folder = tempfile::tempdir().unwrap();
            let outcome = experiment("test", folder.path())
                .function(descend.clone())
                .in_process()
                .run()
                .unwrap();
            assert_eq!(outcome.state, RunState::Completed);
            assert_eq!(CALLS_HERE.load(Ordering::Relaxed), 1);
            let store = explr::store::Store::existing(&folder.path().join("store")).unwrap();
            let summary = store.runs().unwrap()[0].summary().unwrap();
            assert_eq!(summary.metrics["loss"].count, 10);
        }),
        ("another_thread_stops_a_run", &|| {
            let folder = tempfile::tempdir().unwrap();
            let experiment = experiment("test", folder.path()).function(wait.clone());
            let stop = experiment.stop_handle();
            let mut stopper = StopAtFirstMetric(stop);
            let outcome = experiment.run_with(&mut stopper).unwrap();
            assert_eq!(outcome.state, RunState::Interrupted);
            assert_eq!(outcome.stopped, Some(StopReason::Program));
            let again = experiment.resume(Resume::Never);
            assert!(again.stop_handle().is_raised());
        }),
        ("a_function_that_no_worker_serves_is_explained", &|| {
            let folder = tempfile::tempdir().unwrap();
            let stranger = Function::new("stranger", |_| Ok(TrainingResult::new(0.0)));
            let outcome = experiment("test", folder.path())
                .function(stranger)
                .run()
                .unwrap();
            let failure = outcome.failure.unwrap();
            assert!(
                failure
                    .message
                    .contains("serves no train function `stranger`")
            );
        }),
        ("a_wrong_setting_is_an_error_with_its_place", &|| {
            let folder = tempfile::tempdir().unwrap();
            let error = experiment("test", folder.path())
                .set("sede=1")
                .function(descend.clone())
                .run()
                .unwrap_err();
            assert_eq!(error.exit(), Exit::Config);
            assert!(
                error.to_string().contains("did you mean `seed`?"),
                "{error}"
            );
        }),
        (
            "an_experiment_without_a_train_function_is_explained",
            &|| {
                let folder = tempfile::tempdir().unwrap();
                let error = experiment("test", folder.path()).run().unwrap_err();
                assert_eq!(error.exit(), Exit::Config);
                assert!(
                    error.to_string().contains("names no train function"),
                    "{error}"
                );
            },
        ),
    ];
    println!("running {} tests", tests.len());
    for (name, test) in &tests {
        test();
        println!("test {name} ... ok");
    }
    println!("{} passed, 0 failed", tests.len());
}

struct StopAtFirstMetric(explr::runner::Stop);

impl Reporter for StopAtFirstMetric {
    fn event(&mut self, event: &RunEvent) {
        if matches!(event, RunEvent::Progress(_)) && !self.0.is_raised() {
            self.0.raise(StopReason::Program);
        }
    }
}
