use super::cursor::Cursor;
use super::engine::{Engine, Outcome};
use super::ship::RunShip;
use super::shipper::{mlflow_of, runtime};
use super::status::{Report, ServerStatus, Status};
use super::{Settings, TrackingError, journal_records};
use crate::config::Mlflow;
use crate::store::{Manifest, RunDir, RunId};
use std::time::Duration;

/// How long a server may be out of reach before the rest is given up.
const OUT_OF_REACH: Duration = Duration::from_secs(15);

/// Longest pause before such a server is tried again: a person waits.
const IMPATIENT: Duration = Duration::from_secs(3);

/// Brings runs up to date at the server, one after the other.
///
/// A run that another process ships is left to it, and its report says so. A
/// server that stays out of reach is an error; what was shipped until then
/// stays shipped.
pub fn sync(
    settings: &Settings,
    runs: &[RunDir],
    mut on_progress: impl FnMut(&RunDir, &Status),
) -> Result<Vec<(RunId, Report)>, TrackingError> {
    let server = settings.identity()?;
    runtime()?.block_on(async {
        let mut engine = Engine::new(settings.clone());
        let mut reports = Vec::new();
        for run in runs {
            let report = sync_run(&mut engine, &server, run, &mut on_progress).await?;
            reports.push((run.id().clone(), report));
        }
        Ok(reports)
    })
}

async fn sync_run(
    engine: &mut Engine,
    server: &str,
    run: &RunDir,
    on_progress: &mut impl FnMut(&RunDir, &Status),
) -> Result<Report, TrackingError> {
    let broken = |error: &TrackingError| Report {
        left: journal_records(run),
        error: Some(error.to_string()),
        ..Report::default()
    };
    let mut ship = match RunShip::open(run.clone(), server) {
        Ok(Some(ship)) => ship,
        Ok(None) => {
            return Ok(broken(&TrackingError::Busy {
                run: run.id().short().to_owned(),
            }));
        }
        Err(error) => return Ok(broken(&error)),
    };
    let mut show = |engine: &Engine, ship: &RunShip, reason: Option<String>| {
        on_progress(run, &status(engine, ship, reason));
    };
    show(engine, &ship, None);
    let error = loop {
        match engine.step(&mut ship).await {
            Outcome::Sent | Outcome::CaughtUp => show(engine, &ship, None),
            Outcome::Idle => break None,
            Outcome::Later { pause, reason } => {
                show(engine, &ship, Some(reason.clone()));
                if engine.down_for().is_some_and(|time| time > OUT_OF_REACH) {
                    return Err(TrackingError::Unreachable(reason));
                }
                let impatient = engine.down_for().is_some();
                let pause = if impatient {
                    pause.min(IMPATIENT)
                } else {
                    pause
                };
                tokio::time::sleep(pause).await;
            }
            Outcome::Broken(error) if engine.base().is_none() => return Err(error),
            Outcome::Broken(error) => break Some(error.to_string()),
        }
    };
    show(engine, &ship, None);
    Ok(Report {
        left: ship.total() - ship.shipped(),
        set_aside: ship.set_aside(),
        run_url: engine.base().and_then(|base| ship.url(base)),
        error,
    })
}

fn status(engine: &Engine, ship: &RunShip, trouble: Option<String>) -> Status {
    Status {
        server: match (trouble, engine.base()) {
            (Some(reason), _) => ServerStatus::Down { reason },
            (None, Some(url)) => ServerStatus::Up {
                url: url.to_owned(),
            },
            (None, None) => ServerStatus::Starting,
        },
        run_url: engine.base().and_then(|base| ship.url(base)),
        shipped: ship.shipped(),
        total: ship.total(),
        warnings: ship.warnings().cloned().collect(),
    }
}

/// Whether the server lacks something that the journal of a run holds, as far
/// as the run's cursor knows. Asks no server.
pub fn is_behind(run: &RunDir, settings: &Settings) -> Result<bool, TrackingError> {
    let server = settings.identity()?;
    let length = std::fs::metadata(run.journal_path()).map_or(0, |meta| meta.len());
    let cursor = Cursor::read(run).filter(|cursor| cursor.is_for(&server));
    Ok(length > cursor.map_or(0, |cursor| cursor.offset))
}

/// The MLflow settings that a run was made with. What concerns the store's own
/// server is left out: the store knows it best.
pub fn settings_of(manifest: &Manifest) -> Mlflow {
    Mlflow {
        port: None,
        artifact_root: None,
        ..mlflow_of(&manifest.config)
    }
}
