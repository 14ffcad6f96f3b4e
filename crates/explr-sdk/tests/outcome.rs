//! However a train function ends, the worker gets one outcome that says why.

mod common;

use common::{MockHost, context};
use explr_protocol::{Event, FailureClass, LogLevel, Outcome, TrainError};
use explr_sdk::{Direction, TrainingResult};
use serde_json::json;
use std::sync::Mutex;

fn failure(outcome: Outcome) -> TrainError {
    match outcome {
        Outcome::Err(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_arrives_as_it_was_built() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = MockHost::default().run(&context(dir.path(), json!({ "lr": 0.5 })), |ctx| {
        Ok(TrainingResult::new(ctx.f64("lr")?)
            .named("val_accuracy")
            .maximize()
            .metric("val_loss", 0.25)
            .best_model("model.safetensors")
            .epochs(3))
    });
    let Outcome::Ok(result) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(result.primary_metric.to_string(), "0.5");
    assert_eq!(result.primary_metric_name, "val_accuracy");
    assert_eq!(result.direction, Direction::Maximize);
    assert_eq!(result.metrics["val_loss"].to_string(), "0.25");
    assert_eq!(result.epochs_completed, Some(3));
}

#[test]
fn a_plain_result_is_a_loss_to_minimise() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = MockHost::default().run(&context(dir.path(), json!({})), |_| {
        Ok(TrainingResult::new(1.0))
    });
    let Outcome::Ok(result) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(result.primary_metric_name, "val_loss");
    assert_eq!(result.direction, Direction::Minimize);
}

#[test]
fn an_error_arrives_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let error = failure(MockHost::default().run(
        &context(dir.path(), json!({ "epoch": 1 })),
        |ctx| {
            ctx.u64("epochs")?;
            unreachable!()
        },
    ));
    assert_eq!(error.class, FailureClass::Error);
    assert_eq!(
        error.message,
        "there is no hyperparameter `epochs`; did you mean `epoch`? (there are: epoch)"
    );
    let place = format!("{}:{}:", file!(), line!() - 9);
    assert!(error.location.unwrap().starts_with(&place));
}

#[test]
fn a_panic_arrives_with_its_message_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let error = failure(
        MockHost::default().run(&context(dir.path(), json!({})), |ctx| {
            panic!("epoch {} went wrong", ctx.attempt());
        }),
    );
    assert_eq!(error.class, FailureClass::Panic);
    assert_eq!(error.message, "epoch 1 went wrong");
    let place = format!("{}:{}:", file!(), line!() - 5);
    assert!(error.location.unwrap().starts_with(&place));
}

#[test]
fn a_panic_of_another_type_than_text_is_a_panic_too() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let error = failure(host.run(&context(dir.path(), json!({})), |_| {
        std::panic::panic_any(7)
    }));
    assert_eq!(error.class, FailureClass::Panic);
    let error = failure(host.run(&context(dir.path(), json!({})), |_| {
        std::panic::resume_unwind(Box::new(7))
    }));
    assert_eq!(
        error.message,
        "the train function panicked without a message"
    );
}

#[test]
fn a_panic_in_another_thread_is_told_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    host.run(&context(dir.path(), json!({})), |_| {
        let joined = std::thread::spawn(|| panic!("the loader broke")).join();
        assert!(joined.is_err());
        Ok(TrainingResult::new(0.0))
    });
    let told = host.events().into_iter().any(|event| {
        matches!(event, Event::Log { level: LogLevel::Error, message }
            if message.contains("the loader broke") && message.contains(file!()))
    });
    assert!(told, "{:?}", host.events());
}

#[test]
fn a_full_disk_stops_a_function_that_logs() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    host.full.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = failure(host.run(&context(dir.path(), json!({})), |ctx| {
        ctx.tracker().log_metric("loss", 1.0, 0)?;
        unreachable!()
    }));
    assert_eq!(error.message, "not logged: the disk is full");
}

#[test]
fn a_tracker_that_outlives_its_function_logs_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let kept = Mutex::new(None);
    host.run(&context(dir.path(), json!({})), |ctx| {
        *kept.lock().unwrap() = Some(ctx.tracker().clone());
        Ok(TrainingResult::new(0.0))
    });
    let tracker = kept.into_inner().unwrap().unwrap();
    let error = tracker.log_metric("loss", 1.0, 0).unwrap_err();
    assert!(error.to_string().contains("has returned"), "{error}");
    assert!(host.metrics().is_empty());
}

#[test]
fn a_context_that_can_not_be_read_is_the_plugins_failure() {
    use explr_protocol::TrainFunction;
    let host = MockHost::default();
    explr_sdk::Function::new("f", |_| unreachable!()).call(&host.table(), b"{}");
    let error = failure(host.outcomes.lock().unwrap().remove(0));
    assert_eq!(error.class, FailureClass::Plugin);
    assert!(error.message.contains("run_id"), "{}", error.message);
}
