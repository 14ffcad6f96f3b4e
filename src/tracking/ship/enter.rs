//! Makes sure that a run exists at the server before anything is sent to it.

use super::{RunShip, Trouble, forget, refused_run, wait};
use crate::store::StudyRole;
use crate::tracking::api::RunInfo;
use crate::tracking::client::Remedy;
use crate::tracking::cursor::Cursor;
use crate::tracking::describe::{self, PARENT};
use crate::tracking::session::Session;

impl RunShip {
    /// Finds, restores or creates the run, a trial's study first.
    pub(super) async fn enter(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let parent = self.parent(session).await?;
        let known = match &self.cursor.run_id {
            Some(id) => session.run(id, &self.manifest).await.map_err(wait)?,
            None => None,
        };
        if known.is_none() {
            self.create(session, parent.as_deref()).await?;
        }
        if self.cursor.parent != parent
            && let Some(parent) = parent
        {
            let id = self.run_id();
            let set = session.client.set_tag(&id, PARENT, &parent).await;
            set.map_err(wait)?;
            self.cursor.parent = Some(parent);
        }
        if matches!(&self.manifest.study, Some(place) if place.role == StudyRole::Study) {
            session.remember_study(self.run.id(), self.run_id());
        }
        self.begin(session.client.base())
    }

    /// Finds or creates a run that the server doesn't know by its id, and
    /// begins its cursor.
    async fn create(&mut self, session: &mut Session, parent: Option<&str>) -> Result<(), Trouble> {
        let (experiment, run, nested) = loop {
            let name = &self.manifest.experiment;
            let remembered = session.knows_experiment(name);
            let experiment = session.experiment(&self.manifest).await;
            let experiment = experiment.map_err(refused_run)?;
            // Creating is not idempotent: perhaps an earlier try got through.
            if let Some(run) = self.find(session, &experiment).await? {
                break (experiment, run, None);
            }
            self.untried = false;
            let new = describe::new_run(&self.manifest, &experiment, parent);
            match session.client.create_run(&new).await {
                Ok(run) => break (experiment, run, parent),
                // Or the experiment was deleted in the meantime.
                Err(error) if remembered && error.remedy() == Remedy::SetAside => {
                    session.forget_experiment(name);
                }
                Err(error) => return Err(refused_run(error)),
            }
        };
        if self.cursor.run_id.as_ref() != Some(&run.run_id) {
            if self.cursor.run_id.is_some() {
                self.warn("the run was gone from the server; it is shipped again".to_owned());
            }
            self.cursor = Cursor::new(&self.server);
            self.cursor.run_id = Some(run.run_id);
            forget(&self.run, &mut self.uploaded);
        }
        self.cursor.parent = nested.map(str::to_owned);
        self.cursor.experiment_id = experiment;
        self.cursor.artifact_uri = run.artifact_uri;
        Ok(())
    }

    /// What an earlier try to create the run left at the server.
    async fn find(&self, session: &Session, experiment: &str) -> Result<Option<RunInfo>, Trouble> {
        if self.untried {
            return Ok(None);
        }
        let found = session.client.find_run(experiment, self.run.id().as_str());
        found.await.map_err(wait)
    }

    /// The id at the server of the run of this trial's study, which is made
    /// there if need be; none for a run that is no trial.
    async fn parent(&mut self, session: &mut Session) -> Result<Option<String>, Trouble> {
        let Some(parent) = self.manifest.parent() else {
            return Ok(None);
        };
        if let Some(id) = session.study(parent) {
            return Ok(Some(id.clone()));
        }
        let dir = self.run.sibling(parent);
        match RunShip::open(dir.clone(), &self.server) {
            Ok(Some(mut study)) => {
                // A study has no parent: this goes no deeper.
                Box::pin(study.enter(session)).await?;
                Ok(Some(study.run_id()))
            }
            // Somebody ships it now, perhaps this very process.
            Ok(None) => {
                let cursor = Cursor::read(&dir).filter(|cursor| cursor.is_for(&self.server));
                let id = cursor.and_then(|cursor| cursor.run_id);
                let known = match &id {
                    Some(id) => session.run(id, &self.manifest).await.map_err(wait)?,
                    None => None,
                };
                let Some(run) = known else {
                    return Err(Trouble::Wait {
                        asked: None,
                        reason: "another explr process has yet to bring the study's run".to_owned(),
                    });
                };
                session.remember_study(parent, run.run_id.clone());
                Ok(Some(run.run_id))
            }
            Err(error) => {
                self.warn(format!(
                    "the run of its study can't be read, so it stands alone in MLflow: {error}"
                ));
                Ok(None)
            }
        }
    }
}
