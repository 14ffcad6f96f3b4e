use super::api::NewVersion;
use super::{ModelVersion, Registry};
use crate::store::RunDir;
use crate::tracking::TrackingError;
use crate::tracking::cursor::{Cursor, ShipLock};
use serde::Serialize;

/// A version, and what had to be done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// The version.
    pub version: ModelVersion,
    /// It was not there before.
    pub created: bool,
}

impl Registry {
    /// Makes a version of a model out of an artifact of a run, which has been
    /// shipped, unless there is one of that name; and gives it an alias.
    pub fn register(
        &self,
        run: &RunDir,
        artifact: &str,
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
        artifact: &str,
        name: &str,
        alias: Option<&str>,
    ) -> Result<Registered, TrackingError> {
        let cursor = Cursor::read(run).filter(|cursor| cursor.is_for(&self.server));
        let (run_id, models) = cursor
            .and_then(|cursor| Some((cursor.run_id?, cursor.models)))
            .ok_or_else(|| TrackingError::RefusedModel("the run has yet to be brought".into()))?;
        let logged = models.get(artifact);
        let new = NewVersion {
            name,
            source: match logged {
                Some(model) => format!("models:/{}", model.id),
                None => format!("runs:/{run_id}/{artifact}"),
            },
            mlflow_run: &run_id,
            model_id: logged.map(|model| model.id.as_str()),
            run: run.id().as_str(),
            artifact,
        };
        let is_it = |version: &ModelVersion| {
            version.name == name
                && (version.artifact.as_deref() == Some(artifact) || version.source == new.source)
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
