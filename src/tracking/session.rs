use super::api::RunInfo;
use super::client::{CallError, Client};
use crate::store::{Manifest, RunId};
use std::collections::BTreeMap;

/// A server in use, and what is known of it. So a trial costs no request but
/// those that bring something.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Ids of experiments, by name.
    experiments: BTreeMap<String, String>,
    /// The runs of studies that were seen there, and their ids.
    studies: BTreeMap<RunId, String>,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            experiments: BTreeMap::new(),
            studies: BTreeMap::new(),
        }
    }

    /// The experiment of a run: found, restored or created, unless it is known.
    pub(super) async fn experiment(&mut self, of: &Manifest) -> Result<String, CallError> {
        if let Some(id) = self.experiments.get(&of.experiment) {
            return Ok(id.clone());
        }
        let (name, note) = (&of.experiment, of.description.as_deref());
        let id = self.client.ensure_experiment(name, note).await?;
        self.experiments.insert(name.clone(), id.clone());
        Ok(id)
    }

    pub(super) fn knows_experiment(&self, name: &str) -> bool {
        self.experiments.contains_key(name)
    }

    /// The experiment may have been deleted since it was seen.
    pub(super) fn forget_experiment(&mut self, name: &str) {
        self.experiments.remove(name);
    }

    /// The run with this id, restored if it was deleted; none if the server
    /// has it no more.
    pub(super) async fn run(
        &mut self,
        id: &str,
        manifest: &Manifest,
    ) -> Result<Option<RunInfo>, CallError> {
        let found = self.client.run(id).await?;
        if !found.as_ref().is_some_and(RunInfo::is_deleted) {
            return Ok(found);
        }
        // An experiment takes its runs along when it is deleted.
        self.forget_experiment(&manifest.experiment);
        self.experiment(manifest).await?;
        self.client.restore_run(id).await?;
        Ok(found)
    }

    /// The id of a study's run that was seen at the server.
    pub(super) fn study(&self, run: &RunId) -> Option<&String> {
        self.studies.get(run)
    }

    pub(super) fn remember_study(&mut self, run: &RunId, id: String) {
        self.studies.insert(run.clone(), id);
    }
}
