//! Studies: many runs of one train function, each with other parameters.
//!
//! A [`TuneRequest`] comes in. A [`Study`] proposes parameters and decides
//! what is pruned; the scheduler here makes a run of each trial, in a worker
//! of its own on a slot of its own, and tells the study what came of it. What
//! happens goes out as [`StudyEvent`](crate::report::study::StudyEvent)s, what
//! it means comes back as a [`StudyOutcome`]. A sweep is a study too: its
//! sampler has a list.
//!
//! Order of writing, so that a kill between any two steps loses nothing: the
//! study's journal gets the trial, with the id of its run; the run lives, and
//! its journal gets its end; the study's journal gets the trial's end.
//! `recover` reads the two against each other.
//!
//! Promises kept here: a study that is killed and started again goes on toward
//! the same total, no number is used twice (P4), nothing is left running (P3),
//! one job and one seed give the same trials (P9).

pub mod export;
mod files;
mod ledger;
mod make;
mod nursery;
mod objective;
mod outcome;
mod parent;
mod recipe;
mod recover;
mod request;
mod sweep;
mod trial;
mod tuner;

pub use ledger::End;
pub use outcome::StudyOutcome;
pub use request::{SweepRequest, Trials, TuneRequest};
pub use sweep::{Chosen, label};
pub use tuner::{sweep, tune};

use crate::config::Loaded;
use crate::runner;
use crate::store::RunDir;
use explr_protocol::Failure;
use explr_study::{Finish, Study, StudyError};

/// Note of a study, and of a trial: the id of its run.
pub const RUN_ATTR: &str = "explr:run";
/// Note of a failed trial: why, beginning with the class of the failure.
pub const FAILURE_ATTR: &str = "explr:failure";

/// Gives a trial its end. Its run, in `dir`, has come to its own.
fn conclude(
    study: &mut Study,
    number: u64,
    finish: Finish,
    failure: Option<&Failure>,
    loaded: &Loaded,
    dir: &RunDir,
) -> Result<(), StudyError> {
    if let Some(failure) = failure {
        let text = format!("{}: {}", failure.class, failure.message);
        study.set_trial_attr(number, FAILURE_ATTR, text.into())?;
    }
    if finish == Finish::Pruned && !loaded.config.tune.keep_pruned_checkpoints {
        // They can be made again; that they stay harms nobody.
        let _ = std::fs::remove_dir_all(runner::checkpoints(loaded, dir));
    }
    study.tell(number, finish)
}
