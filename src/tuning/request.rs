use super::sweep::Chosen;
use crate::config::Loaded;
use crate::runner::{Request, Resume};
use explr_protocol::TrainFunction;
use std::sync::Arc;

/// How many trials a study is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trials {
    /// As the configuration says.
    #[default]
    Configured,
    /// So many in all, those of earlier commands included.
    Total(u64),
    /// So many more than there are.
    More(u64),
    /// As many as the sampler has.
    Unlimited,
}

/// A study to begin or to go on with.
#[derive(Clone)]
pub struct TuneRequest {
    /// The configuration.
    pub loaded: Loaded,
    /// A function of this program, instead of a plugin's.
    pub function: Option<Arc<dyn TrainFunction>>,
    /// How many trials.
    pub trials: Trials,
    /// Go on although the configuration no longer fits the study.
    pub force: bool,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// A sweep to run, or to complete.
#[derive(Clone)]
pub struct SweepRequest {
    /// Its name: that of the study that remembers it.
    pub name: String,
    /// What distinguishes each run, and its configuration. Never empty. The
    /// first one says where the store is, how it is tracked, and how many run
    /// at a time.
    pub entries: Vec<(Chosen, Loaded)>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// A run with this configuration.
pub(super) fn run_request(
    loaded: &Loaded,
    function: Option<&Arc<dyn TrainFunction>>,
    command: &[String],
) -> Request {
    Request {
        loaded: loaded.clone(),
        function: function.map(Arc::clone),
        in_process: false,
        resume: Resume::Never,
        command: command.to_vec(),
    }
}
