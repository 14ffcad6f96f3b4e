//! What a crash left behind (promise P3).

use super::folder::UNFINISHED;
use super::journal::{self, Writer};
use super::{Result, RunDir, RunId, RunLock, Store, StoreError, inbox, remove};
use explr_protocol::{Event, Failure, FailureClass, Record, RunState};
use std::time::{Duration, Instant};

/// A worker outlives its orchestrator by up to a second, and writes until
/// then. All runs together wait no longer than this for theirs.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What the journal says of a run whose orchestrator vanished.
const VANISHED: &str = "explr itself ended without a word (killed, or the machine went down)";

impl Store {
    /// Gives a final state to every run that has none and that no process
    /// works on, and returns those runs. Reads only the last line of a journal
    /// that ends with its final state.
    ///
    /// A run whose train function had already returned a usable result becomes
    /// completed, any other interrupted. Runs with a damaged journal are left
    /// alone; whoever reads them is told.
    pub fn reconcile(&self) -> Result<Vec<RunId>> {
        let deadline = Instant::now() + PATIENCE;
        let mut changed = Vec::new();
        for run in self.runs()? {
            match reconcile(&run, deadline) {
                Ok(true) => changed.push(run.id().clone()),
                Ok(false) => {}
                Err(error) if concerns_one_run(&error) => {}
                Err(error) => return Err(error),
            }
        }
        remove::sweep(&self.runs_dir(), UNFINISHED);
        Ok(changed)
    }
}

/// Whether the other runs can be reconciled all the same.
fn concerns_one_run(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged { .. }
        | StoreError::JournalBusy { .. }
        | StoreError::BadFile { .. } => true,
        // Removed by another process in the meantime, or replaced by a link.
        StoreError::Io { source, .. } => matches!(
            source.raw_os_error(),
            Some(nix::libc::ENOENT | nix::libc::ELOOP)
        ),
        _ => false,
    }
}

fn reconcile(run: &RunDir, deadline: Instant) -> Result<bool> {
    let journal = run.journal_path();
    let last = journal::last_record(&journal)?;
    if last.as_ref().is_some_and(is_end) || run.is_locked()? {
        return Ok(false);
    }
    let Some(_lock) = RunLock::try_take(&run.lock_path())? else {
        return Ok(false);
    };
    // Under the lock: nothing changes any more, once the worker is gone.
    let patience = deadline.saturating_duration_since(Instant::now());
    let mut writer = Writer::open_within(&journal, patience)?;
    let attempt = run.summary()?.attempt;
    inbox::settle(run, attempt, &mut writer)?;
    let summary = run.summary()?;
    if summary.state.is_final() {
        return Ok(false);
    }
    let finished = summary
        .result
        .is_some_and(|result| result.primary_metric.is_finite() && !result.stopped_early);
    writer.append(&Event::State {
        state: if finished {
            RunState::Completed
        } else {
            RunState::Interrupted
        },
        attempt: summary.attempt.max(1),
        failure: (!finished).then(|| Failure {
            class: FailureClass::Exit,
            message: VANISHED.to_owned(),
            location: None,
            log_tail: Vec::new(),
        }),
    })?;
    Ok(true)
}

fn is_end(record: &Record) -> bool {
    matches!(&record.event, Event::State { state, .. } if state.is_final())
}
