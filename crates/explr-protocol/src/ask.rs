use crate::number;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the train function of a trial asks the study, and waits for.
///
/// A worker has one question open at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Whether the trial should end, given an intermediate value. The answer
    /// is [`Answer::Continue`] or [`Answer::Prune`].
    Report {
        /// Step it belongs to.
        step: i64,
        /// Objective value at that step, finite or not.
        #[serde(with = "number")]
        value: f64,
    },
    /// The value of a parameter that the function defines itself. The answer
    /// is [`Answer::Value`], the same each time within a trial.
    Suggest {
        /// Name of the parameter.
        name: String,
        /// The values it may have.
        distribution: Distribution,
    },
}

/// What the study answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "with", rename_all = "snake_case")]
pub enum Answer {
    /// Go on.
    Continue,
    /// End the trial: a pruner sees no hope in it.
    Prune,
    /// The parameter's value.
    Value(Value),
    /// The question can't be answered.
    Refused {
        /// Why not.
        message: String,
    },
}

/// The values that a parameter may have, in Optuna's JSON.
///
/// Plain data: what makes no sense, such as a lower bound above the upper
/// one, is the study's to refuse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "attributes")]
pub enum Distribution {
    /// Real numbers, both bounds included.
    #[serde(rename = "FloatDistribution")]
    Float {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Uniform in the logarithm.
        log: bool,
        /// Distance of neighbouring values, if they come in steps.
        step: Option<f64>,
    },
    /// Whole numbers, both bounds included.
    #[serde(rename = "IntDistribution")]
    Int {
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
        /// Uniform in the logarithm.
        log: bool,
        /// Distance of neighbouring values, 1 or more.
        step: i64,
    },
    /// Choices without an order.
    #[serde(rename = "CategoricalDistribution")]
    Categorical {
        /// Any JSON values, no two alike.
        choices: Vec<Value>,
    },
}

#[cfg(test)]
mod tests {
    use super::{Answer, Ask, Distribution};
    use crate::control::{FromWorker, ToWorker};
    use serde_json::json;

    #[test]
    fn a_question_reads_back_as_it_was_written() {
        let questions = [
            Ask::Report {
                step: -3,
                value: f64::INFINITY,
            },
            Ask::Suggest {
                name: "lr".into(),
                distribution: Distribution::Float {
                    low: 1e-5,
                    high: 0.1,
                    log: true,
                    step: None,
                },
            },
            Ask::Suggest {
                name: "layers".into(),
                distribution: Distribution::Int {
                    low: 1,
                    high: 9,
                    log: false,
                    step: 2,
                },
            },
            Ask::Suggest {
                name: "optimizer".into(),
                distribution: Distribution::Categorical {
                    choices: vec![json!("sgd"), json!(null), json!([1, 2])],
                },
            },
        ];
        for question in questions.map(FromWorker::Ask) {
            let text = serde_json::to_string(&question).unwrap();
            assert_eq!(
                serde_json::from_str::<FromWorker>(&text).unwrap(),
                question,
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let answers = [
            Answer::Continue,
            Answer::Prune,
            Answer::Value(json!(null)),
            Answer::Value(json!({"type": "answer"})),
            Answer::Refused {
                message: "no study".into(),
            },
        ];
        for answer in answers.map(ToWorker::Answer) {
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(
                serde_json::from_str::<ToWorker>(&text).unwrap(),
                answer,
                "{text}"
            );
        }
    }

    #[test]
    fn a_distribution_is_written_as_optuna_writes_it() {
        let range = Distribution::Float {
            low: 1e-5,
            high: 0.1,
            log: true,
            step: None,
        };
        assert_eq!(
            serde_json::to_value(range).unwrap(),
            json!({
                "name": "FloatDistribution",
                "attributes": {"step": null, "low": 1e-5, "high": 0.1, "log": true},
            })
        );
    }
}
