//! Importances against Optuna's, and against what is known.
//! `optuna/importances.json` was made by `optuna/importances.py`.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_study::analysis::{Importance, importances};
use explr_study::sampler::Random;
use explr_study::{Finish, SearchSpace, SpaceBuilder, Study};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How far a share may be from Optuna's.
const TOLERANCE: f64 = 0.05;

fn space(name: &str) -> SearchSpace {
    let builder = SearchSpace::builder();
    match name {
        "weighted sum" => ["a", "b", "c"]
            .into_iter()
            .fold(builder, |builder, name| builder.float(name, -5.0..=5.0)),
        "product" => ["x", "y", "z"]
            .into_iter()
            .fold(builder, |builder, name| builder.float(name, 0.0..=1.0)),
        _ => builder.float("x", -5.0..=10.0).float("y", 0.0..=15.0),
    }
    .build()
    .unwrap()
}

fn shares(study: &Study) -> BTreeMap<String, f64> {
    importances(study.history(), 0)
        .into_iter()
        .map(|Importance { name, share }| (name, share))
        .collect()
}

/// A study of random trials.
fn searched(space: SpaceBuilder, objective: fn(&Study, u64) -> f64) -> Study {
    let mut study = Study::builder("s")
        .sampler(Random)
        .space(space.build().unwrap())
        .build()
        .unwrap();
    for _ in 0..200 {
        let number = study.ask().unwrap().unwrap().number;
        let value = objective(&study, number);
        study.tell(number, Finish::Complete(vec![value])).unwrap();
    }
    study
}

fn param(study: &Study, number: u64, name: &str) -> Option<f64> {
    let trial = study.history().trial(number).unwrap();
    trial.params.get(name).map(|assigned| assigned.internal)
}

#[test]
fn shares_are_close_to_those_of_optuna() {
    let records: Vec<Value> =
        serde_json::from_str(include_str!("optuna/importances.json")).unwrap();
    for record in &records {
        let name = record["name"].as_str().unwrap();
        let mut study = Study::builder(name)
            .sampler(Random)
            .space(space(name))
            .build()
            .unwrap();
        for trial in record["trials"].as_array().unwrap() {
            let params: Map<String, Value> = trial[0].as_object().unwrap().clone();
            study.enqueue(params).unwrap();
            let number = study.ask().unwrap().unwrap().number;
            let value = trial[1].as_f64().unwrap();
            study.tell(number, Finish::Complete(vec![value])).unwrap();
        }
        let ours = shares(&study);
        let theirs: BTreeMap<String, f64> =
            serde_json::from_value(record["shares"].clone()).unwrap();
        let close = theirs
            .iter()
            .all(|(name, share)| (ours[name] - share).abs() <= TOLERANCE);
        assert!(close, "{name}: {ours:?}, and Optuna {theirs:?}");
    }
}

#[test]
fn a_logarithmic_parameter_counts_in_its_logarithm() {
    let space = SearchSpace::builder()
        .log_float("rate", 1e-6..=1.0)
        .float("other", 0.0..=1.0);
    // Both span the same range of the objective, evenly.
    let study = searched(space, |study, number| {
        let rate = param(study, number, "rate").unwrap_or(f64::NAN);
        let other = param(study, number, "other").unwrap_or(f64::NAN);
        rate.log10() / 6.0 + other
    });
    let shares = shares(&study);
    assert!((shares["rate"] - 0.5).abs() < 0.1, "{shares:?}");
}

#[test]
fn integers_and_categories_weigh_their_share_of_the_variance() {
    let space = SearchSpace::builder()
        .int("layers", 1..=5)
        .categorical("kind", ["a", "b", "c", "d"])
        .float("rate", 0.0..=1.0)
        .float("idle", 0.0..=1.0);
    let study = searched(space, |study, number| {
        let value = |name| param(study, number, name).unwrap_or(f64::NAN);
        // 0, 4, 1, 5: no order.
        let kind = (4.0 * value("kind")).rem_euclid(7.0);
        (value("layers") - 3.0).powi(2) + kind + value("rate")
    });
    // Variances: 2.8; of 0, 4, 1, 5; 1/12; 0.
    let kind = 4.25;
    let all = 2.8 + kind + 1.0 / 12.0;
    let shares = shares(&study);
    assert!((shares["layers"] - 2.8 / all).abs() < 0.08, "{shares:?}");
    assert!((shares["kind"] - kind / all).abs() < 0.08, "{shares:?}");
    assert!(shares["idle"] < 0.02, "{shares:?}");
}

#[test]
fn a_conditional_parameter_weighs_what_its_trials_vary() {
    let space = SearchSpace::builder()
        .categorical("kind", ["plain", "rich"])
        .float("detail", 0.0..=1.0)
        .when("kind", ["rich"]);
    // The choice moves the mean by 2 (variance 1); the detail has a variance
    // of 3 in its half of the trials.
    let study = searched(space, |study, number| {
        let kind = param(study, number, "kind").unwrap_or(f64::NAN);
        let detail = param(study, number, "detail").map_or(0.0, |detail| 6.0 * (detail - 0.5));
        2.0 * kind + detail
    });
    let shares = shares(&study);
    assert!((shares["kind"] - 0.4).abs() < 0.12, "{shares:?}");
    assert!((shares["detail"] - 0.6).abs() < 0.12, "{shares:?}");
}

#[test]
fn nothing_to_explain_has_no_importances() {
    let space = || SearchSpace::builder().float("x", 0.0..=1.0);
    let constant = searched(space(), |_, _| 0.1);
    assert_eq!(importances(constant.history(), 0), []);
    let empty = Study::builder("s")
        .sampler(Random)
        .space(space().build().unwrap())
        .build()
        .unwrap();
    assert_eq!(importances(empty.history(), 0), []);
}

#[test]
fn the_same_history_gives_the_same_shares() {
    let study = || {
        let space = SearchSpace::builder()
            .float("x", 0.0..=1.0)
            .float("y", 0.0..=1.0);
        searched(space, |study, number| {
            param(study, number, "x").unwrap_or(f64::NAN)
        })
    };
    assert_eq!(
        importances(study().history(), 0),
        importances(study().history(), 0)
    );
}
