//! The calls of MLflow's tracking API that explr makes.

use super::client::{CallError, Client};
use explr_protocol::Dataset;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Tag by which explr finds a run again whose creation was cut off.
pub(super) const RUN_UUID: &str = "explr.run.uuid";

/// Tag of models: the artifact that one is. By it explr knows its own from
/// those that calls of MLflow log.
pub(super) const ARTIFACT: &str = "explr.artifact";

/// A run, as MLflow describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RunInfo {
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) artifact_uri: String,
    #[serde(default)]
    lifecycle_stage: String,
}

impl RunInfo {
    pub(super) fn is_deleted(&self) -> bool {
        self.lifecycle_stage == "deleted"
    }
}

/// A run to create.
#[derive(Debug, Serialize)]
pub(super) struct NewRun {
    pub(super) experiment_id: String,
    pub(super) run_name: String,
    pub(super) start_time: u64,
    pub(super) user_id: String,
    pub(super) tags: Vec<super::batch::Pair>,
}

/// MLflow's words for how a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum RunStatus {
    Running,
    Finished,
    Failed,
    Killed,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    info: RunInfo,
}

#[derive(Deserialize)]
struct ExperimentAnswer {
    experiment: Experiment,
}

/// An experiment, as MLflow describes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Experiment {
    #[serde(rename = "experiment_id")]
    id: String,
    #[serde(default)]
    lifecycle_stage: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Clone, Deserialize)]
struct Tag {
    key: String,
    value: String,
}

impl Experiment {
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let tag = self.tags.iter().find(|tag| tag.key == key)?;
        Some(&tag.value)
    }
}

#[derive(Deserialize)]
struct Created {
    experiment_id: String,
}

/// An answer of which nothing is needed.
#[derive(Deserialize)]
struct Nothing {}

impl Client {
    /// The version of MLflow.
    pub(super) async fn version(&self) -> Result<String, CallError> {
        Ok(self.text("/version").await?.trim().to_owned())
    }

    /// An experiment by id, and a header of the answer.
    pub(super) async fn experiment_and_header(
        &self,
        id: &str,
        header: &str,
    ) -> Result<(Option<String>, Experiment), CallError> {
        let (header, answer): (_, ExperimentAnswer) = self
            .get_with_header("experiments/get", &[("experiment_id", id)], header)
            .await?;
        Ok((header, answer.experiment))
    }

