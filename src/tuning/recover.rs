//! Puts a study right that an explr left in the middle.
//!
//! A trial is running in the study's journal although nobody runs it. Its run
//! knows more: it may have come to its end before the study heard of it.

use super::objective::{Objective, Verdict, judge};
use super::{export, note_failure};
use crate::Error;
use crate::store::journal::Reader;
use crate::store::{RunDir, Store};
use explr_protocol::Event;
use explr_study::{Finish, Study, StudyLock, TrialState};

/// Gives every running trial of explr's own its end, or hands it back to be
/// run again. Nobody else runs them: `lock` says so.
pub(super) fn recover(
    study: &mut Study,
    store: &Store,
    lock: &StudyLock,
    objectives: &[Objective],
    prune_oom: bool,
) -> Result<(), Error> {
    let left: Vec<(u64, RunDir)> = study
        .history()
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Running)
        .filter_map(|trial| Some((trial.number, store.run(export::run_of(trial)?).ok()?)))
        .collect();
    for (number, run) in left {
        if let Some(finish) = end_of(study, number, &run, objectives, prune_oom)? {
            study.tell(number, finish)?;
        }
    }
    study.release_orphans(lock)?;
    Ok(())
}

/// How the trial's run ended, if it did. What it reported and the study has
/// not heard is told on the way.
fn end_of(
    study: &mut Study,
    number: u64,
    dir: &RunDir,
    objectives: &[Objective],
    prune_oom: bool,
) -> Result<Option<Finish>, Error> {
    let summary = dir.summary()?;
    let verdict = judge(
        summary.state,
        summary.result.as_ref(),
        summary.failure.as_ref(),
        objectives,
        prune_oom,
    );
    let Verdict::Over(finish, failure) = verdict else {
        return Ok(None);
    };
    if let Some(failure) = &failure {
        note_failure(study, number, failure)?;
    }
    for entry in Reader::open(&dir.journal_path(), 0)? {
        if let Event::Report { step, value } = entry?.record.event {
            let known = study
                .history()
                .trial(number)
                .is_some_and(|trial| trial.intermediate.contains_key(&step));
            if !known {
                study.report(number, step, value)?;
            }
        }
    }
    Ok(Some(finish))
}
