use super::{Reporter, RunEvent};
use crate::runner::RunOutcome;
use crate::tracking::{Report, ServerStatus, Status};
use serde_json::{Value, json};
use std::io::Write;

/// One JSON object a line, for programs.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Reporter for JsonLines<W> {
    fn event(&mut self, event: &RunEvent) {
        let mut line = event_to_json(event).to_string();
        line.push('\n');
        // Whoever reads may be gone: the run goes on.
        let _ = self.out.write_all(line.as_bytes());
        let _ = self.out.flush();
    }
}

pub(super) fn event_to_json(event: &RunEvent) -> Value {
    match event {
        RunEvent::Building { folder } => json!({"event": "building", "folder": folder}),
        RunEvent::BuildLine(line) => json!({"event": "build_line", "line": line}),
        RunEvent::Built { took } => json!({"event": "built", "seconds": took.as_secs_f64()}),
        RunEvent::Planned(plan) => json!({
            "event": "planned",
            "run_id": plan.run_id,
            "experiment": plan.experiment,
            "function": plan.function,
            "plugin": plan.plugin,
            "device": plan.device,
            "threads": plan.threads,
            "seed": plan.seed,
            "folder": plan.folder,
            "attempt": plan.attempt,
            "tracked": plan.tracked,
        }),
        RunEvent::Started {
            pid,
            attempt,
            after,
        } => json!({
            "event": "started",
            "pid": pid,
            "attempt": attempt,
            "seconds": after.as_secs_f64(),
        }),
        RunEvent::Progress(progress) => {
            let mut value = serde_json::to_value(progress).unwrap_or_default();
            value["event"] = "progress".into();
            value
        }
        RunEvent::Log { level, message } => {
            json!({"event": "log", "level": level, "message": message})
        }
        RunEvent::Output(line) => json!({"event": "output", "line": line}),
        RunEvent::OutputHidden(lines) => json!({"event": "output_hidden", "lines": lines}),
        RunEvent::Stopping { reason, grace } => json!({
            "event": "stopping",
            "reason": reason,
            "grace_seconds": grace.as_secs_f64(),
        }),
        RunEvent::JournalFailed { message } => {
            json!({"event": "journal_failed", "message": message})
        }
        RunEvent::Retrying {
            failure,
            attempt,
            of,
        } => json!({"event": "retrying", "failure": failure, "attempt": attempt, "of": of}),
        RunEvent::Tracking(status) => tracking(status),
        RunEvent::Ended(outcome) => outcome_to_json("ended", outcome),
        RunEvent::Closed(outcome) => outcome_to_json("closed", outcome),
    }
}

pub(super) fn tracking(status: &Status) -> Value {
    let (server, detail) = match &status.server {
        ServerStatus::Starting => ("starting", None),
        ServerStatus::Up { url } => ("up", Some(url)),
        ServerStatus::Down { reason } => ("down", Some(reason)),
    };
    json!({
        "event": "tracking",
        "server": server,
        "detail": detail,
        "run_url": status.run_url,
        "shipped": status.shipped,
        "total": status.total,
        "warnings": status.warnings,
    })
}

fn outcome_to_json(event: &str, outcome: &RunOutcome) -> Value {
    json!({
        "event": event,
        "run_id": outcome.run_id,
        "experiment": outcome.experiment,
        "state": outcome.state,
        "attempt": outcome.attempt,
        "result": outcome.result,
        "failure": outcome.failure,
        "folder": outcome.folder,
        "seconds": outcome.duration.as_secs_f64(),
        "exit_code": outcome.exit() as u8,
        "tracking": outcome.tracking.as_ref().map(report_to_json),
    })
}

pub(super) fn report_to_json(report: &Report) -> Value {
    json!({
        "left": report.left,
        "set_aside": report.set_aside,
        "run_url": report.run_url,
        "error": report.error,
    })
}