    /// The id of the experiment with this name: found, restored or created.
    pub(super) async fn ensure_experiment(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<String, CallError> {
        if let Some(id) = self.find_experiment(name).await? {
            return Ok(id);
        }
        // Else its pages are those of a project with language models.
        let mut tags = vec![json!({
            "key": "mlflow.experimentKind",
            "value": "custom_model_development",
        })];
        tags.extend(description.map(|text| json!({"key": "mlflow.note.content", "value": text})));
        let request = json!({"name": name, "tags": tags});
        match self.post::<Created>("experiments/create", &request).await {
            Ok(created) => Ok(created.experiment_id),
            // Another process was faster.
            Err(error) if error.code() == Some("RESOURCE_ALREADY_EXISTS") => {
                self.find_experiment(name).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn find_experiment(&self, name: &str) -> Result<Option<String>, CallError> {
        let found: Result<ExperimentAnswer, _> = self
            .get("experiments/get-by-name", &[("experiment_name", name)])
            .await;
        let experiment = match found {
            Ok(answer) => answer.experiment,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = experiment.id;
        // Found by name it may be deleted, and then takes no runs.
        if experiment.lifecycle_stage == "deleted" {
            let request = json!({"experiment_id": id});
            self.post::<Nothing>("experiments/restore", &request)
                .await?;
        }
        Ok(Some(id))
    }

    pub(super) async fn set_experiment_tag(
        &self,
        id: &str,
        key: &str,
        value: &str,
    ) -> Result<(), CallError> {
        let request = json!({"experiment_id": id, "key": key, "value": value});
        self.post::<Nothing>("experiments/set-experiment-tag", &request)
            .await
            .map(drop)
    }

    /// Not idempotent: look for the run's UUID first.
    pub(super) async fn create_run(&self, run: &NewRun) -> Result<RunInfo, CallError> {
        let answer: RunAnswer = self.post("runs/create", run).await?;
        Ok(answer.run.info)
    }

    /// The run, deleted or not; none if the server doesn't know it.
    pub(super) async fn run(&self, id: &str) -> Result<Option<RunInfo>, CallError> {
        match self.get::<RunAnswer>("runs/get", &[("run_id", id)]).await {
            Ok(answer) => Ok(Some(answer.run.info)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The run, not deleted, that was created with this UUID.
    pub(super) async fn find_run(
        &self,
        experiment_id: &str,
        uuid: &str,
    ) -> Result<Option<RunInfo>, CallError> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            runs: Vec<Run>,
        }
        let request = json!({
            "experiment_ids": [experiment_id],
            "filter": format!("tags.`{RUN_UUID}` = '{uuid}'"),
            "max_results": 1,
            "order_by": ["attributes.start_time ASC"],
        });
        let found: Found = self.post("runs/search", &request).await?;
        Ok(found.runs.into_iter().next().map(|run| run.info))
    }

    /// Takes back the deletion of a run.
    pub(super) async fn restore_run(&self, id: &str) -> Result<(), CallError> {
        self.post::<Nothing>("runs/restore", &json!({"run_id": id}))
            .await
            .map(drop)
    }

    pub(super) async fn update_run(
        &self,
        id: &str,
        status: RunStatus,
        end_time: Option<u64>,
    ) -> Result<(), CallError> {
        let mut request = json!({"run_id": id, "status": status});
        if let Some(end) = end_time {
            request["end_time"] = end.into();
        }
        self.post::<Value>("runs/update", &request).await.map(drop)
    }

    /// The body comes from [`Batch::body`](super::batch::Batch::body).
    pub(super) async fn log_batch(&self, body: Vec<u8>) -> Result<(), CallError> {
        self.send_bytes::<Nothing>(Method::POST, "runs/log-batch", body)
            .await
            .map(drop)
    }

    pub(super) async fn set_tag(&self, id: &str, key: &str, value: &str) -> Result<(), CallError> {
        let request = json!({"run_id": id, "key": key, "value": value});
        self.post::<Nothing>("runs/set-tag", &request)
            .await
            .map(drop)
    }

    pub(super) async fn delete_tag(&self, id: &str, key: &str) -> Result<(), CallError> {
        let request = json!({"run_id": id, "key": key});
        match self.post::<Nothing>("runs/delete-tag", &request).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn log_dataset(&self, id: &str, dataset: &Dataset) -> Result<(), CallError> {
        let request = json!({"run_id": id, "datasets": [dataset_json(dataset)]});
        self.post::<Nothing>("runs/log-inputs", &request)
            .await
            .map(drop)
    }
}

/// A data set in MLflow's form, within its limits.
fn dataset_json(dataset: &Dataset) -> Value {
    let start = |text: &str, longest: usize| text.chars().take(longest).collect::<String>();
    let source = dataset.source.as_deref().unwrap_or_default();
    let (source_type, source) = if source.starts_with("http://") || source.starts_with("https://") {
        ("http", json!({"url": source}))
    } else {
        ("local", json!({"uri": source}))
    };
    let mut described = json!({
        "name": start(&dataset.name, 500),
        "digest": start(&dataset.digest, 36),
        "source_type": source_type,
        "source": start(&source.to_string(), 65_535),
    });
    for (key, value, longest) in [
        ("schema", &dataset.schema, 1_000_000),
        ("profile", &dataset.profile, 16_000_000),
    ] {
        // Half of a JSON text is worth nothing.
        if let Some(text) = value.as_ref().map(Value::to_string)
            && text.len() < longest
        {
            described[key] = text.into();
        }
    }
    let tags: Vec<_> = (dataset.context.iter())
        .map(|context| json!({"key": "mlflow.data.context", "value": context}))
        .collect();
    json!({"dataset": described, "tags": tags})
}

#[cfg(test)]
mod tests {
    use super::{RunStatus, dataset_json};
    use explr_protocol::Dataset;
    use serde_json::json;

    #[test]
    fn statuses_are_mlflow_s_words() {
        assert_eq!(json!(RunStatus::Finished), json!("FINISHED"));
        assert_eq!(json!(RunStatus::Killed), json!("KILLED"));
    }

    #[test]
    fn a_data_set_stays_within_the_limits() {
        let dataset = Dataset {
            name: "n".repeat(600),
            digest: "d".repeat(64),
            context: Some("training".into()),
            source: Some("https://example.com/x.csv".into()),
            schema: Some(json!("x".repeat(2_000_000))),
            profile: Some(json!({"rows": 3})),
        };
        let value = dataset_json(&dataset);
        let described = &value["dataset"];
        assert_eq!(described["name"].as_str().unwrap().len(), 500);
        assert_eq!(described["digest"].as_str().unwrap().len(), 36);
        assert_eq!(described["source_type"], "http");
        assert_eq!(described.get("schema"), None);
        assert_eq!(described["profile"], r#"{"rows":3}"#);
        assert_eq!(value["tags"][0]["value"], "training");
    }
}
