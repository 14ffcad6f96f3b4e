//! Our pruners decide as Optuna's do: `optuna/pruners.json` is a record of
//! what those decided, made by `optuna/pruners.py`.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_study::pruner::{
    Hyperband, HyperbandOptions, Median, Patient, PatientOptions, Percentile, PercentileOptions,
    SuccessiveHalving, SuccessiveHalvingOptions, Threshold, ThresholdOptions, Wilcoxon,
    WilcoxonOptions,
};
use explr_study::{Direction, Finish, Pruner, Study};
use serde_json::Value;

struct Boxed(Box<dyn Pruner>);

impl std::fmt::Debug for Boxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Pruner for Boxed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn prune(&self, history: &explr_study::History, trial: &explr_study::Trial) -> bool {
        self.0.prune(history, trial)
    }
}

fn rank(startup: u64, warmup: u64, interval: u64, min: u64) -> PercentileOptions {
    PercentileOptions {
        n_startup_trials: startup,
        n_warmup_steps: warmup,
        interval_steps: interval,
        n_min_trials: min,
    }
}

fn pruner(name: &str) -> Box<dyn Pruner> {
    let default = PercentileOptions::default();
    let threshold = ThresholdOptions::default();
    match name {
        "median" => Box::new(Median::new(default).unwrap()),
        "median, all options" => Box::new(Median::new(rank(3, 4, 3, 2)).unwrap()),
        "percentile 25" => Box::new(Percentile::new(25.0, default).unwrap()),
        "percentile 80" => Box::new(Percentile::new(80.0, rank(2, 5, 2, 1)).unwrap()),
        "successive halving" => Box::new(
            SuccessiveHalving::new(SuccessiveHalvingOptions {
                min_resource: Some(1),
                ..SuccessiveHalvingOptions::default()
            })
            .unwrap(),
        ),
        "successive halving, all options" => Box::new(
            SuccessiveHalving::new(SuccessiveHalvingOptions {
                min_resource: Some(2),
                reduction_factor: 3,
                min_early_stopping_rate: 1,
            })
            .unwrap(),
        ),
        "hyperband" => Box::new(
            Hyperband::new(HyperbandOptions {
                max_resource: Some(30),
                ..HyperbandOptions::default()
            })
            .unwrap(),
        ),
        "hyperband, all options" => Box::new(
            Hyperband::new(HyperbandOptions {
                min_resource: 2,
                reduction_factor: 2,
                max_resource: Some(30),
            })
            .unwrap(),
        ),
        "threshold" => Box::new(
            Threshold::new(ThresholdOptions {
                lower: Some(0.1),
                upper: Some(1.5),
                ..threshold
            })
            .unwrap(),
        ),
        "threshold, all options" => Box::new(
            Threshold::new(ThresholdOptions {
                lower: None,
                upper: Some(1.2),
                n_warmup_steps: 3,
                interval_steps: 4,
            })
            .unwrap(),
        ),
        "patient" => Box::new(
            Patient::new(
                None,
                PatientOptions {
                    patience: 3,
                    min_delta: 0.01,
                },
            )
            .unwrap(),
        ),
        "patient median" => {
            let median = Median::new(rank(2, 0, 1, 1)).unwrap();
            Box::new(Patient::new(Some(Box::new(median)), PatientOptions::default()).unwrap())
        }
        "wilcoxon" => Box::new(Wilcoxon::new(WilcoxonOptions::default()).unwrap()),
        "wilcoxon, all options" => Box::new(
            Wilcoxon::new(WilcoxonOptions {
                p_threshold: 0.3,
                n_startup_steps: 6,
            })
            .unwrap(),
        ),
        other => panic!("no pruner for {other}"),
    }
}

/// Replays a recorded study, and gives the number of pruned trials.
fn replay(record: &Value) -> usize {
    let name = record["name"].as_str().unwrap();
    let direction = match record["direction"].as_str().unwrap() {
        "maximize" => Direction::Maximize,
        _ => Direction::Minimize,
    };
    let mut study = Study::builder(name)
        .directions([direction])
        .pruner(Boxed(pruner(name)))
        .build()
        .unwrap();
    let mut pruned = 0;
    for event in record["events"].as_array().unwrap() {
        match event.as_array().unwrap().as_slice() {
            [] => {
                study.ask().unwrap().unwrap();
            }
            [number, step, value, decision] => {
                let number = number.as_u64().unwrap();
                let step = step.as_i64().unwrap();
                let value = value.as_f64().unwrap_or(f64::NAN);
                let prune = study.report(number, step, value).unwrap();
                assert_eq!(
                    i64::from(prune),
                    decision.as_i64().unwrap(),
                    "{name}, {direction:?}: trial {number} at step {step}"
                );
                if prune {
                    study.tell(number, Finish::Pruned).unwrap();
                    pruned += 1;
                }
            }
            [number, value] => {
                let finish = Finish::Complete(vec![value.as_f64().unwrap()]);
                study.tell(number.as_u64().unwrap(), finish).unwrap();
            }
            other => panic!("no such event: {other:?}"),
        }
    }
    pruned
}

/// Trial 0 of 300 steps is complete, then two worse ones run.
fn after_a_whole_trial(pruner: Box<dyn Pruner>) -> Vec<i64> {
    let mut study = Study::builder("s").pruner(Boxed(pruner)).build().unwrap();
    study
        .optimize(1, |trial| {
            for step in 0..300 {
                assert!(!trial.report(step, 0.0)?, "pruned at step {step}");
            }
            Ok(0.0)
        })
        .unwrap();
    let mut ends = Vec::new();
    study
        .optimize(4, |trial| {
            let end = (0..300).find(|step| trial.report(*step, 1.0).unwrap());
            ends.extend(end);
            Ok(1.0)
        })
        .unwrap();
    ends
}

#[test]
fn the_first_complete_trial_says_what_a_whole_trial_takes() {
    let halving = SuccessiveHalving::new(SuccessiveHalvingOptions::default()).unwrap();
    assert_eq!(after_a_whole_trial(Box::new(halving)), [2; 4]);
    let hyperband = Hyperband::new(HyperbandOptions::default()).unwrap();
    let ends = after_a_whole_trial(Box::new(hyperband));
    assert!(
        ends.iter().all(|end| [1, 3, 9, 27, 81, 243].contains(end)),
        "{ends:?}"
    );
}

#[test]
fn every_decision_is_the_one_optuna_takes() {
    let records: Vec<Value> = serde_json::from_str(include_str!("optuna/pruners.json")).unwrap();
    assert_eq!(records.len(), 28);
    for record in &records {
        let pruned = replay(record);
        assert!(
            (1..30).contains(&pruned),
            "{}: {pruned} pruned trials decide nothing",
            record["name"]
        );
    }
}
