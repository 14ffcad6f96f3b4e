//! One trial, from its parameters to what came of it.

use super::objective::{Verdict, judge};
use super::recipe::{Recipe, Recipes};
use super::tuner::Tuner;
use super::{RUN_ATTR, conclude, export};
use crate::Error;
use crate::config::Loaded;
use crate::report::study::{StudyEvent, TrialEnd, TrialStart};
use crate::runner::{Company, Job, RunError, RunOutcome, Session};
use crate::store::{RunDir, StudyRef, StudyRole};
use explr_protocol::{Answer, Ask, Failure, FailureClass, TrialRef};
use explr_study::{Asked, Distribution, StudyError, Trial, TrialState};
use std::time::Instant;

impl Tuner<'_> {
    /// Runs a trial that the study handed out, on `slot`. An error means that
    /// explr itself can't go on; the trial is then to be run again.
    pub(super) async fn trial(&self, asked: Asked, slot: usize) -> Result<TrialEnd, Error> {
        let began = Instant::now();
        let number = asked.number;
        let params = asked.params.clone();
        let (recipe, loaded) = self.recipes.of(&asked);
        let session = match self.prepare(&asked, recipe, loaded, slot) {
            Ok(session) => session,
            Err(error) => {
                self.study.borrow_mut().release(number)?;
                return Err(error);
            }
        };
        let dir = session.dir().clone();
        if let Some(shipper) = &self.shipper {
            shipper.add(dir.clone());
        }
        self.emit(StudyEvent::TrialStarted(Box::new(TrialStart {
            number,
            run_id: dir.id().clone(),
            params,
            again: asked.resumed,
        })));
        let outcome = match self.run_out(number, recipe, session).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.study.borrow_mut().release(number)?;
                return Err(error);
            }
        };
        let failure = self.settle(number, recipe, slot, &dir, outcome)?;
        let study = self.study.borrow();
        let history = study.history();
        let best = history.best().map(|trial| trial.number);
        let trial = history.trial(number);
        Ok(TrialEnd {
            number,
            run_id: dir.id().clone(),
            state: trial.map_or(TrialState::Waiting, |trial| trial.state),
            params: trial.map_or_else(Default::default, Trial::external_params),
            values: trial.map_or_else(Vec::new, |trial| trial.values.clone()),
            failure,
            duration: began.elapsed(),
            is_best: best == Some(number),
        })
    }

    /// Sees the trial's run through, in a forked worker where that can be.
    async fn run_out(
        &self,
        number: u64,
        recipe: &Recipe,
        session: Session,
    ) -> Result<RunOutcome, Error> {
        let note = |text| self.emit(StudyEvent::Note(text));
        let opened = tokio::select! {
            opened = recipe.nursery.template(note) => opened,
            // The plugin may never come to be open.
            () = self.stop.raised() => Ok(None),
        };
        let template = match opened {
            Ok(template) => template,
            Err(error) => {
                session.abandon();
                return Err(error.into());
            }
        };
        let company = Company {
            stop: &self.stop,
            template,
            aside: &mut || None,
            answer: &mut |question| self.answer(number, question),
        };
        session
            .attempts(company, &mut |event| {
                self.emit(StudyEvent::Trial { number, event });
            })
            .await
    }

    /// Tells the study what came of a trial's run: its end, with the failure
    /// if it failed, or that it is to be run again.
    fn settle(
        &self,
        number: u64,
        recipe: &Recipe,
        slot: usize,
        dir: &RunDir,
        outcome: RunOutcome,
    ) -> Result<Option<Failure>, Error> {
        let mut study = self.study.borrow_mut();
        let gpus = &recipe.slots.all[slot].gpus;
        let class = outcome.failure.as_ref().map(|failure| failure.class);
        let verdict = if self.is_hopeless(class) {
            Verdict::Again
        } else {
            judge(
                outcome.state,
                outcome.result.as_ref(),
                outcome.failure.as_ref(),
                &self.objectives,
                recipe.prunes_oom(),
            )
        };
        match (verdict, outcome.failure) {
            (Verdict::Over(finish, failure), _) => {
                let why = failure.as_ref();
                conclude(&mut study, number, finish, why, &recipe.loaded, dir)?;
                Ok(failure)
            }
            (Verdict::Again, failure) => {
                study.release(number)?;
                match failure {
                    None => Ok(None),
                    Some(failure) if failure.class == FailureClass::GpuLost && !gpus.is_empty() => {
                        self.lose(gpus);
                        Ok(None)
                    }
                    Some(Failure { class, message, .. }) => Err(RunError::TrialBlocked {
                        number,
                        class,
                        message,
                    }
                    .into()),
                }
            }
        }
    }

    /// Whether every other trial would fail in the same way: in a search, all
    /// have the same plugin.
    fn is_hopeless(&self, class: Option<FailureClass>) -> bool {
        matches!(self.recipes, Recipes::Search(_)) && class == Some(FailureClass::Plugin)
    }

    /// Makes the trial's run, or takes up the one that was interrupted.
    fn prepare(
        &self,
        asked: &Asked,
        recipe: &Recipe,
        loaded: Loaded,
        slot: usize,
    ) -> Result<Session, Error> {
        let granted = recipe.slots.all[slot].clone();
        let mut manifest = recipe.origin.manifest(&loaded, &granted);
        manifest.study = Some(StudyRef {
            study: self.name.clone(),
            role: StudyRole::Trial {
                number: asked.number,
                parent: self.parent_id.clone(),
            },
        });
        let earlier = {
            let study = self.study.borrow();
            let trial = study.history().trial(asked.number);
            trial
                .and_then(export::run_of)
                .and_then(|run| self.store.run(run).ok())
        };
        if earlier.is_none() {
            self.study.borrow_mut().set_trial_attr(
                asked.number,
                RUN_ATTR,
                manifest.run_id.as_str().into(),
            )?;
        }
        let job = Job {
            loaded,
            manifest,
            source: recipe.plan.code.clone(),
            code: recipe.code.clone(),
            function: recipe.function.clone(),
            in_process: false,
            granted,
            trial: Some(TrialRef {
                study: self.name.clone(),
                id: asked.id,
                number: asked.number,
            }),
        };
        Session::enter(&self.store, job, None, earlier)
    }

    /// Answers the train function of a running trial.
    fn answer(&self, number: u64, question: Ask) -> Answer {
        let mut study = self.study.borrow_mut();
        let answered = match question {
            Ask::Report { step, value } => {
                self.emit(StudyEvent::Reported {
                    number,
                    step,
                    value,
                });
                study.report(number, step, value).map(|prune| {
                    if prune {
                        Answer::Prune
                    } else {
                        Answer::Continue
                    }
                })
            }
            Ask::Suggest { name, distribution } => Distribution::try_from(distribution)
                .map_err(StudyError::from)
                .and_then(|distribution| study.suggest(number, &name, &distribution))
                .map(Answer::Value),
        };
        answered.unwrap_or_else(|error| {
            let message = error.to_string();
            // No fault of the trial's: it is stopped before it hears of it,
            // and asks again when the study goes on.
            if matches!(error, StudyError::Storage(_)) {
                self.break_off(error.into());
            }
            Answer::Refused { message }
        })
    }
}
