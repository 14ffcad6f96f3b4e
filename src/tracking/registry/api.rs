//! The calls of MLflow's registry that explr makes.

use super::model::{ModelVersion, RegisteredModel, SentModel, SentVersion};
use crate::tracking::api::{ARTIFACT, RUN_UUID};
use crate::tracking::client::{CallError, Client};
use serde::Deserialize;
use serde_json::{Value, json};

/// A version to make.
#[derive(Debug)]
pub(super) struct NewVersion<'a> {
    pub(super) name: &'a str,
    pub(super) source: String,
    /// The run at the server.
    pub(super) mlflow_run: &'a str,
    /// The logged model at the server, if there is one.
    pub(super) model_id: Option<&'a str>,
    pub(super) run: &'a str,
    pub(super) artifact: &'a str,
}

#[derive(Deserialize)]
struct Models {
    #[serde(default)]
    registered_models: Vec<SentModel>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    model_versions: Vec<SentVersion>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct Version {
    model_version: SentVersion,
}

impl Client {
    pub(super) async fn registered_models(&self) -> Result<Vec<RegisteredModel>, CallError> {
        let (mut models, mut token) = (Vec::new(), String::new());
        loop {
            let query = [("max_results", "500"), ("page_token", token.as_str())];
            let page: Models = self.get("registered-models/search", paged(&query)).await?;
            models.extend(page.registered_models.into_iter().map(Into::into));
            if page.next_page_token.is_empty() {
                return Ok(models);
            }
            token = page.next_page_token;
        }
    }

    /// None where there is no such name.
    pub(super) async fn registered_model(
        &self,
        name: &str,
    ) -> Result<Option<RegisteredModel>, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            registered_model: SentModel,
        }
        let query = [("name", name)];
        let found = self.get::<Answer>("registered-models/get", &query);
        Ok(existing(found.await)?.map(|answer| answer.registered_model.into()))
    }

    /// Makes a name, unless it is there.
    pub(super) async fn ensure_registered_model(&self, name: &str) -> Result<(), CallError> {
        let request = json!({"name": name});
        match self
            .post::<Value>("registered-models/create", &request)
            .await
        {
            Err(error) if error.code() != Some("RESOURCE_ALREADY_EXISTS") => Err(error),
            _ => Ok(()),
        }
    }

    /// The versions of a model, without their aliases.
    pub(super) async fn versions_of(&self, name: &str) -> Result<Vec<ModelVersion>, CallError> {
        // MLflow knows no way to write a quote within quotes.
        let quote = if name.contains('\'') { '"' } else { '\'' };
        self.find_versions(&format!("name = {quote}{name}{quote}"))
            .await
    }

    /// The versions that come from a run at the server, of any name.
    pub(super) async fn versions_from(&self, run: &str) -> Result<Vec<ModelVersion>, CallError> {
        self.find_versions(&format!("run_id = '{run}'")).await
    }

    async fn find_versions(&self, filter: &str) -> Result<Vec<ModelVersion>, CallError> {
        let (mut versions, mut token) = (Vec::new(), String::new());
        loop {
            let query = [
                ("filter", filter),
                ("max_results", "1000"),
                ("page_token", token.as_str()),
            ];
            let page: Versions = self.get("model-versions/search", paged(&query)).await?;
            versions.extend(page.model_versions.into_iter().map(Into::into));
            if page.next_page_token.is_empty() {
                return Ok(versions);
            }
            token = page.next_page_token;
        }
    }

    /// A version; none where there is no such number.
    pub(super) async fn version_of(
        &self,
        name: &str,
        number: u64,
    ) -> Result<Option<ModelVersion>, CallError> {
        let version = number.to_string();
        let query = [("name", name), ("version", version.as_str())];
        let found = self.get::<Version>("model-versions/get", &query);
        Ok(existing(found.await)?.map(|answer| answer.model_version.into()))
    }

    /// Not idempotent: look among the versions from the run first.
    pub(super) async fn create_version(
        &self,
        new: &NewVersion<'_>,
    ) -> Result<ModelVersion, CallError> {
        let mut request = json!({
            "name": new.name,
            "source": new.source,
            "run_id": new.mlflow_run,
            "tags": [
                {"key": RUN_UUID, "value": new.run},
                {"key": ARTIFACT, "value": new.artifact},
            ],
        });
        if let Some(id) = new.model_id {
            request["model_id"] = id.into();
        }
        let answer: Version = self.post("model-versions/create", &request).await?;
        Ok(answer.model_version.into())
    }

    /// Moves an alias to a version, from whichever had it.
    pub(super) async fn set_alias(
        &self,
        name: &str,
        alias: &str,
        number: u64,
    ) -> Result<(), CallError> {
        let request = json!({"name": name, "alias": alias, "version": number.to_string()});
        let set = self.post::<Value>("registered-models/alias", &request);
        set.await.map(drop)
    }
}

/// A query without the token of a page where there is none: an empty one is
/// refused.
fn paged<'a>(query: &'a [(&'a str, &'a str)]) -> &'a [(&'a str, &'a str)] {
    match query.split_last() {
        Some(((_, ""), rest)) => rest,
        _ => query,
    }
}

fn existing<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
