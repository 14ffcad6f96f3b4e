use super::artifacts::{self, Uploaded};
use super::batch::Batch;
use super::client::{CallError, Client, Remedy};
use super::cursor::{Cursor, Lines, ShipLock};
use super::describe::FAILURE;
use super::session::Session;
use super::unit::{LongValue, StatusChange, Unit, Units, Work};
use super::{TrackingError, api, retry};
use crate::store::journal::{Reader, last_record};
use crate::store::{Manifest, RunDir};
use explr_protocol::{Event, Record};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

mod artifact;
mod enter;

/// How many requests may be spent on finding what the server refuses in one
/// batch.
const SEARCH: usize = 64;
/// Different warnings that are kept.
const WARNINGS: usize = 20;

/// One run on its way to the server. The only one that writes its cursor.
#[derive(Debug)]
pub(super) struct RunShip {
    run: RunDir,
    manifest: Manifest,
    cursor: Cursor,
    /// What the cursor belongs to.
    server: String,
    units: Units,
    /// What is being sent. Kept until it is acknowledged, so that a repeated
    /// request is the same to the byte.
    unit: Option<Unit>,
    uploaded: Uploaded,
    /// The run was seen at the server since the last trouble with it.
    present: bool,
    /// Nobody has tried to create the run at a server.
    untried: bool,
    /// Answers 500 to the current unit.
    stumbles: u32,
    warnings: BTreeSet<String>,
    _lock: ShipLock,
}

/// What one step did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something was acknowledged; there is more.
    Sent,
    /// The last of what the journal held was acknowledged.
    CaughtUp,
    /// All that the journal holds is at the server.
    Idle,
}

/// Why a step did nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server can't be used now.
    Wait {
        asked: Option<Duration>,
        reason: String,
    },
    /// The run can't be shipped.
    Broken(TrackingError),
}

impl From<TrackingError> for Trouble {
    fn from(error: TrackingError) -> Self {
        Self::Broken(error)
    }
}

impl From<crate::store::StoreError> for Trouble {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Broken(error.into())
    }
}

impl RunShip {
    /// Takes the run for shipping; none if another process has it.
    pub(super) fn open(run: RunDir, server: &str) -> Result<Option<Self>, TrackingError> {
        let Some(lock) = ShipLock::take(&run)? else {
            return Ok(None);
        };
        let manifest = run.manifest()?;
        let mut uploaded = Uploaded::load(&run);
        let known = Cursor::read(&run).filter(|cursor| cursor.is_for(server));
        let cursor = known.unwrap_or_else(|| {
            forget(&run, &mut uploaded);
            Cursor::new(server)
        });
        Ok(Some(Self {
            units: units(&run, &manifest, &cursor)?,
            server: server.to_owned(),
            run,
            manifest,
            cursor,
            unit: None,
            uploaded,
            present: false,
            untried: lock.is_first,
            stumbles: 0,
            warnings: BTreeSet::new(),
            _lock: lock,
        }))
    }

    pub(super) fn run(&self) -> &RunDir {
        &self.run
    }

    /// What the cursor belongs to.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Records at the server.
    pub(super) fn shipped(&self) -> u64 {
        self.cursor.records
    }

    /// Records in the journal.
    pub(super) fn total(&self) -> u64 {
        let last = last_record(&self.run.journal_path()).ok().flatten();
        last.map_or(0, |record| record.seq + 1).max(self.shipped())
    }

    pub(super) fn set_aside(&self) -> u64 {
        self.cursor.set_aside
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter()
    }

    /// The page of the run.
    pub(super) fn url(&self, base: &str) -> Option<String> {
        let run = self.cursor.run_id.as_ref()?;
        let experiment = &self.cursor.experiment_id;
        // Without the last part the page is that of a language model's call.
        Some(format!(
            "{base}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
        ))
    }

    /// Whether the run has come to its end, and all of it is at the server. A
    /// run that a process works on may go on.
    pub(super) fn is_over(&self) -> bool {
        let at_end = |last: &Record| {
            let ended = matches!(&last.event, Event::State { state, .. } if state.is_final());
            ended && last.seq + 1 == self.shipped()
        };
        let last = last_record(&self.run.journal_path()).ok().flatten();
        last.is_some_and(|last| at_end(&last)) && self.run.is_locked().is_ok_and(|locked| !locked)
    }

