use super::{StudyEvent, StudyReporter};
use crate::report::json::{event_to_json, report_to_json, tracking};
use crate::tuning::StudyOutcome;
use explr_protocol::number;
use explr_study::{Trial, TrialState};
use serde_json::{Value, json};
use std::io::Write;

/// One JSON object a line, for programs.
#[derive(Debug)]
pub struct StudyJson<W> {
    out: W,
}

impl<W: Write + Send> StudyJson<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> StudyReporter for StudyJson<W> {
    fn event(&mut self, event: &StudyEvent) {
        let mut line = to_json(event).to_string();
        line.push('\n');
        // Whoever reads may be gone: the study goes on.
        let _ = self.out.write_all(line.as_bytes());
        let _ = self.out.flush();
    }
}

fn to_json(event: &StudyEvent) -> Value {
    match event {
        StudyEvent::Build(event) => event_to_json(event),
        StudyEvent::Planned(plan) => json!({
            "event": "study_planned",
            "study": plan.study,
            "experiment": plan.experiment,
            "function": plan.function,
            "journal": plan.journal,
            "directions": plan.directions,
            "sampler": plan.sampler,
            "pruner": plan.pruner,
            "trials": plan.trials,
            "finished": plan.finished,
            "jobs": plan.jobs,
            "device": plan.device,
            "threads": plan.threads,
            "seed": plan.seed,
            "tracked": plan.tracked,
        }),
        StudyEvent::Note(text) => json!({"event": "note", "text": text}),
        StudyEvent::TrialStarted(trial) => json!({
            "event": "trial_started",
            "trial": trial.number,
            "run_id": trial.run_id,
            "params": trial.params,
            "again": trial.again,
        }),
        StudyEvent::Trial { number, event } => {
            let mut value = event_to_json(event);
            value["trial"] = (*number).into();
            value
        }
        StudyEvent::Reported {
            number,
            step,
            value,
        } => {
            json!({"event": "reported", "trial": number, "step": step, "value": number::to_value(*value)})
        }
        StudyEvent::TrialEnded(trial) => json!({
            "event": "trial_ended",
            "trial": trial.number,
            "run_id": trial.run_id,
            "state": trial.state.as_str(),
            "params": trial.params,
            "values": numerals(&trial.values),
            "failure": trial.failure,
            "seconds": trial.duration.as_secs_f64(),
            "is_best": trial.is_best,
        }),
        StudyEvent::Stopping { reason } => json!({"event": "study_stopping", "reason": reason}),
        StudyEvent::Tracking(status) => tracking(status),
        StudyEvent::Ended(outcome) => outcome_to_json("study_ended", outcome),
        StudyEvent::Closed(outcome) => outcome_to_json("study_closed", outcome),
    }
}

fn outcome_to_json(event: &str, outcome: &StudyOutcome) -> Value {
    let history = &outcome.history;
    let count = |state| history.count(state);
    json!({
        "event": event,
        "study": history.name(),
        "journal": outcome.journal,
        "run_id": outcome.run_id,
        "end": outcome.end.to_string(),
        "complete": count(TrialState::Complete),
        "pruned": count(TrialState::Pruned),
        "failed": count(TrialState::Failed),
        "ran": outcome.ran,
        "interrupted": outcome.interrupted,
        "best": history.best().map(best_to_json),
        "seconds": outcome.duration.as_secs_f64(),
        "exit_code": outcome.exit() as u8,
        "tracking": outcome.tracking.as_ref().map(report_to_json),
    })
}

fn best_to_json(trial: &Trial) -> Value {
    json!({
        "trial": trial.number,
        "values": numerals(&trial.values),
        "params": trial.external_params(),
    })
}

fn numerals(values: &[f64]) -> Vec<Value> {
    values.iter().copied().map(number::to_value).collect()
}
