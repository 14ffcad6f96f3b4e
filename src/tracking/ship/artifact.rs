//! Brings artifacts to the server, and models as what they are.

use super::{RunShip, Trouble, Verdict};
use crate::tracking::MLMODEL;
use crate::tracking::artifacts::{self, ArtifactFile, Destination, UploadError};
use crate::tracking::client::Client;
use crate::tracking::describe;
use crate::tracking::logged_models::{NewModel, is_model_name};
use serde_json::json;

impl RunShip {
    pub(super) async fn send_artifact(
        &mut self,
        client: &Client,
        name: &str,
    ) -> Result<(), Trouble> {
        let (files, left_out) = match artifacts::files(&self.run, name) {
            Ok(found) => found,
            Err(reason) => return Ok(self.leave_out(name, &reason)?),
        };
        for reason in left_out {
            self.leave_out(name, &reason)?;
        }
        let to = self.destination(client, name, &files).await?;
        if !self.present {
            return Ok(());
        }
        for file in files {
            let sent = artifacts::upload(client, &to, &file, &mut self.uploaded).await;
            let answer = match sent {
                Ok(()) => Ok(()),
                Err(UploadError::Call(error)) => Err(error),
                Err(UploadError::Store(error)) => return Err(error.into()),
                Err(UploadError::File(reason)) => {
                    self.leave_out(&file.name, &reason)?;
                    continue;
                }
            };
            self.settle(client, answer, || json!({"artifact": file.name}))
                .await?;
            if !self.present {
                return Ok(());
            }
        }
        let Some((id, _)) = to.model else {
            return Ok(());
        };
        let finished = client.finish_logged_model(&to.run_id, &id).await;
        self.settle(client, finished, || json!({"model": name}))
            .await
    }

    /// The files of a model go to the model, as MLflow's own clients do it,
    /// which find them through the run too; all others to the run.
    async fn destination(
        &mut self,
        client: &Client,
        name: &str,
        files: &[ArtifactFile],
    ) -> Result<Destination, Trouble> {
        let name = name.trim_end_matches('/');
        let mut to = Destination {
            artifact_uri: self.cursor.artifact_uri.clone(),
            run_id: self.run_id(),
            model: None,
        };
        let marker = format!("{name}/{MLMODEL}");
        let is_model = is_model_name(name) && files.iter().any(|file| file.name == marker);
        if !is_model || !artifacts::is_proxied(&to.artifact_uri) {
            return Ok(to);
        }
        if !self.cursor.models.contains_key(name) {
            let new = NewModel {
                experiment_id: &self.cursor.experiment_id,
                run_id: &to.run_id,
                name,
                tags: describe::source(&self.manifest),
            };
            let made = client.ensure_logged_model(&new).await;
            match self.verdict(client, made).await? {
                Verdict::Taken(Some(model)) => {
                    self.cursor.models.insert(name.to_owned(), model);
                    self.cursor.write(&self.run)?;
                }
                Verdict::Taken(None) | Verdict::Gone => {}
                Verdict::Refused(error) => self.set_aside_as(&json!({"model": name}), &error, 1)?,
            }
        }
        if let Some(model) = self.cursor.models.get(name) {
            to.artifact_uri.clone_from(&model.artifact_uri);
            to.model = Some((model.id.clone(), name.to_owned()));
        }
        Ok(to)
    }
}
