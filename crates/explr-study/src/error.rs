use crate::description::distribution_changes;
use crate::distribution::{Distribution, DistributionError};
use crate::space::SpaceError;
use crate::storage::StorageError;
use crate::trial::TrialState;
use serde_json::Value;
use std::path::PathBuf;

/// Why a study could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The search space is wrong.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A distribution is wrong.
    #[error(transparent)]
    Distribution(#[from] DistributionError),
    /// The journal can't be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The study was begun with other settings.
    #[error(
        "study `{study}` was begun differently: {}{}",
        differences.join("; "),
        if *forceable { "" } else { "; only a study of a new name can be so" }
    )]
    Differs {
        /// The study.
        study: String,
        /// What differs, one line each.
        differences: Vec<String>,
        /// Whether the study can go on with the new settings.
        forceable: bool,
    },
    /// The journal holds no such study.
    #[error("{} holds no study `{study}`", path.display())]
    NoStudy {
        /// The study.
        study: String,
        /// The journal.
        path: PathBuf,
    },
    /// Someone deleted the study.
    #[error("study `{study}` was deleted")]
    Deleted {
        /// The study.
        study: String,
    },
    /// A study looks for something.
    #[error("a study needs at least one objective")]
    NoObjective,
    /// Not each objective has one name.
    #[error("there are {names} name(s) for {objectives} objective(s)")]
    MetricNames {
        /// Names given.
        names: usize,
        /// Objectives of the study.
        objectives: usize,
    },
    /// There is no such trial.
    #[error("there is no trial {number} in study `{study}`")]
    NoTrial {
        /// The study.
        study: String,
        /// The trial's number.
        number: u64,
    },
    /// The trial is not in a state for this.
    #[error("trial {number} is {state}")]
    NotRunning {
        /// The trial's number.
        number: u64,
        /// Its state.
        state: TrialState,
    },
    /// A trial was told another number of values than there are objectives.
    #[error("trial {number} has {given} value(s), the study {wanted} objective(s)")]
    Objectives {
        /// The trial's number.
        number: u64,
        /// Values given.
        given: usize,
        /// Objectives of the study.
        wanted: usize,
    },
    /// A parameter was asked for again with another distribution.
    #[error(
        "a parameter can't change so within a study: {}",
        changes(name, old, new)
    )]
    Incompatible {
        /// The parameter.
        name: String,
        /// What it was.
        old: Box<Distribution>,
        /// What it is asked to be.
        new: Box<Distribution>,
    },
    /// A value that the parameter can't have.
    #[error("the parameter `{name}` can't be {value}")]
    NotAllowed {
        /// The parameter.
        name: String,
        /// The value.
        value: Value,
    },
    /// There is no such parameter, or it is of another type.
    #[error("trial {number} has no parameter `{name}` that is {wanted}")]
    NoParam {
        /// The trial's number.
        number: u64,
        /// The parameter.
        name: String,
        /// The type.
        wanted: &'static str,
    },
    /// An option of the pruner can't be.
    #[error(transparent)]
    Pruner(#[from] crate::pruner::PrunerError),
    /// The sampler can't handle this study.
    #[error("the sampler `{sampler}` {why}")]
    Sampler {
        /// The sampler.
        sampler: &'static str,
        /// Why.
        why: String,
    },
    /// The objective function failed.
    #[error("{0}")]
    Objective(crate::ObjectiveError),
}

fn changes(name: &str, old: &Distribution, new: &Distribution) -> String {
    distribution_changes(name, old, new).join("; ")
}
