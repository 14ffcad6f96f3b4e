use super::Gp;
use crate::random::generator;
use crate::sampler::Random;
use crate::{Finish, Sampler, SearchSpace, Study, StudyError};
use std::collections::BTreeSet;

fn study(space: SearchSpace, sampler: impl Sampler + 'static, seed: u64) -> Study {
    Study::builder("test")
        .space(space)
        .sampler(sampler)
        .seed(seed)
        .build()
        .unwrap()
}

fn best(study: &Study) -> f64 {
    study.history().best().unwrap().values[0]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Branin's function, whose least value is 0.397887.
fn branin(x: f64, y: f64) -> f64 {
    use std::f64::consts::PI;
    let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

fn plane() -> SearchSpace {
    SearchSpace::builder()
        .float("x", -5.0..=10.0)
        .float("y", 0.0..=15.0)
        .build()
        .unwrap()
}

#[test]
fn thirty_trials_solve_branin() {
    let found = |seed| {
        let mut study = study(plane(), Gp::new(seed), seed);
        study
            .optimize(30, |trial| Ok(branin(trial.f64("x")?, trial.f64("y")?)))
            .unwrap();
        best(&study)
    };
    let found: Vec<f64> = (0..3).map(found).collect();
    assert!(median(found.clone()) < 0.3979 + 0.05, "{found:?}");
}

#[test]
fn noise_is_no_obstacle() {
    let found = |seed| {
        let mut study = study(plane(), Gp::new(seed), seed);
        let mut noise = generator(seed, 0, "noise");
        study
            .optimize(30, |trial| {
                let noise = 5.0 * crate::sampler::normal::draw(&mut noise);
                Ok(branin(trial.f64("x")?, trial.f64("y")?) + noise)
            })
            .unwrap();
        let late = study.history().trials()[20..]
            .iter()
            .map(|trial| branin(trial.params["x"].internal, trial.params["y"].internal));
        late.sum::<f64>() / 10.0
    };
    let late: Vec<f64> = (0..3).map(found).collect();
    // The mean over the square is 54.
    assert!(median(late.clone()) < 15.0, "{late:?}");
}

fn tree() -> SearchSpace {
    SearchSpace::builder()
        .categorical("optimizer", ["sgd", "adam", "lion"])
        .log_float("lr", 1e-5..=1.0)
        .int("layers", 1..=8)
        .float("momentum", 0.0..=1.0)
        .when("optimizer", ["sgd"])
        .categorical("nesterov", [true, false])
        .when("optimizer", ["sgd"])
        .build()
        .unwrap()
}

fn tree_loss(trial: &crate::Live) -> Result<f64, StudyError> {
    let rate = (trial.f64("lr")?.log10() + 2.0) / 5.0;
    let layers = (trial.f64("layers")? - 6.0) / 7.0;
    Ok(rate * rate
        + layers * layers
        + match trial.str("optimizer")? {
            "sgd" if trial.param("nesterov") == Some(&true.into()) => {
                (trial.f64("momentum")? - 0.9).powi(2)
            }
            "sgd" => 0.2,
            _ => 0.1,
        })
}

#[test]
fn mixed_conditional_spaces_are_searched_far_better_than_at_random() {
    let run = |sampler: Box<dyn Fn(u64) -> Study>| -> f64 {
        let found = (0..3).map(|seed| {
            let mut study = sampler(seed);
            study.optimize(40, |trial| Ok(tree_loss(trial)?)).unwrap();
            best(&study)
        });
        median(found.collect())
    };
    let found = run(Box::new(|seed| study(tree(), Gp::new(seed), seed)));
    let random = run(Box::new(|seed| study(tree(), Random, seed)));
    assert!(found < 5e-3, "{found}");
    assert!(random > 1e-2, "{random}");
}

#[test]
fn parallel_trials_are_spread() {
    let mut study = study(plane(), Gp::new(3), 3);
    study
        .optimize(25, |trial| Ok(branin(trial.f64("x")?, trial.f64("y")?)))
        .unwrap();
    let points: Vec<(f64, f64)> = (0..4)
        .map(|_| {
            let asked = study.ask().unwrap().unwrap();
            let get = |name: &str| asked.params[name].as_f64().unwrap();
            (get("x"), get("y"))
        })
        .collect();
    for (index, a) in points.iter().enumerate() {
        for b in &points[..index] {
            assert!((a.0 - b.0).hypot(a.1 - b.1) > 0.05, "{points:?}");
        }
    }
}

#[test]
fn a_small_discrete_space_is_gone_through_without_repetition() {
    let space = SearchSpace::builder()
        .int("n", 1..=6)
        .categorical("kind", ["a", "b", "c"])
        .build()
        .unwrap();
    let mut study = study(space, Gp::new(0), 0);
    // Start-up trials may meet; from then on, each is new.
    let tried = |study: &Study| -> BTreeSet<String> {
        let trials = study.history().trials().iter();
        trials
            .map(|trial| format!("{:?} {:?}", trial.param("n"), trial.param("kind")))
            .collect()
    };
    let objective = |trial: &mut crate::Live| Ok(trial.f64("n")?);
    study.optimize(10, objective).unwrap();
    let left = 18 - tried(&study).len();
    study
        .optimize(u64::try_from(left).unwrap(), objective)
        .unwrap();
    assert_eq!(tried(&study).len(), 18);
    study.optimize(3, objective).unwrap();
}

#[test]
fn a_fresh_sampler_proposes_what_a_warm_one_does() {
    let mut study = study(tree(), Gp::new(4), 4);
    let _running = study.ask().unwrap().unwrap();
    for round in 0..20 {
        let asked = study.ask().unwrap().unwrap();
        let finish = match round % 5 {
            3 => Finish::Failed,
            4 => {
                study.report(asked.number, round, 0.5).unwrap();
                Finish::Pruned
            }
            _ => Finish::Complete(vec![asked.params["lr"].as_f64().unwrap()]),
        };
        study.tell(asked.number, finish).unwrap();
    }
    let number = study.history().trials().len() as u64;
    let fresh = Gp::new(4)
        .propose(
            study.history(),
            study.space(),
            number,
            &mut generator(4, number, "propose"),
        )
        .unwrap()
        .unwrap();
    let asked = study.ask().unwrap().unwrap();
    assert_eq!(asked.params["lr"].as_f64(), Some(fresh["lr"]));
    assert_eq!(asked.params["layers"].as_f64(), Some(fresh["layers"]));
}

#[test]
fn where_trials_fail_it_does_not_stay() {
    let mut study = study(plane(), Gp::new(1), 1);
    for _ in 0..40 {
        let asked = study.ask().unwrap().unwrap();
        let (x, y) = (&asked.params["x"], &asked.params["y"]);
        let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
        let finish = if x > 5.0 {
            Finish::Failed
        } else {
            Finish::Complete(vec![-x - 0.01 * y])
        };
        study.tell(asked.number, finish).unwrap();
    }
    let failed = |range: std::ops::Range<usize>| {
        let trials = study.history().trials()[range].iter();
        trials
            .filter(|trial| trial.params["x"].internal > 5.0)
            .count()
    };
    assert!(failed(10..40) < 22);
    assert!(best(&study) < -4.5);
}

#[test]
fn losses_without_a_difference_or_an_end_are_survived() {
    for value in [1.0, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let mut study = study(tree(), Gp::new(0), 0);
        study.optimize(14, |_| Ok(value)).unwrap();
        assert_eq!(study.history().trials().len(), 14);
    }
}

#[test]
fn nothing_to_search_for_is_a_trial_without_parameters() {
    let mut study = study(SearchSpace::default(), Gp::new(0), 0);
    study.optimize(12, |_| Ok(1.0)).unwrap();
    assert!(study.ask().unwrap().unwrap().params.is_empty());
}

#[test]
fn several_objectives_are_refused() {
    let mut study = Study::builder("two")
        .directions([crate::Direction::Minimize; 2])
        .sampler(Gp::new(0))
        .build()
        .unwrap();
    assert_eq!(
        study.ask().unwrap_err().to_string(),
        "the sampler `gp` takes one objective only; `tpe` takes several"
    );
}