    /// Sends the next unit of the journal.
    pub(super) async fn step(&mut self, session: &mut Session) -> Result<Step, Trouble> {
        if !self.present {
            self.enter(session).await?;
        }
        if self.unit.is_none() {
            self.unit = self.units.next()?;
            self.stumbles = 0;
        }
        let Some(mut unit) = self.unit.take() else {
            return Ok(Step::Idle);
        };
        match self.send(&session.client, &mut unit.work).await {
            Ok(()) => self.acknowledge(&unit)?,
            Err(trouble) => {
                // Unless the run starts anew, the same again.
                if self.present {
                    self.unit = Some(unit);
                }
                return Err(trouble);
            }
        }
        if !self.present {
            session.forget_experiment(&self.manifest.experiment);
        }
        Ok(if unit.at_end && self.present {
            Step::CaughtUp
        } else {
            Step::Sent
        })
    }

    fn acknowledge(&mut self, unit: &Unit) -> Result<(), TrackingError> {
        if !self.present {
            return Ok(());
        }
        self.cursor.offset = unit.end_offset;
        self.cursor.records = unit.records;
        let known = &self.cursor.renamed;
        let count = known.metrics.len() + known.params.len() + known.tags.len();
        if self.units.renames() != count {
            self.cursor.renamed = self.units.renamed();
            let text = format!(
                "{} names hold characters that MLflow refuses; mlflow.json says how they were \
                 changed",
                self.units.renames()
            );
            self.warn(text);
        }
        self.cursor.write(&self.run)
    }

    /// Reads on from where the cursor stands.
    fn begin(&mut self, base: &str) -> Result<(), Trouble> {
        self.cursor.run_url = self.url(base);
        self.cursor.write(&self.run)?;
        self.units = units(&self.run, &self.manifest, &self.cursor)?;
        self.unit = None;
        self.present = true;
        Ok(())
    }

    fn run_id(&self) -> String {
        self.cursor.run_id.clone().unwrap_or_default()
    }

    /// Sends what a unit holds. What was acknowledged of it is taken out, so
    /// that it is not sent again when the rest needs another try.
    async fn send(&mut self, client: &Client, work: &mut Work) -> Result<(), Trouble> {
        let (batch, long_values, status) = match work {
            Work::Artifact(name) => return self.send_artifact(client, name).await,
            Work::Dataset(dataset) => {
                let sent = client.log_dataset(&self.run_id(), dataset).await;
                return self
                    .settle(client, sent, || json!({"dataset": dataset}))
                    .await;
            }
            Work::Log {
                batch,
                long_values,
                status,
            } => (batch, long_values, *status),
        };
        let models = self.cursor.models.values().map(|model| &model.id);
        let of_models = batch.results_of(models);
        self.send_batch(client, &of_models).await?;
        self.send_batch(client, batch).await?;
        *batch = Batch::default();
        while let Some(value) = long_values.last()
            && self.present
        {
            self.send_long_value(client, value).await?;
            long_values.pop();
        }
        match status.filter(|_| self.present) {
            Some(change) => self.send_status(client, change).await,
            None => Ok(()),
        }
    }

    async fn send_long_value(&mut self, client: &Client, value: &LongValue) -> Result<(), Trouble> {
        self.warn(format!(
            "a value too long for MLflow was cut; the whole is the artifact {}",
            value.file
        ));
        let (uri, run) = (&self.cursor.artifact_uri, self.run_id());
        let sent = artifacts::upload_text(client, uri, &run, &value.file, &value.text).await;
        self.settle(client, sent, || json!({"artifact": value.file}))
            .await
    }

    async fn send_batch(&mut self, client: &Client, batch: &Batch) -> Result<(), Trouble> {
        if batch.is_empty() {
            return Ok(());
        }
        let sent = client.log_batch(batch.body(&self.run_id())).await;
        match self.verdict(client, sent).await? {
            Verdict::Taken(()) | Verdict::Gone => Ok(()),
            Verdict::Refused(error) => self.find_refused(client, batch.clone(), error).await,
        }
    }

    /// Sends ever smaller parts of a refused batch and sets aside what is
    /// refused alone.
    async fn find_refused(
        &mut self,
        client: &Client,
        batch: Batch,
        error: CallError,
    ) -> Result<(), Trouble> {
        let run_id = self.run_id();
        let mut refused = Vec::new();
        let mut open = vec![(batch, error)];
        let mut calls = 0;
        while let Some((batch, error)) = open.pop() {
            let halves = if calls < SEARCH {
                batch.split()
            } else {
                Err(batch)
            };
            let (first, second) = match halves {
                Ok(halves) => halves,
                Err(whole) => {
                    refused.push((whole, error));
                    continue;
                }
            };
            for half in [first, second] {
                calls += 1;
                match client.log_batch(half.body(&run_id)).await {
                    Ok(()) => {}
                    Err(error) if matches!(error.remedy(), Remedy::Wait(_)) => {
                        return Err(wait(error));
                    }
                    Err(error) => open.push((half, error)),
                }
            }
        }
        for (batch, error) in refused {
            let count = batch.len() as u64;
            self.set_aside_as(&json!(batch), &error, count)?;
        }
        Ok(())
    }

