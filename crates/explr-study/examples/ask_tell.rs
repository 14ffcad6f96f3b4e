//! A study that other programs drive: JSON lines in, JSON lines out.
//!
//! The first line says what the study is:
//! `{"sampler": "tpe", "seed": 1, "space": [{"name": "x", "type": "float", "low": 0, "high": 1}]}`.
//! A parameter may have `log`, `step` and `when: [parent, [values]]`, and with
//! `"halving": 3` trials are pruned by successive halving by that factor. After
//! it, each line is `{"ask": null}`, `{"tell": {"number": 0, "value": 1.5}}`,
//! whose value is null for a pruned trial, or
//! `{"report": {"number": 0, "step": 1, "value": 2.5}}`. `benches/search` uses
//! it to run one definition of an objective with several programs.

use explr_study::pruner::{SuccessiveHalving, SuccessiveHalvingOptions};
use explr_study::sampler::{CmaEs, Gp, Qmc, Random, Univariate};
use explr_study::{
    Categories, Condition, Distribution, Domain, Finish, FloatRange, IntRange, Parameter,
    SearchSpace, Study,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};

#[derive(Deserialize)]
struct Opening {
    sampler: String,
    seed: u64,
    space: Vec<Spec>,
    halving: Option<u64>,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
    when: Option<(String, Vec<Value>)>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Kind {
    Float {
        low: f64,
        high: f64,
        #[serde(default)]
        log: bool,
        step: Option<f64>,
    },
    Int {
        low: i64,
        high: i64,
        #[serde(default)]
        log: bool,
        step: Option<i64>,
    },
    Categorical {
        choices: Vec<Value>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Ask,
    Tell { number: u64, value: Option<f64> },
    Report { number: u64, step: i64, value: f64 },
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = stdin().lock().lines();
    let Some(opening) = lines.next() else {
        return Ok(());
    };
    let mut study = open(serde_json::from_str(&opening?)?)?;
    answer(&json!({}))?;
    for line in lines {
        let reply = match serde_json::from_str(&line?)? {
            Message::Ask => match study.ask()? {
                Some(asked) => json!({"number": asked.number, "params": asked.params}),
                None => Value::Null,
            },
            Message::Tell { number, value } => {
                let finish = value.map_or(Finish::Pruned, |value| Finish::Complete(vec![value]));
                study.tell(number, finish)?;
                json!({})
            }
            Message::Report {
                number,
                step,
                value,
            } => json!({"prune": study.report(number, step, value)?}),
        };
        answer(&reply)?;
    }
    Ok(())
}

fn answer(reply: &Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{reply}")?;
    out.flush()
}

fn open(opening: Opening) -> Result<Study, Box<dyn Error>> {
    let parameters: Result<Vec<Parameter>, _> = opening.space.into_iter().map(parameter).collect();
    let study = Study::builder("ask_tell")
        .space(SearchSpace::new(parameters?)?)
        .seed(opening.seed);
    let study = match opening.sampler.as_str() {
        "tpe" => study,
        "univariate" => study.sampler(Univariate::new(10)),
        "random" => study.sampler(Random),
        "qmc" => study.sampler(Qmc::new(opening.seed)),
        "cmaes" => study.sampler(CmaEs::new(opening.seed)),
        "gp" => study.sampler(Gp::new(opening.seed)),
        other => return Err(format!("there is no sampler `{other}`").into()),
    };
    let study = match opening.halving {
        Some(reduction_factor) => study.pruner(SuccessiveHalving::new(SuccessiveHalvingOptions {
            min_resource: Some(1),
            reduction_factor,
            ..SuccessiveHalvingOptions::default()
        })?),
        None => study,
    };
    Ok(study.build()?)
}

fn parameter(spec: Spec) -> Result<Parameter, Box<dyn Error>> {
    let distribution = match spec.kind {
        Kind::Float {
            low,
            high,
            log,
            step,
        } => Distribution::Float(FloatRange::new(low, high, log, step)?),
        Kind::Int {
            low,
            high,
            log,
            step,
        } => Distribution::Int(IntRange::new(low, high, log, step.unwrap_or(1))?),
        Kind::Categorical { choices } => Distribution::Categorical(Categories::new(choices)?),
    };
    let when = spec
        .when
        .into_iter()
        .map(|(parent, any_of)| Condition { parent, any_of })
        .collect();
    Ok(Parameter {
        name: spec.name,
        domain: Domain::Search(distribution),
        when,
    })
}
