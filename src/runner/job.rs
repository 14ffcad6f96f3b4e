use super::plan::Code;
use super::resources::Granted;
use crate::config::Loaded;
use crate::store::Manifest;
use explr_protocol::{TrainFunction, TrialRef, control};
use std::path::PathBuf;
use std::sync::Arc;

/// One run to be made, decided in every respect: what a single run and a
/// trial of a study have in common.
#[derive(Clone)]
pub(crate) struct Job {
    /// The configuration, with the run's own hyperparameters and seed.
    pub(crate) loaded: Loaded,
    pub(crate) manifest: Manifest,
    /// The code as the configuration gives it, and as a worker takes it.
    pub(crate) source: Code,
    pub(crate) code: control::Code,
    /// The function of this program, when the code is that.
    pub(crate) function: Option<Arc<dyn TrainFunction>>,
    pub(crate) in_process: bool,
    pub(crate) granted: Granted,
    pub(crate) trial: Option<TrialRef>,
}

impl Job {
    /// Where the plugin comes from, if the function is in one.
    pub(crate) fn plugin(&self) -> Option<PathBuf> {
        match &self.source {
            Code::Plugin(path) | Code::Crate(path) => Some(path.clone()),
            Code::Python(_) | Code::Command(_) | Code::Program => None,
        }
    }
}
