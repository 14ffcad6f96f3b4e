//! A run that this process holds: its attempts, from the first record of its
//! journal to the last.

use super::attempt::{self, Ended};
use super::classify::{Verdict, classify};
use super::job::Job;
use super::launch::Launch;
use super::limits::Limits;
use super::outcome::RunOutcome;
use super::spawn::Spawn;
use super::stop::{Stop, StopLevel, StopReason};
use super::template::Template;
use super::{RunError, Sink, command, in_process};
use crate::Error;
use crate::config::{CudaOom, Loaded, WorkerConfig, interpolate};
use crate::gpu;
use crate::report::{RunEvent, RunPlan};
use crate::store::journal::Writer;
use crate::store::{Manifest, RunDir, RunLock, Store};
use explr_protocol::control::Assignment;
use explr_protocol::{
    Answer, Ask, Event, Failure, FailureClass, RunContext, RunState, TrainingResult,
};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A run that this process holds.
pub(crate) struct Session {
    job: Job,
    dir: RunDir,
    checkpoints: PathBuf,
    attempt: u32,
    _lock: RunLock,
}

/// What a run goes on among.
pub(crate) struct Company<'a> {
    pub(crate) stop: &'a Stop,
    /// The process to fork workers from; none for workers that are started
    /// afresh.
    pub(crate) template: Option<Arc<Template>>,
    /// Asked now and then for news from elsewhere.
    pub(crate) aside: &'a mut dyn FnMut() -> Option<RunEvent>,
    /// Speaks for the study.
    pub(crate) answer: &'a mut dyn FnMut(Ask) -> Answer,
}

impl Session {
    /// Takes over `earlier`, or makes a new run.
    pub(crate) fn enter(
        store: &Store,
        job: Job,
        diff: Option<&[u8]>,
        earlier: Option<RunDir>,
    ) -> Result<Self, Error> {
        let (dir, lock) = if let Some(dir) = earlier {
            let lock = dir.lock()?;
            (dir, lock)
        } else {
            let (dir, lock) = store.create_locked_run(&job.manifest)?;
            if let Some(diff) = diff {
                let path = dir.path().join("git.diff");
                std::fs::write(&path, diff)
                    .map_err(|source| RunError::NotWritable { path, source })?;
            }
            (dir, lock)
        };
        let attempt = introduce(&dir, &job.manifest)?;
        let checkpoints = checkpoints(&job.loaded, &dir);
        std::fs::create_dir_all(&checkpoints).map_err(|source| RunError::NotWritable {
            path: checkpoints.clone(),
            source,
        })?;
        Ok(Self {
            job,
            dir,
            checkpoints,
            attempt,
            _lock: lock,
        })
    }

