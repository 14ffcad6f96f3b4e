//! Logged models: how MLflow 3 knows that a folder is a model, and of which
//! run.

use super::api::ARTIFACT;
use super::batch::Pair;
use super::client::{CallError, Client};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A model at the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LoggedModel {
    #[serde(rename = "model_id")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    /// Where the server wants its files.
    pub(super) artifact_uri: String,
}

#[derive(Deserialize)]
struct Model {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(flatten)]
    model: LoggedModel,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Created {
    model: Model,
}

/// A logged model to find or make.
#[derive(Debug)]
pub(super) struct NewModel<'a> {
    pub(super) experiment_id: &'a str,
    /// The run at the server.
    pub(super) run_id: &'a str,
    pub(super) name: &'a str,
    pub(super) tags: Vec<Pair>,
}

/// Whether MLflow takes this as a logged model's name.
pub(super) fn is_model_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', ':', '.', '%', '"', '\''])
}

impl Client {
    /// The model of this name that a run has logged, made if there is none.
    /// None where the server is older than logged models.
    pub(super) async fn ensure_logged_model(
        &self,
        new: &NewModel<'_>,
    ) -> Result<Option<LoggedModel>, CallError> {
        // Creating is not idempotent: perhaps an earlier try got through.
        let found = match self.find_logged_model(new).await {
            Err(error) if error.is_unknown_call() => return Ok(None),
            found => found?,
        };
        if found.is_some() {
            return Ok(found);
        }
        let mut tags = new.tags.clone();
        tags.push(Pair {
            key: ARTIFACT.to_owned(),
            value: new.name.to_owned(),
        });
        let request = json!({
            "experiment_id": new.experiment_id,
            "name": new.name,
            "source_run_id": new.run_id,
            "tags": tags,
        });
        let created: Created = self.post("logged-models", &request).await?;
        Ok(Some(created.model.info.model))
    }

    /// The models that a run at the server has logged, whoever logged them.
    /// None on a server that is older than logged models.
    pub(super) async fn logged_models(
        &self,
        experiment: &str,
        run: &str,
    ) -> Result<Vec<LoggedModel>, CallError> {
        let request = json!({
            "experiment_ids": [experiment],
            "filter": format!("source_run_id = '{run}'"),
            "max_results": 100,
        });
        match self.search_models(&request).await {
            Err(error) if error.is_unknown_call() => Ok(Vec::new()),
            found => Ok(found?.into_iter().map(|info| info.model).collect()),
        }
    }

    async fn find_logged_model(
        &self,
        new: &NewModel<'_>,
    ) -> Result<Option<LoggedModel>, CallError> {
        let request = json!({
            "experiment_ids": [new.experiment_id],
            "filter": format!("name = '{}' AND source_run_id = '{}'", new.name, new.run_id),
            "max_results": 100,
            "order_by": [{"field_name": "creation_timestamp", "ascending": true}],
        });
        let is_ours = |info: &Info| info.tags.iter().any(|tag| tag.key == ARTIFACT);
        let found = self.search_models(&request).await?;
        Ok(found.into_iter().find(is_ours).map(|info| info.model))
    }

    async fn search_models(&self, request: &Value) -> Result<Vec<Info>, CallError> {
        let found: Found = self.post("logged-models/search", request).await?;
        Ok(found.models.into_iter().map(|model| model.info).collect())
    }

    /// Says that the files of a model are complete, and which run made it.
    pub(super) async fn finish_logged_model(&self, run: &str, id: &str) -> Result<(), CallError> {
        let request = json!({"model_id": id, "status": "LOGGED_MODEL_READY"});
        self.send_json::<Value>(Method::PATCH, &format!("logged-models/{id}"), &request)
            .await?;
        let request = json!({"run_id": run, "models": [{"model_id": id, "step": 0}]});
        match self.post::<Value>("runs/outputs", &request).await {
            // A second time is refused.
            Err(error) if !self.has_output(run, id).await? => Err(error),
            _ => Ok(()),
        }
    }

    async fn has_output(&self, run: &str, id: &str) -> Result<bool, CallError> {
        let run: Value = self.get("runs/get", &[("run_id", run)]).await?;
        let outputs = run["run"]["outputs"]["model_outputs"].as_array();
        Ok(outputs.is_some_and(|models| models.iter().any(|model| model["model_id"] == id)))
    }
}

#[cfg(test)]
mod tests {
    use super::is_model_name;

    #[test]
    fn a_model_s_name_is_one_folder_without_what_mlflow_refuses() {
        for name in ["model", "best model", "modèle_2-a"] {
            assert!(is_model_name(name), "{name}");
        }
        for name in ["", "models/best", "model.v2", "a:b", "it's", "50%"] {
            assert!(!is_model_name(name), "{name}");
        }
    }
}
