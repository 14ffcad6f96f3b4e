use super::CmaEs;
use crate::random::generator;
use crate::sampler::Random;
use crate::{Finish, Rng, Sampler, SearchSpace, Study, StudyError};
use rand::RngExt;

/// Best of `trials` values of a function of numbers `x0`, `x1`, ..
fn best(
    sampler: impl Sampler + 'static,
    space: &SearchSpace,
    seed: u64,
    trials: u64,
    objective: impl Fn(&[f64]) -> f64,
) -> f64 {
    let mut study = Study::builder("test")
        .space(space.clone())
        .sampler(sampler)
        .seed(seed)
        .build()
        .unwrap();
    study
        .optimize(trials, |trial| {
            let x: Vec<f64> = (0..space.parameters().len())
                .map(|index| trial.f64(&format!("x{index}")).unwrap())
                .collect();
            Ok(objective(&x))
        })
        .unwrap();
    study.history().best().unwrap().values[0]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cube(dimensions: usize) -> SearchSpace {
    let mut space = SearchSpace::builder();
    for index in 0..dimensions {
        space = space.float(&format!("x{index}"), -5.0..=5.0);
    }
    space.build().unwrap()
}

/// An ellipsoid with axes of 1 to 1000, turned and moved by the seed.
fn ellipsoid(seed: u64, x: &[f64]) -> f64 {
    let mut rng: Rng = generator(seed, 0, "ellipsoid");
    let optimum: Vec<f64> = x.iter().map(|_| rng.random_range(-4.0..4.0)).collect();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for _ in x {
        let mut vector: Vec<f64> = x.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        for other in &basis {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            for (entry, other) in vector.iter_mut().zip(other) {
                *entry -= along * other;
            }
        }
        let length = vector.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        basis.push(vector.iter().map(|entry| entry / length).collect());
    }
    basis
        .iter()
        .enumerate()
        .map(|(index, axis)| {
            let along: f64 = (0..x.len()).map(|i| axis[i] * (x[i] - optimum[i])).sum();
            1000f64.powf(index as f64 / (x.len() - 1) as f64) * along * along
        })
        .sum()
}

#[test]
fn a_turned_ellipsoid_is_solved_which_random_search_does_not() {
    let space = cube(5);
    for seed in 0..5 {
        let found = best(CmaEs::new(seed), &space, seed, 1000, |x| ellipsoid(seed, x));
        let random = best(Random, &space, seed, 1000, |x| ellipsoid(seed, x));
        assert!(found < 1e-4, "seed {seed}: {found}");
        assert!(random > 1.0, "seed {seed}: {random}");
    }
}

#[test]
fn whole_numbers_beside_real_ones_are_solved() {
    let mut space = SearchSpace::builder();
    for index in 0..3 {
        space = space.int(&format!("x{index}"), -10..=10);
    }
    let space = space
        .float("x3", -10.0..=10.0)
        .float("x4", -10.0..=10.0)
        .build()
        .unwrap();
    let optimum = [7.0, -9.0, 2.0, 3.3, -6.1];
    let objective = |x: &[f64]| -> f64 {
        x.iter()
            .zip(optimum)
            .enumerate()
            .map(|(index, (x, optimum))| {
                f64::from(u8::try_from(index + 1).unwrap()) * (x - optimum).powi(2)
            })
            .sum()
    };
    let found = median(
        (0..9)
            .map(|seed| best(CmaEs::new(seed), &space, seed, 600, objective))
            .collect(),
    );
    assert!(found < 1e-3, "{found}");
}

#[test]
fn a_restart_finds_what_the_first_attempt_missed() {
    // Rastrigin's function, in which every whole number is a trap.
    let objective = |x: &[f64]| -> f64 {
        x.iter()
            .map(|x| {
                let x = x - 1.3;
                x * x + 10.0 * (1.0 - (2.0 * std::f64::consts::PI * x).cos())
            })
            .sum()
    };
    let values: Vec<f64> = (0..5)
        .map(|seed| best(CmaEs::new(seed), &cube(2), seed, 2000, objective))
        .collect();
    assert!(median(values.clone()) < 0.1, "{values:?}");
}

fn mixed() -> SearchSpace {
    SearchSpace::builder()
        .categorical("kind", ["a", "b"])
        .float("x", 0.0..=1.0)
        .log_int("n", 1..=64)
        .float("extra", 0.0..=1.0)
        .when("kind", ["b"])
        .int("one", 3..=3)
        .build()
        .unwrap()
}

/// Two workers, one of which is slow, and failed and pruned trials.
fn worked(seed: u64) -> Study {
    let mut study = Study::builder("mixed")
        .space(mixed())
        .sampler(CmaEs::new(seed))
        .seed(seed)
        .build()
        .unwrap();
    let mut slow = study.ask().unwrap().unwrap();
    for round in 0..60 {
        let asked = study.ask().unwrap().unwrap();
        let x = asked.params["x"].as_f64().unwrap();
        let finish = match round % 5 {
            3 => Finish::Failed,
            4 => {
                study.report(asked.number, round, x).unwrap();
                Finish::Pruned
            }
            _ => Finish::Complete(vec![(x - 0.8).abs()]),
        };
        study.tell(asked.number, finish).unwrap();
        if round % 7 == 0 {
            study.tell(slow.number, Finish::Complete(vec![x])).unwrap();
            slow = study.ask().unwrap().unwrap();
        }
    }
    study
}

#[test]
fn a_fresh_sampler_proposes_what_a_warm_one_does() {
    let mut study = worked(4);
    let number = study.history().trials().len() as u64;
    let mut rng = generator(4, number, "propose");
    let fresh = CmaEs::new(4)
        .propose(study.history(), study.space(), number, &mut rng)
        .unwrap()
        .unwrap();
    let asked = study.ask().unwrap().unwrap();
    assert_eq!(asked.params["x"].as_f64(), Some(fresh["x"]));
    assert_eq!(asked.params["n"].as_f64(), Some(fresh["n"]));
    assert!(!fresh.contains_key("kind") && !fresh.contains_key("extra"));
}

#[test]
fn the_search_gets_near_in_spite_of_failed_and_pruned_trials() {
    let best = |seed| worked(seed).history().best().unwrap().values[0];
    assert!(median((0..5).map(best).collect()) < 0.01);
}

#[test]
fn trials_that_all_fail_do_not_end_the_search() {
    let mut study = Study::builder("failing")
        .space(mixed())
        .sampler(CmaEs::new(0))
        .build()
        .unwrap();
    for _ in 0..500 {
        let asked = study.ask().unwrap().unwrap();
        study.tell(asked.number, Finish::Failed).unwrap();
    }
}

#[test]
fn spaces_without_numbers_are_drawn_at_random() {
    let space = SearchSpace::builder()
        .categorical("kind", ["a", "b"])
        .build()
        .unwrap();
    for space in [space, SearchSpace::default()] {
        let mut study = Study::builder("no numbers")
            .space(space.clone())
            .sampler(CmaEs::new(0))
            .build()
            .unwrap();
        let asked = study.ask().unwrap().unwrap();
        assert_eq!(asked.params.len(), space.parameters().len());
    }
}

#[test]
fn several_objectives_are_refused() {
    let mut study = Study::builder("two")
        .directions([crate::Direction::Minimize; 2])
        .sampler(CmaEs::new(0))
        .build()
        .unwrap();
    let error = study.ask().unwrap_err();
    assert!(matches!(error, StudyError::Sampler { .. }));
    assert_eq!(
        error.to_string(),
        "the sampler `cmaes` takes one objective only; `tpe` takes several"
    );
}
