use super::api::NewVersion;
use super::choose::{choose, model_artifacts};
use super::{ModelVersion, Registry};
use crate::store::RunDir;
use crate::tracking::TrackingError;
use crate::tracking::cursor::{Cursor, ShipLock};
use serde::Serialize;
use std::collections::BTreeMap;

/// A version, and what had to be done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// The version.
    pub version: ModelVersion,
    /// It was not there before.
    pub created: bool,
}

impl Registry {
    /// Makes a version of a model out of what a run has logged, unless there is
    /// one of that name, and gives it an alias. The run must have been shipped;
    /// `artifact` may be left out if only one of its artifacts is a model.
    pub fn register(
        &self,
        run: &RunDir,
        artifact: Option<&str>,
        name: &str,
        alias: Option<&str>,
    ) -> Result<Registered, TrackingError> {
        // Two at once would make two versions.
        let Some(_lock) = ShipLock::take(run)? else {
            return Err(TrackingError::Busy {
                run: run.id().short().to_owned(),
            });
        };
        (self.runtime).block_on(self.register_locked(run, artifact, name, alias))
    }

    async fn register_locked(
        &self,
        run: &RunDir,
        artifact: Option<&str>,
        name: &str,
        alias: Option<&str>,
    ) -> Result<Registered, TrackingError> {
        let cursor = Cursor::read(run).filter(|cursor| cursor.is_for(&self.server));
        let (run_id, cursor) = cursor
            .and_then(|cursor| Some((cursor.run_id.clone()?, cursor)))
            .ok_or_else(|| TrackingError::RefusedModel("the run has yet to be brought".into()))?;
        // Calls of MLflow's own in the train function log models past explr.
        let logged = self.client.logged_models(&cursor.experiment_id, &run_id);
        let mut ids = BTreeMap::new();
        // The newest of a name comes first.
        for model in logged.await.map_err(self.trouble())? {
            ids.entry(model.name).or_insert(model.id);
        }
        ids.extend(
            cursor
                .models
                .into_iter()
                .map(|(name, model)| (name, model.id)),
        );
        let mut models = model_artifacts(run)?;
        models.extend(ids.keys().cloned());
        let artifact = choose(run, models, artifact)?;
        let model_id = ids.get(&artifact);
        let new = NewVersion {
            name,
            source: match model_id {
                Some(id) => format!("models:/{id}"),
                None => format!("runs:/{run_id}/{artifact}"),
            },
            mlflow_run: &run_id,
            model_id: model_id.map(String::as_str),
            run: run.id().as_str(),
            artifact: &artifact,
        };
        let is_it = |version: &ModelVersion| {
            version.name == name
                && (version.artifact.as_deref() == Some(&artifact) || version.source == new.source)
        };
        let known = (self.client.versions_from(&run_id).await).map_err(self.trouble())?;
        let known = (known.into_iter().filter(is_it)).min_by_key(|version| version.number);
        let (number, created) = match known {
            Some(version) => (version.number, false),
            None => (self.create(&new).await?.number, true),
        };
        if let Some(alias) = alias {
            (self.client.set_alias(name, alias, number).await).map_err(self.trouble())?;
        }
        let version = (self.client.version_of(name, number).await).map_err(self.trouble())?;
        let gone = || TrackingError::RefusedModel(format!("version {number} is gone again"));
        Ok(Registered {
            version: version.ok_or_else(gone)?,
            created,
        })
    }

    async fn create(&self, new: &NewVersion<'_>) -> Result<ModelVersion, TrackingError> {
        (self.client.ensure_registered_model(new.name).await).map_err(self.trouble())?;
        self.client
            .create_version(new)
            .await
            .map_err(self.trouble())
    }
}
