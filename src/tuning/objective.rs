//! What a trial's result means for the study.

use explr_protocol::{Direction, Failure, FailureClass, RunState, TrainingResult};
use explr_study::Finish;

/// One objective of a study.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    /// The metric of the result; none for its primary one.
    pub(crate) metric: Option<String>,
    pub(crate) direction: Direction,
    /// The direction was given, not assumed.
    pub(crate) explicit: bool,
}

impl Objective {
    /// The primary metric, whichever that is: for runs that nothing searches.
    pub(crate) fn any() -> Self {
        Self {
            metric: None,
            direction: Direction::default(),
            explicit: true,
        }
    }
}

/// What a run's end means for its trial.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The trial is over.
    Over(Finish, Option<Failure>),
    /// It was interrupted, or failed for no fault of its own, and is to be run
    /// again.
    Again,
}

/// Reads the objectives' values off a run: its state, and what it came to.
pub(crate) fn judge(
    state: RunState,
    result: Option<&TrainingResult>,
    failure: Option<&Failure>,
    objectives: &[Objective],
    prune_oom: bool,
) -> Verdict {
    match (state, result, failure) {
        (RunState::Completed, Some(result), _) => match values(result, objectives) {
            Ok(values) => Verdict::Over(Finish::Complete(values), None),
            Err(message) => Verdict::Over(Finish::Failed, Some(unfit(message))),
        },
        (RunState::Pruned, ..) => Verdict::Over(Finish::Pruned, None),
        (RunState::Failed, _, Some(failure))
            if matches!(failure.class, FailureClass::Journal | FailureClass::GpuLost) =>
        {
            Verdict::Again
        }
        (RunState::Failed, _, Some(failure))
            if prune_oom && failure.class == FailureClass::CudaOom =>
        {
            Verdict::Over(Finish::Pruned, Some(failure.clone()))
        }
        (RunState::Failed, _, failure) => Verdict::Over(Finish::Failed, failure.cloned()),
        _ => Verdict::Again,
    }
}

/// The values, in the order of the objectives.
fn values(result: &TrainingResult, objectives: &[Objective]) -> Result<Vec<f64>, String> {
    objectives
        .iter()
        .map(|objective| value(result, objective))
        .collect()
}

fn value(result: &TrainingResult, objective: &Objective) -> Result<f64, String> {
    let primary = &result.primary_metric_name;
    let name = objective.metric.as_deref().unwrap_or(primary);
    if name != primary {
        return result.metrics.get(name).copied().ok_or_else(|| {
            let mut known: Vec<&str> = result.metrics.keys().map(String::as_str).collect();
            known.push(primary);
            format!(
                "the result has no metric `{name}`, which the study looks at; it has {}",
                known.join(", ")
            )
        });
    }
    if !objective.explicit && result.direction != objective.direction {
        return Err(format!(
            "the train function says that `{primary}` is to be maximised, and the study \
             minimises it; write `tune: {{direction: maximize}}`"
        ));
    }
    Ok(result.primary_metric)
}

/// The failure of a result that the study can't use.
fn unfit(message: String) -> Failure {
    Failure {
        class: FailureClass::Error,
        message,
        location: None,
        log_tail: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Objective, Verdict, judge, unfit, values};
    use explr_protocol::{Direction, Failure, FailureClass, RunState, TrainingResult};

    fn result(direction: Direction) -> TrainingResult {
        TrainingResult {
            primary_metric: 0.5,
            primary_metric_name: "val_accuracy".into(),
            direction,
            metrics: [("latency".to_owned(), 12.0)].into(),
            best_model_path: None,
            epochs_completed: None,
            stopped_early: false,
        }
    }

    fn objective(metric: Option<&str>, explicit: bool) -> Objective {
        Objective {
            metric: metric.map(str::to_owned),
            direction: Direction::Minimize,
            explicit,
        }
    }

    #[test]
    fn a_trial_is_run_again_after_what_is_no_fault_of_its_own() {
        for (class, again) in [
            (FailureClass::Journal, true),
            (FailureClass::GpuLost, true),
            (FailureClass::CudaOom, false),
            (FailureClass::Error, false),
        ] {
            let failure = Failure {
                class,
                ..unfit(String::new())
            };
            let verdict = judge(RunState::Failed, None, Some(&failure), &[], false);
            assert_eq!(matches!(verdict, Verdict::Again), again, "{class}");
        }
    }

    #[test]
    fn objectives_are_read_in_their_order() {
        let both = [objective(Some("latency"), true), objective(None, true)];
        let read = values(&result(Direction::Minimize), &both);
        assert_eq!(read, Ok(vec![12.0, 0.5]));
    }

    #[test]
    fn a_metric_that_is_missing_is_named_with_those_that_are_there() {
        let said = values(
            &result(Direction::Minimize),
            &[objective(Some("loss"), true)],
        );
        let said = said.unwrap_err();
        assert!(
            said.contains("`loss`") && said.contains("latency, val_accuracy"),
            "{said}"
        );
    }

    #[test]
    fn a_direction_that_nobody_gave_must_be_the_functions_own() {
        let maximised = result(Direction::Maximize);
        assert!(values(&maximised, &[objective(None, false)]).is_err());
        assert!(values(&maximised, &[objective(None, true)]).is_ok());
        assert!(values(&maximised, &[objective(Some("latency"), false)]).is_ok());
    }
}