    /// The run's folder.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    pub(crate) fn describe(&self, tracked: bool) -> RunPlan {
        let Job {
            loaded,
            manifest,
            granted,
            ..
        } = &self.job;
        RunPlan {
            run_id: self.dir.id().clone(),
            experiment: loaded.config.experiment.clone(),
            function: manifest.function.clone(),
            plugin: self.job.plugin(),
            device: granted.device,
            threads: granted.threads,
            seed: loaded.config.seed,
            folder: self.dir.path().to_owned(),
            attempt: self.attempt,
            tracked,
        }
    }

    /// Makes attempts until one succeeds, none is left, or someone stops it.
    pub(crate) async fn attempts(
        mut self,
        mut company: Company<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<RunOutcome, Error> {
        let worker = self.job.loaded.config.worker.clone();
        let last = self.attempt + worker.retries;
        let mut before = None;
        loop {
            if let StopLevel::Gentle(reason) | StopLevel::Now(reason) = company.stop.level() {
                self.note(RunState::Interrupted, None)?;
                return Ok(self.outcome(RunState::Interrupted, None, None, Some(reason)));
            }
            // One record ends an attempt and begins the next: whenever explr
            // is killed, the run either goes on or has ended.
            self.note(RunState::Running, before.take())?;
            let mut ended = match self.attempt(&mut company, sink).await {
                Ok(ended) => ended,
                Err(error) => {
                    self.abandon();
                    return Err(error);
                }
            };
            command::settle(&self.job.code, &self.dir, self.attempt, &mut ended);
            let (state, result, failure) = judge(&ended);
            let failure = failure.map(|failure| self.with_lost_gpu(failure));
            let again = failure
                .as_ref()
                .filter(|failure| is_repeated(&worker, failure.class))
                .filter(|_| state == RunState::Failed && self.attempt < last)
                .filter(|_| company.stop.level() == StopLevel::None);
            if let Some(failure) = again {
                self.attempt += 1;
                before = Some(failure.clone());
                sink(RunEvent::Retrying {
                    failure: failure.clone(),
                    attempt: self.attempt,
                    of: last,
                });
                continue;
            }
            let written = self.note(state, failure.clone());
            // The journal is what failed, and the outcome says so.
            let is_known = failure
                .as_ref()
                .is_some_and(|failure| failure.class == FailureClass::Journal);
            if !is_known {
                written?;
            }
            return Ok(self.outcome(state, result, failure, ended.stopped));
        }
    }

    fn outcome(
        &self,
        state: RunState,
        result: Option<TrainingResult>,
        failure: Option<Failure>,
        stopped: Option<StopReason>,
    ) -> RunOutcome {
        RunOutcome {
            run_id: self.dir.id().clone(),
            folder: self.dir.path().to_owned(),
            experiment: self.job.loaded.config.experiment.clone(),
            state,
            attempt: self.attempt,
            result,
            failure,
            stopped,
            duration: Duration::ZERO,
            tracking: None,
            tracking_required: self.job.loaded.config.mlflow.required,
        }
    }

    async fn attempt(
        &self,
        company: &mut Company<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Ended, Error> {
        let assignment = self.assignment()?;
        let subscription = company.stop.subscribe();
        if self.job.in_process
            && let Some(function) = &self.job.function
        {
            let function = Arc::clone(function);
            return Ok(in_process::supervise(
                function,
                assignment,
                subscription,
                company.answer,
                sink,
            )
            .await?);
        }
        let worker = &self.job.loaded.config.worker;
        let limits = Limits {
            wall: worker.timeout.map(|limit| limit.0),
            heartbeat: worker.heartbeat_timeout.0,
            progress: worker.progress_timeout.map(|limit| limit.0),
            grace: worker.grace.0,
        };
        let spawn = self.spawn(company.template.clone())?;
        Ok(attempt::supervise(
            &spawn,
            assignment,
            limits,
            subscription,
            company.aside,
            company.answer,
            sink,
        )
        .await?)
    }

    /// The failure, put down to the GPU where the driver has lost that: CUDA
    /// itself often knows of an unknown error only, or hangs.
    fn with_lost_gpu(&self, mut failure: Failure) -> Failure {
        if let Some(gpu) = gpu::lost(&self.job.granted.gpus) {
            failure.class = FailureClass::GpuLost;
            failure.message = format!("the driver has lost {gpu}; {}", failure.message);
        }
        failure
    }

    fn assignment(&self) -> Result<Assignment, Error> {
        let Job {
            loaded, granted, ..
        } = &self.job;
        let config = &loaded.config;
        let hyperparameters =
            match interpolate::json(&Value::Object(config.hyperparameters.clone()))
                .map_err(RunError::from)?
            {
                Value::Object(map) => map,
                _ => serde_json::Map::new(),
            };
        Ok(Assignment {
            code: command::resolved(&self.job.code)?,
            context: RunContext {
                run_id: self.dir.id().to_string(),
                experiment: config.experiment.clone(),
                function: self.job.manifest.function.clone(),
                hyperparameters,
                seed: config.seed,
                device: granted.device,
                threads: granted.threads,
                checkpoint_dir: self.checkpoints.clone(),
                artifact_dir: self.dir.artifact_dir(),
                attempt: self.attempt,
                time_budget: config.time_budget_minutes.map(|minutes| minutes * 60.0),
                trial: self.job.trial.clone(),
            },
            journal: self.dir.journal_path(),
            system_metrics_interval: config
                .mlflow
                .system_metrics
                .then_some(config.mlflow.system_metrics_interval.0.as_secs_f64()),
        })
    }

    fn spawn(&self, template: Option<Arc<Template>>) -> Result<Spawn, Error> {
        let launch = Launch::worker(&self.job.code)?;
        let worker = &self.job.loaded.config.worker;
        let environment = launch.environment(&self.job.granted, worker)?;
        Ok(Spawn {
            program: launch.program,
            arguments: launch.arguments,
            environment,
            folder: std::env::current_dir().unwrap_or_else(|_| self.dir.path().to_owned()),
            run_id: self.dir.id().to_string(),
            log: self.dir.log_path(),
            template,
        })
    }

    /// Writes a state into the journal, on disk when this returns.
    fn note(&self, to: RunState, failure: Option<Failure>) -> Result<(), Error> {
        let mut journal = Writer::open(&self.dir.journal_path())?;
        journal.append(&state(to, self.attempt, failure))?;
        journal.sync()?;
        Ok(())
    }

    /// Leaves the run interrupted when the orchestrator can't go on. The
    /// error at hand matters more than one on the way out, and the next
    /// command reconciles what this leaves undone.
    pub(crate) fn abandon(&self) {
        let _ = self.note(RunState::Interrupted, None);
    }
}

/// Where a run with this configuration has its checkpoints.
pub(crate) fn checkpoints(loaded: &Loaded, dir: &RunDir) -> PathBuf {
    match &loaded.config.checkpoint_dir {
        None => dir.checkpoint_dir(),
        Some(folder) => loaded.resolve(folder).join(dir.id().as_str()),
    }
}

/// Writes what a journal begins with, as far as it isn't there: an earlier
/// explr may have been killed in the middle of it. Returns the number of the
/// attempt to come.
fn introduce(dir: &RunDir, manifest: &Manifest) -> Result<u32, Error> {
    let known = dir.summary()?;
    let mut journal = Writer::open(&dir.journal_path())?;
    if known.records == 0 {
        journal.append(&state(RunState::Created, 1, None))?;
    }
    for (key, value) in flatten(&manifest.hyperparameters) {
        if !known.params.contains_key(&key) {
            journal.append(&Event::Param { key, value })?;
        }
    }
    for (key, value) in &manifest.tags {
        if !known.tags.contains_key(key) {
            journal.append(&Event::Tag {
                key: key.clone(),
                value: value.clone(),
            })?;
        }
    }
    journal.sync()?;
    Ok(known.attempt + 1)
}

/// Whether the configuration wants another attempt after such a failure.
fn is_repeated(worker: &WorkerConfig, class: FailureClass) -> bool {
    worker.retry_on.contains(&class)
        || (class == FailureClass::CudaOom && worker.cuda_oom == CudaOom::Retry)
}

fn state(state: RunState, attempt: u32, failure: Option<Failure>) -> Event {
    Event::State {
        state,
        attempt,
        failure,
    }
}

/// What the end of an attempt means for the run.
fn judge(ended: &Ended) -> (RunState, Option<TrainingResult>, Option<Failure>) {
    match (classify(&ended.evidence), ended.stopped) {
        (Verdict::Result(result), Some(_)) if result.stopped_early => {
            (RunState::Interrupted, Some(result), None)
        }
        (Verdict::Result(result), _) => (RunState::Completed, Some(result), None),
        (Verdict::Pruned, _) => (RunState::Pruned, None, None),
        (Verdict::Failure(_), Some(_)) => (RunState::Interrupted, None, None),
        (Verdict::Failure(failure), None) => (RunState::Failed, None, Some(failure)),
    }
}

/// Nested hyperparameters under dotted names.
fn flatten(map: &serde_json::Map<String, Value>) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (key, value) in map {
        match value {
            Value::Object(inner) if !inner.is_empty() => flat.extend(
                flatten(inner)
                    .into_iter()
                    .map(|(inner, value)| (format!("{key}.{inner}"), value)),
            ),
            _ => flat.push((key.clone(), value.clone())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::flatten;
    use serde_json::json;

    #[test]
    fn nested_hyperparameters_get_dotted_names() {
        let map = json!({"lr": 0.1, "model": {"depth": 2, "head": {"bias": true}}, "empty": {}});
        let flat: Vec<_> = flatten(map.as_object().unwrap())
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            flat,
            [
                "empty={}",
                "lr=0.1",
                "model.depth=2",
                "model.head.bias=true"
            ]
        );
    }
}
