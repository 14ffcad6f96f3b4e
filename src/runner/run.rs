//! A run, from its configuration to its outcome.

use super::attempt::{self, Ended};
use super::classify::{Verdict, classify};
use super::limits::Limits;
use super::outcome::RunOutcome;
use super::plan::{Plan, Request};
use super::spawn::{Spawn, own_arguments};
use super::stop::{Stop, StopLevel};
use super::{RunError, Sink, in_process, resume};
use crate::Error;
use crate::config::interpolate;
use crate::report::{Reporter, RunEvent, RunPlan};
use crate::store::journal::Writer;
use crate::store::{Manifest, RunDir, RunLock, Store};
use crate::tracking::{ServerStatus, Settings, Shipper};
use explr_protocol::control::{self, Assignment};
use explr_protocol::{Answer, Ask, Event, Failure, RunContext, RunState, TrainingResult};
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Least free space in the store when a run starts.
const NEED_MB: u64 = 64;
/// How long a run that was stopped waits for the rest to be shipped: whoever
/// sent the signal has a limit of their own.
const SYNC_WHEN_STOPPED: Duration = Duration::from_secs(5);
/// How long a run that requires tracking waits for the server.
const TRACKING_PATIENCE: Duration = Duration::from_secs(90);

/// Runs `request` to its end and tells `reporter` what happens.
///
/// Blocks. The work is done on a thread of its own, so it may be called from
/// anywhere, an async runtime included.
pub fn run(
    request: &Request,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<RunOutcome, Error> {
    // Workers are forked on this thread, and it lives until they are gone:
    // the kernel's parent-death signal is tied to the forking thread.
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(RunError::EventLoop)?;
            runtime.block_on(run_here(request, stop, &mut |event| reporter.event(&event)))
        });
        match runner.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

