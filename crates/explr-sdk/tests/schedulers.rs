//! Schedules against the values of `torch.optim.lr_scheduler`, which
//! `reference/schedulers.py` wrote down.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::float_cmp, reason = "equal bits are meant")]

use explr_sdk::Direction;
use explr_sdk::scheduler::{
    Anneal, Chained, Constant, Cosine, CosineWarmRestarts, Exponential, Group, Lambda, Linear,
    MultiStep, OneCycle, PerGroup, Plateau, Polynomial, Schedule, Scheduler, Sequential, Step,
    Threshold,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Reference {
    steps: usize,
    base: Vec<f64>,
    metrics: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    scheduler: String,
    arguments: Value,
    adam: bool,
    rates: Vec<Vec<(f64, usize)>>,
    momenta: Vec<Vec<(f64, usize)>>,
}

impl Case {
    fn schedule(&self, base: &[f64]) -> Schedule {
        let groups = base
            .iter()
            .map(|lr| Group::new(*lr).momentum(0.9))
            .collect();
        Schedule::new(build(&self.scheduler, &self.arguments), groups).unwrap()
    }

    /// Goes to the next step, as PyTorch's side did.
    fn advance(&self, schedule: &mut Schedule, metric: f64) {
        schedule.step();
        if self.scheduler == "ReduceLROnPlateau" {
            schedule.observe(metric);
        }
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/schedulers.json")).unwrap()
}

/// Our scheduler with the arguments of PyTorch's.
fn build(name: &str, arguments: &Value) -> Box<dyn Scheduler> {
    let float = |key: &str| arguments[key].as_f64().unwrap();
    let steps = |key: &str| arguments[key].as_u64().unwrap();
    let numbers = |key: &str| serde_json::from_value(arguments[key].clone()).unwrap();
    let parts = || {
        let parts = arguments["schedulers"].as_array().unwrap();
        parts
            .iter()
            .map(|part| build(part[0].as_str().unwrap(), &part[1]))
    };
    match name {
        "StepLR" => Box::new(Step::new(steps("step_size"), float("gamma"))),
        "MultiStepLR" => {
            let milestones: Vec<u64> = numbers("milestones");
            Box::new(MultiStep::new(milestones, float("gamma")))
        }
        "ConstantLR" => Box::new(Constant::new(float("factor"), steps("total_iters"))),
        "LinearLR" => Box::new(Linear::new(
            float("start_factor"),
            float("end_factor"),
            steps("total_iters"),
        )),
        "ExponentialLR" => Box::new(Exponential::new(float("gamma"))),
        "PolynomialLR" => Box::new(Polynomial::new(steps("total_iters"), float("power"))),
        "CosineAnnealingLR" => Box::new(Cosine::new(steps("T_max")).min_lr(float("eta_min"))),
        "CosineAnnealingWarmRestarts" => Box::new(
            CosineWarmRestarts::new(steps("T_0"))
                .growth(steps("T_mult"))
                .min_lr(float("eta_min")),
        ),
        "OneCycleLR" => Box::new(one_cycle(arguments)),
        "ReduceLROnPlateau" => Box::new(plateau(arguments)),
        "LambdaLR" => Box::new(match arguments["lr_lambda"].as_str().unwrap() {
            "1 / (1 + step)" => Lambda::new(|step| 1.0 / (1.0 + step as f64)),
            "[0.99 ** step, cos(step / 10)]" => Lambda::per_group(|group, step| match group {
                0 => 0.99_f64.powf(step as f64),
                _ => (step as f64 / 10.0).cos(),
            }),
            other => panic!("no function for `{other}`"),
        }),
        "SequentialLR" => {
            let milestones: Vec<u64> = numbers("milestones");
            let mut parts = parts();
            let first = Sequential::new(parts.next().unwrap());
            Box::new(
                milestones
                    .into_iter()
                    .zip(parts)
                    .fold(first, |all, (from, part)| all.then(from, part)),
            )
        }
        "ChainedScheduler" => {
            let mut parts = parts();
            let first = Chained::new(parts.next().unwrap());
            Box::new(parts.fold(first, Chained::and))
        }
        other => panic!("no scheduler for `{other}`"),
    }
}

fn one_cycle(arguments: &Value) -> OneCycle {
    let steps = arguments["total_steps"].as_u64().unwrap();
    let divisor = float_or(arguments, "div_factor", 25.0);
    let mut cycle = OneCycle::new(per_group(arguments, "max_lr", 0.0), steps)
        .rise(float_or(arguments, "pct_start", 0.3))
        .momentum(
            per_group(arguments, "base_momentum", 0.85),
            per_group(arguments, "max_momentum", 0.95),
        )
        .divisors(divisor, float_or(arguments, "final_div_factor", 1e4));
    if arguments["anneal_strategy"] == "linear" {
        cycle = cycle.anneal(Anneal::Linear);
    }
    if arguments["cycle_momentum"] == false {
        cycle = cycle.keep_momentum();
    }
    if arguments["three_phase"] == true {
        cycle = cycle.three_phases();
    }
    cycle
}

fn plateau(arguments: &Value) -> Plateau {
    let direction = match arguments["mode"].as_str().unwrap() {
        "min" => Direction::Minimize,
        _ => Direction::Maximize,
    };
    let threshold = float_or(arguments, "threshold", 1e-4);
    let factor = arguments["factor"].as_f64().unwrap();
    Plateau::new(direction, factor, arguments["patience"].as_u64().unwrap())
        .threshold(match arguments["threshold_mode"].as_str() {
            Some("abs") => Threshold::Absolute(threshold),
            _ => Threshold::Relative(threshold),
        })
        .cooldown(arguments["cooldown"].as_u64().unwrap_or(0))
        .min_lr(per_group(arguments, "min_lr", 0.0))
        .eps(float_or(arguments, "eps", 1e-8))
}

fn float_or(arguments: &Value, key: &str, default: f64) -> f64 {
    arguments[key].as_f64().unwrap_or(default)
}

fn per_group(arguments: &Value, key: &str, default: f64) -> PerGroup {
    match &arguments[key] {
        Value::Null => default.into(),
        Value::Number(value) => value.as_f64().unwrap().into(),
        values => serde_json::from_value::<Vec<f64>>(values.clone())
            .unwrap()
            .into(),
    }
}

fn expand(runs: &[(f64, usize)]) -> Vec<f64> {
    runs.iter()
        .flat_map(|(value, count)| std::iter::repeat_n(*value, *count))
        .collect()
}

/// How far apart, as a part of the greater.
fn distance(a: f64, b: f64) -> f64 {
    if a == b {
        0.0
    } else {
        (a - b).abs() / a.abs().max(b.abs())
    }
}

#[test]
fn every_scheduler_gives_pytorchs_rates_and_momenta() {
    let reference = reference();
    let mut worst: f64 = 0.0;
    let mut compared = 0;
    for case in &reference.cases {
        let rates: Vec<_> = case.rates.iter().map(|runs| expand(runs)).collect();
        let momenta: Vec<_> = case.momenta.iter().map(|runs| expand(runs)).collect();
        let mut schedule = case.schedule(&reference.base);
        for step in 0..=reference.steps {
            for (index, group) in schedule.groups().iter().enumerate() {
                let place = || format!("{} {} step {step}", case.scheduler, case.arguments);
                for (ours, theirs) in [
                    (group.lr, rates[index][step]),
                    (group.momentum.unwrap(), momenta[index][step]),
                ] {
                    let distance = distance(ours, theirs);
                    // Where PyTorch's cosine should be 0 it keeps a rounding error.
                    let nothing = ours.abs() < 1e-16 && theirs.abs() < 1e-16;
                    assert!(
                        distance <= 1e-12 || nothing,
                        "{}: {ours} is not {theirs}",
                        place()
                    );
                    if !nothing {
                        worst = worst.max(distance);
                    }
                    compared += 1;
                }
            }
            if step < reference.steps {
                case.advance(&mut schedule, reference.metrics[step]);
            }
        }
        assert!(
            rates
                .iter()
                .all(|rates| rates.iter().any(|rate| *rate != rates[0]))
        );
    }
    println!(
        "{compared} values of {} cases, at most {worst:e} apart",
        reference.cases.len()
    );
    assert!(reference.cases.iter().any(|case| case.adam));
}

#[test]
fn a_schedule_goes_on_from_its_state_to_the_same_bits() {
    let reference = reference();
    for case in &reference.cases {
        for stop in [0, 1, 17, 60, 61, 140] {
            let mut whole = case.schedule(&reference.base);
            for step in 0..stop {
                case.advance(&mut whole, reference.metrics[step]);
            }
            let saved = serde_json::to_string(&whole.state()).unwrap();
            let mut resumed = case.schedule(&reference.base);
            resumed
                .restore(&serde_json::from_str(&saved).unwrap())
                .unwrap();
            for step in stop..reference.steps {
                case.advance(&mut whole, reference.metrics[step]);
                case.advance(&mut resumed, reference.metrics[step]);
                assert_eq!(whole.state(), resumed.state(), "{}", case.scheduler);
            }
        }
    }
}

fn refusal(scheduler: impl Scheduler + 'static) -> String {
    let groups = vec![Group::new(0.1), Group::new(0.2)];
    Schedule::new(scheduler, groups).unwrap_err().to_string()
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    assert_eq!(
        refusal(Step::new(0, 0.1)),
        "the schedule's step size is 0: it must be at least 1"
    );
    assert_eq!(
        refusal(Linear::new(0.0, 1.0, 5)),
        "the schedule's start factor is 0: it must be above 0 and at most 1"
    );
    assert_eq!(
        refusal(OneCycle::new([1.0, 2.0, 3.0], 10)),
        "the schedule has 3 values of highest rate, but there are 2 parameter groups: \
         give one value for all, or one for each"
    );
    assert_eq!(
        refusal(
            Sequential::new(Exponential::new(0.9))
                .then(5, Cosine::new(3))
                .then(5, Cosine::new(2))
        ),
        "the schedule's milestones 5 and 5 are not in order"
    );
    // Inside of others too.
    assert_eq!(
        refusal(Chained::new(Exponential::new(0.9)).and(Sequential::new(Cosine::new(0)))),
        "the schedule's number of steps is 0: it must be at least 1"
    );
    for scheduler in [
        Box::new(Exponential::new(f64::NAN)) as Box<dyn Scheduler>,
        Box::new(Exponential::new(-0.1)),
        Box::new(MultiStep::new([3], f64::INFINITY)),
        Box::new(Constant::new(1.5, 3)),
        Box::new(Constant::new(0.5, 0)),
        Box::new(Linear::new(0.5, 1.5, 3)),
        Box::new(Polynomial::new(0, 1.0)),
        Box::new(CosineWarmRestarts::new(0)),
        Box::new(CosineWarmRestarts::new(3).growth(0)),
        Box::new(OneCycle::new(0.1, 0)),
        Box::new(OneCycle::new(0.1, 10).rise(1.1)),
        Box::new(OneCycle::new(0.1, 10).three_phases().rise(0.6)),
        Box::new(OneCycle::new(0.1, 10).divisors(0.0, 1.0)),
        Box::new(OneCycle::new(f64::NAN, 10)),
        Box::new(OneCycle::new(0.1, 10).momentum(0.9, [0.9])),
        Box::new(Plateau::new(Direction::Minimize, 1.0, 3)),
        Box::new(Plateau::new(Direction::Minimize, 0.5, 3).min_lr([0.1])),
    ] {
        let name = format!("{scheduler:?}");
        assert!(refusal(scheduler).starts_with("the schedule"), "{name}");
    }
}

#[test]
fn a_state_of_another_schedule_is_refused_and_changes_nothing() {
    let both = || {
        let plateau = Plateau::new(Direction::Minimize, 0.5, 0);
        Chained::new(plateau.clone()).and(plateau)
    };
    let groups = || vec![Group::new(0.1)];
    let mut schedule = Schedule::new(both(), groups()).unwrap();
    schedule.step();
    schedule.observe(1.0);
    let before = schedule.state();

    let two = Schedule::new(both(), vec![Group::new(0.1), Group::new(0.1)]).unwrap();
    let error = schedule.restore(&two.state()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the state is of another schedule: it has 2 parameter groups, this one 1"
    );
    let half = Chained::new(Plateau::new(Direction::Minimize, 0.5, 0)).and(Cosine::new(3));
    let half = Schedule::new(half, groups()).unwrap();
    let error = schedule.restore(&half.state()).unwrap_err().to_string();
    assert!(error.contains("not one of a plateau"), "{error}");
    assert_eq!(schedule.state(), before);
    let plain = Schedule::new(Cosine::new(3), groups()).unwrap();
    assert!(schedule.restore(&plain.state()).is_err());
    assert_eq!(schedule.state(), before);
}

#[test]
fn a_plateau_may_follow_a_warm_up() {
    let scheduler = Sequential::new(Linear::new(0.5, 1.0, 2))
        .then(2, Plateau::new(Direction::Minimize, 0.1, 1));
    let mut schedule = Schedule::new(scheduler, vec![Group::new(1.0)]).unwrap();
    let mut rates = vec![];
    for loss in [9.0, 9.0, 1.0, 1.0, 1.0, 0.5] {
        schedule.observe(loss);
        rates.push(schedule.groups()[0].lr);
        schedule.step();
    }
    // The metrics of the warm-up count for nothing.
    assert_eq!(rates, [0.5, 0.75, 1.0, 1.0, 0.1, 0.1]);
}

#[test]
fn one_cycle_stays_at_its_end() {
    let mut schedule = Schedule::new(OneCycle::new(1.0, 10), vec![Group::new(0.5)]).unwrap();
    for _ in 0..9 {
        schedule.step();
    }
    let end = schedule.groups()[0];
    assert!(distance(end.lr, 1.0 / 25.0 / 1e4) < 1e-12);
    schedule.step();
    assert_eq!(schedule.step()[0], end);
    // There was none to change.
    assert_eq!(end.momentum, None);
}

#[test]
fn nothing_of_a_scheduler_takes_effect_before_its_turn() {
    let cycle = OneCycle::new(2.0, 10);
    let scheduler = Sequential::new(Linear::new(0.5, 1.0, 2)).then(3, cycle);
    let group = Group::new(1.0).momentum(0.9);
    let mut schedule = Schedule::new(scheduler, vec![group]).unwrap();
    for rate in [0.5, 0.75, 1.0] {
        let now = schedule.groups()[0];
        assert_eq!((now.lr, now.momentum), (rate, Some(0.9)));
        schedule.step();
    }
    let now = schedule.groups()[0];
    assert!(distance(now.lr, 2.0 / 25.0) < 1e-12);
    assert_eq!(now.momentum, Some(0.95));
}
