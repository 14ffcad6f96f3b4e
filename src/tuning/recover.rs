//! Puts a study right that an explr left in the middle.
//!
//! A trial is running in the study's journal although nobody runs it. Its run
//! knows more: it may have come to its end before the study heard of it.

use super::objective::{Objective, Verdict, judge};
use super::recipe::Recipe;
use super::{conclude, export};
use crate::Error;
use crate::store::journal::Reader;
use crate::store::{RunDir, Store};
use explr_protocol::Event;
use explr_study::{Study, StudyLock, TrialState};

/// Gives every running trial of explr's own its end, or hands it back to be
/// run again. Nobody else runs them: `lock` says so.
pub(super) fn recover(
    study: &mut Study,
    store: &Store,
    lock: &StudyLock,
    objectives: &[Objective],
    recipe: &Recipe,
) -> Result<(), Error> {
    let left: Vec<(u64, RunDir)> = study
        .history()
        .trials()
        .iter()
        .filter(|trial| trial.state == TrialState::Running)
        .filter_map(|trial| Some((trial.number, store.run(export::run_of(trial)?).ok()?)))
        .collect();
    for (number, dir) in left {
        let summary = dir.summary()?;
        let verdict = judge(
            summary.state,
            summary.result.as_ref(),
            summary.failure.as_ref(),
            objectives,
            recipe.prunes_oom(),
        );
        if let Verdict::Over(finish, failure) = verdict {
            catch_up(study, number, &dir)?;
            let failure = failure.as_ref();
            conclude(study, number, finish, failure, &recipe.loaded, &dir)?;
        }
    }
    study.release_orphans(lock)?;
    Ok(())
}

/// Tells the study what the trial reported and it has not heard.
fn catch_up(study: &mut Study, number: u64, dir: &RunDir) -> Result<(), Error> {
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
    Ok(())
}