    async fn send_status(&mut self, client: &Client, change: StatusChange) -> Result<(), Trouble> {
        let id = self.run_id();
        let StatusChange {
            status,
            end,
            recovered,
        } = change;
        let mut sent = Ok(());
        if recovered {
            sent = client.delete_tag(&id, FAILURE).await;
        }
        if sent.is_ok() {
            sent = client.update_run(&id, status, end).await;
        }
        self.settle(client, sent, || json!({"status": status}))
            .await
    }

    /// Deals with the answer to something that can't be divided.
    async fn settle(
        &mut self,
        client: &Client,
        answer: Result<(), CallError>,
        what: impl Fn() -> serde_json::Value,
    ) -> Result<(), Trouble> {
        match self.verdict(client, answer).await? {
            Verdict::Taken(()) | Verdict::Gone => Ok(()),
            Verdict::Refused(error) => Ok(self.set_aside_as(&what(), &error, 1)?),
        }
    }

    /// What an answer means, after a look at the server where it is unclear.
    async fn verdict<T>(
        &mut self,
        client: &Client,
        answer: Result<T, CallError>,
    ) -> Result<Verdict<T>, Trouble> {
        let error = match answer {
            Ok(taken) => {
                self.stumbles = 0;
                return Ok(Verdict::Taken(taken));
            }
            Err(error) => error,
        };
        let id = self.run_id();
        match error.remedy() {
            Remedy::Wait(_) => Err(wait(error)),
            Remedy::WaitBriefly => {
                self.stumbles += 1;
                if self.stumbles <= retry::SERVER_ERRORS {
                    return Err(wait(error));
                }
                // Does it stumble over this, or over everything?
                let uuid = self.manifest.run_id.as_str();
                match client.set_tag(&id, api::RUN_UUID, uuid).await {
                    Ok(()) => Ok(Verdict::Refused(error)),
                    Err(_) => Err(wait(error)),
                }
            }
            Remedy::SetAside => match client.run(&id).await.map_err(wait)? {
                Some(run) if !run.is_deleted() => Ok(Verdict::Refused(error)),
                _ => {
                    self.present = false;
                    Ok(Verdict::Gone)
                }
            },
        }
    }

    fn set_aside_as(
        &mut self,
        what: &serde_json::Value,
        error: &CallError,
        count: u64,
    ) -> Result<(), TrackingError> {
        let lines = Lines::rejected(&self.run);
        lines.append(&json!({"reason": error.to_string(), "refused": what}))?;
        self.cursor.set_aside += count;
        self.warn(format!(
            "MLflow refused some of what was logged ({error}); it is in {}",
            lines.path.display()
        ));
        Ok(())
    }

    fn leave_out(&mut self, name: &str, reason: &str) -> Result<(), TrackingError> {
        let lines = Lines::rejected(&self.run);
        lines.append(&json!({"reason": reason, "refused": {"artifact": name}}))?;
        self.cursor.set_aside += 1;
        self.warn(format!("artifact {name} was not uploaded: {reason}"));
        Ok(())
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.insert(text);
        }
    }
}

/// What the server made of a request.
enum Verdict<T> {
    Taken(T),
    /// It is there, and will never take it.
    Refused(CallError),
    /// The run is not there any more: all starts anew.
    Gone,
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn wait(error: CallError) -> Trouble {
    Trouble::Wait {
        asked: match error.remedy() {
            Remedy::Wait(asked) => asked,
            Remedy::WaitBriefly | Remedy::SetAside => None,
        },
        reason: error.to_string(),
    }
}

/// A run or experiment that the server will never take.
fn refused_run(error: CallError) -> Trouble {
    match error.remedy() {
        Remedy::SetAside => Trouble::Broken(TrackingError::Refused(error.to_string())),
        _ => wait(error),
    }
}

fn units(run: &RunDir, manifest: &Manifest, cursor: &Cursor) -> Result<Units, TrackingError> {
    let reader = Reader::resume(&run.journal_path(), cursor.offset, cursor.records)?;
    let trial = manifest.parent().is_some();
    Ok(Units::new(
        reader,
        cursor.records,
        cursor.renamed.clone(),
        trial,
    ))
}

/// What was noted about another server, or another run there, is void.
fn forget(run: &RunDir, uploaded: &mut Uploaded) {
    uploaded.forget();
    Lines::rejected(run).remove();
}
