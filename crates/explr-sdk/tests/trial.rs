//! A train function asks its study, and a single run needs none.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{MockHost, context};
use explr_protocol::{
    Answer, Ask, Distribution, Event, FailureClass, Outcome, RunContext, TrialRef,
};
use explr_sdk::{Pruned, ReportError, Result, TrainingContext, TrainingResult};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::Ordering;

fn single(dir: &Path, hyperparameters: Value) -> RunContext {
    context(dir, hyperparameters)
}

fn trial(dir: &Path, hyperparameters: Value) -> RunContext {
    let mut run = context(dir, hyperparameters);
    run.trial = Some(TrialRef {
        study: "search".into(),
        id: 17,
        number: 4,
    });
    run
}

fn answering(answers: impl IntoIterator<Item = Answer>) -> MockHost {
    let host = MockHost::default();
    host.answers.lock().unwrap().extend(answers);
    host
}

fn error(outcome: Outcome) -> String {
    match outcome {
        Outcome::Err(error) => {
            assert_eq!(error.class, FailureClass::Error);
            error.message
        }
        other => panic!("{other:?}"),
    }
}

fn value(outcome: Outcome) -> f64 {
    match outcome {
        Outcome::Ok(result) => result.primary_metric,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_mark_ends_a_pruned_trial() {
    let dir = tempfile::tempdir().unwrap();
    let host = answering([Answer::Continue, Answer::Prune]);
    let outcome = host.run(&trial(dir.path(), json!({})), |ctx| {
        for epoch in 0..10_u32 {
            ctx.report(epoch, f64::from(epoch) / 2.0)?;
        }
        unreachable!()
    });
    let pruned = Outcome::Pruned {
        step: 1,
        value: 0.5,
    };
    assert_eq!(outcome, pruned);
    assert_eq!(host.questions.lock().unwrap().len(), 2);
    let reported = host.events();
    assert!(
        matches!(
            reported[..],
            [Event::Report { step: 0, .. }, Event::Report { step: 1, .. }]
        ),
        "{reported:?}"
    );
}

#[test]
fn a_pruned_trial_is_found_however_it_was_wrapped() {
    type Train = fn(&mut TrainingContext) -> Result<TrainingResult>;
    let wrappings: [Train; 5] = [
        |ctx| Err(ctx.report(0, 1.0).unwrap_err().into()),
        |ctx| {
            let error = anyhow::Error::from(ctx.report(0, 1.0).unwrap_err());
            Err(error.context("epoch 0").context("training").into())
        },
        |ctx| Err(anyhow::Error::from(ctx.report(0, 1.0).unwrap_err()).into()),
        |ctx| Err(std::io::Error::other(ctx.report(0, 1.0).unwrap_err()).into()),
        |ctx| {
            let epoch = || -> Result<()> { Ok(ctx.report(0, 1.0)?) };
            let error = epoch().unwrap_err();
            assert!(error.is_pruned());
            Err(error.into_boxed().into())
        },
    ];
    for (number, train) in wrappings.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let outcome = answering([Answer::Prune]).run(&trial(dir.path(), json!({})), train);
        let pruned = Outcome::Pruned {
            step: 0,
            value: 1.0,
        };
        assert_eq!(outcome, pruned, "wrapping {number}");
    }
}

#[test]
fn a_function_may_return_a_result_although_it_was_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = answering([Answer::Prune]).run(&trial(dir.path(), json!({})), |ctx| {
        match ctx.report(3, 0.25) {
            Err(ReportError::Pruned(Pruned { step: 3, value })) => Ok(TrainingResult::new(value)),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(value(outcome).to_string(), "0.25");
}

#[test]
fn a_single_run_reports_to_its_journal_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let outcome = host.run(&single(dir.path(), json!({})), |ctx| {
        ctx.report(0, 0.5)?;
        Ok(TrainingResult::new(0.5))
    });
    value(outcome);
    assert!(host.questions.lock().unwrap().is_empty());
    assert!(matches!(host.events()[..], [Event::Report { step: 0, .. }]));
}

#[test]
fn a_study_that_refuses_an_answer_fails_the_trial_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = Answer::Refused {
        message: "there is no trial 4".into(),
    };
    let message = error(
        answering([refusal]).run(&trial(dir.path(), json!({})), |ctx| {
            ctx.report(0, 0.5)?;
            unreachable!()
        }),
    );
    assert!(message.contains("there is no trial 4"), "{message}");
}

#[test]
fn the_study_chooses_what_a_trial_suggests() {
    let dir = tempfile::tempdir().unwrap();
    let chosen = [json!(0.01), json!(3), json!("adam")];
    let host = answering(chosen.clone().map(Answer::Value));
    let outcome = host.run(&trial(dir.path(), json!({})), |ctx| {
        let lr = ctx
            .suggest_float("lr", 1e-5..=1e-1)
            .log()
            .or(1e-3)
            .value()?;
        let layers = ctx.suggest_int("layers", 1..=9).step(2).value()?;
        let optimizer = ctx
            .suggest_categorical("optimizer", ["sgd", "adam"])
            .value()?;
        assert_eq!((layers, optimizer), (3, "adam"));
        Ok(TrainingResult::new(lr))
    });
    assert_eq!(value(outcome).to_string(), "0.01");
    let asked: Vec<Ask> = host.questions.lock().unwrap().clone();
    assert_eq!(
        asked[1],
        Ask::Suggest {
            name: "layers".into(),
            distribution: Distribution::Int {
                low: 1,
                high: 9,
                log: false,
                step: 2
            },
        }
    );
    let logged: Vec<Value> = host
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Param { value, .. } => value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(logged, chosen);
}

#[test]
fn a_value_that_the_range_does_not_allow_is_an_error() {
    type Train = fn(&mut TrainingContext) -> Result<TrainingResult>;
    let wrong: [(Value, Train, &str); 5] = [
        (
            json!(0.5),
            |ctx| {
                Ok(TrainingResult::new(
                    ctx.suggest_float("x", 0.0..=0.4).value()?,
                ))
            },
            "the parameter `x` must be from 0 to 0.4, and 0.5 is not",
        ),
        (
            json!(0.25),
            |ctx| {
                Ok(TrainingResult::new(
                    ctx.suggest_float("x", 0.0..=0.4).step(0.1).value()?,
                ))
            },
            "the parameter `x` must be from 0 to 0.4 in steps of 0.1, and 0.25 is not",
        ),
        (
            json!(4),
            |ctx| {
                Ok(TrainingResult::new(
                    ctx.suggest_int("x", 1..=9).step(2).value()? as f64,
                ))
            },
            "the parameter `x` must be a whole number from 1 to 9 in steps of 2, and 4 is not",
        ),
        (
            json!("one"),
            |ctx| {
                Ok(TrainingResult::new(
                    ctx.suggest_int("x", 1..=9).value()? as f64
                ))
            },
            "the parameter `x` must be a whole number from 1 to 9, and \"one\" is not",
        ),
        (
            json!("adan"),
            |ctx| {
                ctx.suggest_categorical("x", ["sgd", "adam"]).value()?;
                unreachable!()
            },
            "the parameter `x` must be one of [\"sgd\",\"adam\"], and \"adan\" is not",
        ),
    ];
    for (given, train, message) in wrong {
        let dir = tempfile::tempdir().unwrap();
        let run = single(dir.path(), json!({ "x": given }));
        assert_eq!(error(MockHost::default().run(&run, train)), message);
        let host = answering([Answer::Value(given)]);
        let run = trial(dir.path(), json!({}));
        assert_eq!(error(host.run(&run, train)), message);
        assert!(host.events().is_empty());
    }
}

#[test]
fn a_hyperparameter_that_was_given_is_not_searched_for() {
    let dir = tempfile::tempdir().unwrap();
    for run in [
        single(dir.path(), json!({ "opt": { "lr": 0.3 } })),
        trial(dir.path(), json!({ "opt": { "lr": 0.3 } })),
    ] {
        let host = MockHost::default();
        let outcome = host.run(&run, |ctx| {
            let lr = ctx
                .suggest_float("opt.lr", 0.0..=0.4)
                .step(0.1)
                .or(0.1)
                .value()?;
            Ok(TrainingResult::new(lr))
        });
        assert_eq!(value(outcome).to_string(), "0.3");
        assert!(host.questions.lock().unwrap().is_empty());
        // The hyperparameters are in the journal already.
        assert!(host.events().is_empty());
    }
}

#[test]
fn a_single_run_takes_the_default_or_says_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let outcome = host.run(&single(dir.path(), json!({})), |ctx| {
        Ok(TrainingResult::new(
            ctx.suggest_float("lr", 0.0..=1.0).or(0.5).value()?,
        ))
    });
    assert_eq!(value(outcome).to_string(), "0.5");
    assert!(matches!(&host.events()[..], [Event::Param { key, .. }] if key == "lr"));
    let message = error(
        MockHost::default().run(&single(dir.path(), json!({})), |ctx| {
            ctx.suggest_float("lr", 0.0..=1.0).value()?;
            unreachable!()
        }),
    );
    assert_eq!(
        message,
        "the parameter `lr` has no value: give `hyperparameters.lr=...`, or search for it with `explr tune`"
    );
}

#[test]
fn epochs_end_when_the_run_should_stop() {
    let dir = tempfile::tempdir().unwrap();
    let host = MockHost::default();
    let outcome = host.run(&single(dir.path(), json!({})), |ctx| {
        let mut done = 2;
        for epoch in ctx.epochs(done..10) {
            assert_eq!(epoch, done);
            done += 1;
            if done == 5 {
                host.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(TrainingResult::new(done as f64))
    });
    assert_eq!(value(outcome).to_string(), "5");
    assert_eq!(host.progress.lock().unwrap().len(), 3);
}

#[test]
fn a_time_budget_that_is_used_up_leaves_no_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = single(dir.path(), json!({}));
    for (budget, epochs) in [(Some(0.0), 0), (Some(3600.0), 4), (None, 4)] {
        run.time_budget = budget;
        let outcome = MockHost::default().run(&run, |ctx| {
            assert_eq!(ctx.time_left().is_some(), budget.is_some());
            Ok(TrainingResult::new(ctx.epochs(0..4).count() as f64))
        });
        assert_eq!(value(outcome).to_string(), epochs.to_string());
    }
}
