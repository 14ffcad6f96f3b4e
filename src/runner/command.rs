//! From a configuration with `train.command` to what a worker starts.

use super::RunError;
use super::attempt::Ended;
use crate::config::command::template::literal;
use crate::config::{Loaded, Metrics, interpolate, redact};
use crate::store::journal::Writer;
use crate::store::{RunDir, inbox};
use explr_protocol::control::Code;
use explr_protocol::{Command, MetricFormat, MetricSource, Outcome};
use regex::Regex;

/// The command of a configuration, its `${env:NAME}` as they are.
pub(super) fn of(loaded: &Loaded, arguments: Vec<String>) -> Command {
    let config = &loaded.config;
    let (train, tune) = (&config.train, &config.tune);
    let objectives: Vec<String> = match &*tune.objectives {
        [] => tune.metric.iter().cloned().collect(),
        several => several.iter().map(|one| one.metric.clone()).collect(),
    };
    let direction = match tune.objectives.first() {
        Some(first) => Some(first.direction),
        None => tune.direction,
    };
    let current = std::env::current_dir().unwrap_or_default();
    let metrics = train.metrics.as_ref();
    Command {
        arguments,
        folder: current.join(&loaded.dir),
        metrics: metrics.and_then(source),
        report: metrics
            .and_then(|metrics| metrics.report.clone())
            .or_else(|| objectives.first().cloned())
            .or_else(|| metrics.and_then(only_group)),
        objectives,
        direction: direction.unwrap_or_default(),
        grace_ms: u64::try_from(config.worker.grace.0.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The one metric that a pattern finds.
fn only_group(metrics: &Metrics) -> Option<String> {
    let pattern = Regex::new(metrics.pattern.as_deref()?).ok()?;
    let names = pattern.capture_names().flatten();
    let mut names = names.filter(|name| *name != "step");
    let name = names.next()?;
    names.next().is_none().then(|| name.to_owned())
}

fn source(metrics: &Metrics) -> Option<MetricSource> {
    let file = metrics.file.as_ref().map(|file| MetricSource::File {
        path: file.display().to_string(),
        format: metrics.format.unwrap_or(MetricFormat::Csv),
    });
    let wandb = metrics.wandb.then_some(MetricSource::Wandb);
    file.or(wandb)
        .or_else(|| metrics.pattern.clone().map(MetricSource::Pattern))
}

/// The words as they may be stored and shown.
pub(super) fn shown(command: &Command) -> String {
    let words = command.arguments.iter().map(|word| redact::text(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The code with the environment's values in a command's words.
pub(super) fn resolved(code: &Code) -> Result<Code, RunError> {
    let Code::Command(command) = code else {
        return Ok(code.clone());
    };
    let mut command = command.clone();
    for word in &mut command.arguments {
        *word = text(word)?;
    }
    if let Some(MetricSource::File { path, .. }) = &mut command.metrics {
        *path = text(path)?;
    }
    Ok(Code::Command(command))
}

/// A template in which braces that the environment brings are no templates.
fn text(template: &str) -> Result<String, RunError> {
    let value = |name: &str| std::env::var(name).ok().map(|value| literal(&value));
    Ok(interpolate::text_with(template, &value)?)
}

/// Takes in what a command said and its worker, which died, did not take in.
pub(super) fn settle(code: &Code, run: &RunDir, attempt: u32, ended: &mut Ended) {
    if !matches!(code, Code::Command(_)) {
        return;
    }
    if ended.evidence.outcome.is_some() {
        let _ = std::fs::remove_file(inbox::params_path(&run.journal_path()));
        return;
    }
    let settled = Writer::open(&run.journal_path())
        .and_then(|mut journal| inbox::settle(run, attempt, &mut journal));
    match settled {
        Ok(Some(mut result)) => {
            result.stopped_early = ended.stopped.is_some();
            ended.evidence.outcome = Some(Outcome::Ok(result));
        }
        Ok(None) => {}
        Err(error) => {
            let failure = &mut ended.evidence.journal_failure;
            failure.get_or_insert(error.to_string());
        }
    }
}
