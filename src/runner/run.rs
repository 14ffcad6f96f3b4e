//! A run, from its configuration to its outcome.

use super::job::Job;
use super::outcome::RunOutcome;
use super::plan::{Plan, Request};
use super::session::{Company, Session};
use super::stop::Stop;
use super::{RunError, Sink, resume};
use crate::Error;
use crate::config::Mlflow;
use crate::report::{Reporter, RunEvent};
use crate::store::Store;
use crate::tracking::{Report, ServerStatus, Settings, Shipper, Status};
use explr_protocol::{Answer, Ask};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Least free space in the store when a run starts.
pub(crate) const NEED_MB: u64 = 64;
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
    super::on_own_thread(async || {
        run_here(request, stop, &mut |event| reporter.event(&event)).await
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
    stop.check()?;
    let code = code?;
    super::reconcile(&store)?;
    let began = Instant::now();
    let origin = plan.origin(request, &code);
    let job = Job {
        manifest: origin.manifest(&request.loaded, &plan.granted),
        loaded: request.loaded.clone(),
        source: plan.code.clone(),
        code,
        function: request.function.clone(),
        in_process: request.in_process,
        granted: plan.granted.clone(),
        trial: None,
    };
    let earlier = resume::find(&store, &request.resume, &job.manifest)?;
    let run = Session::enter(&store, job, origin.diff(), earlier)?;
    sink(RunEvent::Planned(Box::new(
        run.describe(settings.is_some()),
    )));
    let mut shipper =
        settings.map(|settings| Shipper::start(settings, store.clone(), run.dir().clone()));
    if let Some(shipper) = shipper
        .as_ref()
        .filter(|_| request.loaded.config.mlflow.required)
    {
        wait_for_server(shipper, sink)
            .await
            .inspect_err(|_| run.abandon())?;
    }
    let mut shown = None;
    let mut aside = || {
        let status = shipper.as_ref()?.status();
        (shown.as_ref() != Some(&status)).then(|| {
            shown = Some(status.clone());
            RunEvent::Tracking(status)
        })
    };
    let company = Company {
        stop,
        template: None,
        aside: &mut aside,
        answer: &mut no_study,
    };
    let mut outcome = run.attempts(company, sink).await?;
    outcome.duration = began.elapsed();
    sink(RunEvent::Ended(Box::new(outcome.clone())));
    if let Some(shipper) = shipper.take() {
        let stopped = outcome.stopped.is_some();
        let report = ship_rest(
            shipper,
            &request.loaded.config.mlflow,
            stopped,
            stop,
            |status| sink(RunEvent::Tracking(status)),
        );
        outcome.tracking = Some(report);
    }
    sink(RunEvent::Closed(Box::new(outcome.clone())));
    Ok(outcome)
}

/// Waits at the end of a command until all is shipped, the time for it is over,
/// or someone asks (again) to stop. `stopped`: someone did already.
pub(crate) fn ship_rest(
    shipper: Shipper,
    mlflow: &Mlflow,
    stopped: bool,
    stop: &Stop,
    mut show: impl FnMut(Status),
) -> Report {
    let mut limit = mlflow.sync_timeout.0;
    if stopped {
        limit = limit.min(SYNC_WHEN_STOPPED);
    }
    let level = stop.level();
    shipper.finish(limit, |status| {
        show(status.clone());
        if stop.level() == level {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}

/// What a run without a study answers.
fn no_study(_: Ask) -> Answer {
    Answer::Refused {
        message: "this run is no trial of a study".to_owned(),
    }
}

pub(crate) fn check_space(folder: &Path) -> Result<(), RunError> {
    let free_mb = free_bytes(folder).map(|bytes| bytes / 1_000_000);
    match free_mb {
        Some(free_mb) if free_mb < NEED_MB => Err(RunError::NoSpace {
            folder: folder.to_owned(),
            free_mb,
            need_mb: NEED_MB,
        }),
        _ => Ok(()),
    }
}

/// What is free on the file system of a folder, if that tells.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

pub(crate) async fn wait_for_server(
    shipper: &Shipper,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
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