async fn run_here(
    request: &Request,
    stop: &Stop,
    sink: &mut Sink<'_>,
) -> Result<RunOutcome, Error> {
    let plan = Plan::make(request)?;
    let store = Store::open(&plan.store)?;
    check_space(store.root())?;
    let settings = Settings::resolve(&request.loaded.config.mlflow, &plan.folder, &store)?;
    let code = plan.build(sink);
    if let StopLevel::Gentle(reason) | StopLevel::Now(reason) = stop.level() {
        return Err(RunError::Stopped(reason).into());
    }
    let code = code?;
    super::reconcile(&store)?;
    let began = Instant::now();
    let (manifest, diff) = plan.manifest(request);
    let earlier = resume::find(&store, &request.resume, &manifest)?;
    let run = Run::enter(&store, request, &plan, &manifest, diff, earlier)?;
    sink(RunEvent::Planned(Box::new(
        run.describe(settings.is_some()),
    )));
    let mut shipper =
        settings.map(|settings| Shipper::start(settings, store.clone(), run.dir.clone()));
    if let Some(shipper) = shipper
        .as_ref()
        .filter(|_| request.loaded.config.mlflow.required)
    {
        wait_for_server(shipper, sink)
            .await
            .inspect_err(|_| run.abandon())?;
    }
    let mut outcome = run
        .attempts(request, code, stop, shipper.as_ref(), sink)
        .await?;
    outcome.duration = began.elapsed();
    sink(RunEvent::Ended(Box::new(outcome.clone())));
    if let Some(shipper) = shipper.take() {
        let mut limit = request.loaded.config.mlflow.sync_timeout.0;
        if outcome.stopped.is_some() {
            limit = limit.min(SYNC_WHEN_STOPPED);
        }
        let level = stop.level();
        let report = shipper.finish(limit, |status| {
            sink(RunEvent::Tracking(status.clone()));
            if stop.level() == level {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        outcome.tracking = Some(report);
    }
    sink(RunEvent::Closed(Box::new(outcome.clone())));
    Ok(outcome)
}

fn check_space(folder: &Path) -> Result<(), RunError> {
    let Ok(stat) = nix::sys::statvfs::statvfs(folder) else {
        return Ok(());
    };
    let free_mb = stat.blocks_available() * stat.fragment_size() / 1_000_000;
    if free_mb < NEED_MB {
        return Err(RunError::NoSpace {
            folder: folder.to_owned(),
            free_mb,
            need_mb: NEED_MB,
        });
    }
    Ok(())
}

async fn wait_for_server(shipper: &Shipper, sink: &mut Sink<'_>) -> Result<(), RunError> {
    let began = Instant::now();
    loop {
        let status = shipper.status();
        let why = match &status.server {
            ServerStatus::Up { .. } => return Ok(()),
            ServerStatus::Down { reason } => Some(reason.clone()),
            ServerStatus::Starting if began.elapsed() > TRACKING_PATIENCE => {
                Some(format!("it did not answer within {TRACKING_PATIENCE:?}"))
            }
            ServerStatus::Starting => None,
        };
        sink(RunEvent::Tracking(status));
        if let Some(why) = why {
            return Err(RunError::TrackingRequired { why });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A run that this process holds.
struct Run<'a> {
    request: &'a Request,
    plan: &'a Plan,
    dir: RunDir,
    checkpoints: PathBuf,
    attempt: u32,
    _lock: RunLock,
}

impl<'a> Run<'a> {
    /// Takes over `earlier`, or makes a new run.
    fn enter(
        store: &Store,
        request: &'a Request,
        plan: &'a Plan,
        manifest: &Manifest,
        diff: Option<Vec<u8>>,
        earlier: Option<RunDir>,
    ) -> Result<Self, Error> {
        let config = &request.loaded.config;
        let (dir, lock) = if let Some(dir) = earlier {
            let lock = dir.lock()?;
            (dir, lock)
        } else {
            let (dir, lock) = store.create_locked_run(manifest)?;
            if let Some(diff) = diff {
                let path = dir.path().join("git.diff");
                std::fs::write(&path, diff)
                    .map_err(|source| RunError::NotWritable { path, source })?;
            }
            (dir, lock)
        };
        let attempt = introduce(&dir, manifest)?;
        let checkpoints = match &config.checkpoint_dir {
            None => dir.checkpoint_dir(),
            Some(folder) => {
                let folder = request.loaded.resolve(folder).join(dir.id().as_str());
                std::fs::create_dir_all(&folder).map_err(|source| RunError::NotWritable {
                    path: folder.clone(),
                    source,
                })?;
                folder
            }
        };
        Ok(Self {
            request,
            plan,
            dir,
            checkpoints,
            attempt,
            _lock: lock,
        })
    }

    fn describe(&self, tracked: bool) -> RunPlan {
        let config = &self.request.loaded.config;
        RunPlan {
            run_id: self.dir.id().clone(),
            experiment: config.experiment.clone(),
            function: self.plan.function.clone(),
            plugin: match &self.plan.code {
                super::Code::Plugin(path) | super::Code::Crate(path) => Some(path.clone()),
                super::Code::Program => None,
            },
            device: self.plan.device,
            threads: self.plan.threads,
            seed: config.seed,
            folder: self.dir.path().to_owned(),
            attempt: self.attempt,
            tracked,
        }
    }

    /// Makes attempts until one succeeds, none is left, or someone stops it.
    async fn attempts(
        mut self,
        request: &Request,
        code: control::Code,
        stop: &Stop,
        shipper: Option<&Shipper>,
        sink: &mut Sink<'_>,
    ) -> Result<RunOutcome, Error> {
        let worker = &request.loaded.config.worker;
        let last = self.attempt + worker.retries;
        let mut before = None;
        loop {
            // One record ends an attempt and begins the next: whenever explr
            // is killed, the run either goes on or has ended.
            self.note(RunState::Running, before.take())?;
            let ended = self.attempt(code.clone(), stop, shipper, sink).await;
            let ended = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    self.abandon();
                    return Err(error);
                }
            };
            let (state, result, failure) = judge(&ended);
            let again = failure
                .as_ref()
                .filter(|failure| worker.retry_on.contains(&failure.class))
                .filter(|_| state == RunState::Failed && self.attempt < last)
                .filter(|_| stop.level() == StopLevel::None);
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
            self.note(state, failure.clone())?;
            return Ok(RunOutcome {
                run_id: self.dir.id().clone(),
                folder: self.dir.path().to_owned(),
                experiment: request.loaded.config.experiment.clone(),
                state,
                attempt: self.attempt,
                result,
                failure,
                stopped: ended.stopped,
                duration: Duration::ZERO,
                tracking: None,
                tracking_required: request.loaded.config.mlflow.required,
            });
        }
    }

    async fn attempt(
        &self,
        code: control::Code,
        stop: &Stop,
        shipper: Option<&Shipper>,
        sink: &mut Sink<'_>,
    ) -> Result<Ended, Error> {
        let assignment = self.assignment(code)?;
        let subscription = stop.subscribe();
        if self.request.in_process
            && let Some(function) = &self.request.function
        {
            let function = std::sync::Arc::clone(function);
            return Ok(in_process::supervise(
                function,
                assignment,
                subscription,
                &mut no_study,
                sink,
            )
            .await?);
        }
        let worker = &self.request.loaded.config.worker;
        let limits = Limits {
            wall: worker.timeout.map(|limit| limit.0),
            heartbeat: worker.heartbeat_timeout.0,
            progress: worker.progress_timeout.map(|limit| limit.0),
            grace: worker.grace.0,
        };
        let spawn = self.spawn()?;
        let mut shown = None;
        let mut tracking = || {
            let status = shipper?.status();
            (shown.as_ref() != Some(&status)).then(|| {
                shown = Some(status.clone());
                RunEvent::Tracking(status)
            })
        };
        Ok(attempt::supervise(
            &spawn,
            assignment,
            limits,
            subscription,
            &mut tracking,
            &mut no_study,
            sink,
        )
        .await?)
    }

    fn assignment(&self, code: control::Code) -> Result<Assignment, Error> {
        let config = &self.request.loaded.config;
        let hyperparameters =
            match interpolate::json(&Value::Object(config.hyperparameters.clone()))
                .map_err(RunError::from)?
            {
                Value::Object(map) => map,
                _ => serde_json::Map::new(),
            };
        Ok(Assignment {
            code,
            context: RunContext {
                run_id: self.dir.id().to_string(),
                experiment: config.experiment.clone(),
                function: self.plan.function.clone(),
                hyperparameters,
                seed: config.seed,
                device: self.plan.device,
                threads: self.plan.threads,
                checkpoint_dir: self.checkpoints.clone(),
                artifact_dir: self.dir.artifact_dir(),
                attempt: self.attempt,
                time_budget: None,
                trial: None,
            },
            journal: self.dir.journal_path(),
            system_metrics_interval: config
                .mlflow
                .system_metrics
                .then_some(config.mlflow.system_metrics_interval.0.as_secs_f64()),
        })
    }

    fn spawn(&self) -> Result<Spawn, Error> {
        let program = std::env::current_exe().map_err(|source| RunError::Spawn {
            program: PathBuf::from("explr"),
            source,
        })?;
        let arguments = if self.request.function.is_some() {
            if !super::workers_are_served() {
                return Err(RunError::NotServed.into());
            }
            own_arguments()
        } else {
            vec!["worker".into()]
        };
        let mut environment = self.plan.environment.clone();
        for (name, value) in &self.request.loaded.config.worker.env {
            environment.push((
                name.clone(),
                interpolate::text(value).map_err(RunError::from)?,
            ));
        }
        Ok(Spawn {
            program,
            arguments,
            environment,
            folder: std::env::current_dir().unwrap_or_else(|_| self.dir.path().to_owned()),
            run_id: self.dir.id().to_string(),
            log: self.dir.log_path(),
            template: None,
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
    fn abandon(&self) {
        let _ = self.note(RunState::Interrupted, None);
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

/// What a run without a study answers.
fn no_study(_: Ask) -> Answer {
    Answer::Refused {
        message: "this run is no trial of a study".to_owned(),
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
