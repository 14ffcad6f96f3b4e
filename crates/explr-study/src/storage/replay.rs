use super::record::{NewTrial, Op, Record};
use crate::distribution::Distribution;
use crate::history::History;
use crate::trial::{Assigned, Trial, TrialState};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What the records of a file add up to, by the rules of Optuna's
/// `JournalStorageReplayResult`: a record that comes too late, such as a value
/// of a finished trial, is left out.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// By id.
    studies: Vec<StudyState>,
    /// By id: the study's id, and the trial's number in it.
    trials: Vec<(usize, usize)>,
}

/// One study, and what would be slow to search its history for.
#[derive(Debug)]
pub(crate) struct StudyState {
    history: History,
    /// Numbers of the waiting trials.
    waiting: BTreeSet<u64>,
    /// Running trials with the worker of each.
    running: BTreeMap<u64, String>,
    /// Each parameter's distribution in the first trial that has it.
    distributions: HashMap<String, (u64, Arc<Distribution>)>,
    deleted: bool,
}

impl Replay {
    /// The studies that are there, with their ids.
    pub(crate) fn studies(&self) -> impl Iterator<Item = (usize, &StudyState)> {
        self.studies
            .iter()
            .enumerate()
            .filter(|(_, study)| !study.deleted)
    }

    /// The study of an id that was found or created.
    pub(crate) fn study(&self, id: usize) -> &StudyState {
        &self.studies[id]
    }

    /// The id that the next new trial gets.
    pub(crate) fn next_trial_id(&self) -> u64 {
        self.trials.len() as u64
    }

    /// All histories that are there.
    pub(crate) fn into_histories(self) -> Vec<History> {
        self.studies
            .into_iter()
            .filter(|study| !study.deleted)
            .map(|study| study.history)
            .collect()
    }

    /// Takes in a record.
    pub(crate) fn apply(&mut self, record: Record) {
        match record.op {
            Op::CreateStudy { name, directions } => {
                let taken = self.studies().any(|(_, study)| study.history.name == name);
                if !taken {
                    self.studies
                        .push(StudyState::new(History::new(name, directions)));
                }
            }
            Op::DeleteStudy { study } => {
                if let Some((_, study)) = self.existing(study) {
                    study.deleted = true;
                }
            }
            Op::StudyUserAttrs { study, attrs } => {
                if let Some((_, study)) = self.existing(study) {
                    study.history.user_attrs.extend(attrs);
                }
            }
            Op::StudySystemAttrs { study, attrs } => {
                if let Some((_, study)) = self.existing(study) {
                    study.history.system_attrs.extend(attrs);
                }
            }
            Op::CreateTrial { study, trial } => {
                let id = self.trials.len();
                if let Some((index, study)) = self.existing(study) {
                    let number = study.add(id as u64, *trial, record.worker);
                    self.trials.push((index, number));
                }
            }
            Op::Param {
                trial,
                name,
                assigned,
            } => {
                if let Some((study, number)) = self.updatable(trial) {
                    study.set_param(number, name, assigned);
                }
            }
            Op::State {
                trial,
                state,
                values,
                at,
            } => {
                if let Some((study, number)) = self.updatable(trial) {
                    let trial = &mut study.history.trials[number];
                    if state == TrialState::Running {
                        if trial.state == TrialState::Running {
                            // Another worker was first.
                            return;
                        }
                        trial.started = at;
                    } else if state.is_finished() {
                        trial.finished = at;
                    }
                    trial.state = state;
                    if let Some(values) = values {
                        trial.values = values;
                    }
                    study.index(number, record.worker);
                }
            }
            Op::Intermediate { trial, step, value } => {
                if let Some((study, number)) = self.updatable(trial) {
                    study.history.trials[number]
                        .intermediate
                        .insert(step, value);
                }
            }
            Op::TrialUserAttrs { trial, attrs } => {
                if let Some((study, number)) = self.updatable(trial) {
                    study.history.trials[number].user_attrs.extend(attrs);
                }
            }
            Op::TrialSystemAttrs { trial, attrs } => {
                if let Some((study, number)) = self.updatable(trial) {
                    study.history.trials[number].system_attrs.extend(attrs);
                }
            }
            Op::DiscardTrials => {}
        }
    }

    fn existing(&mut self, id: u64) -> Option<(usize, &mut StudyState)> {
        let index = usize::try_from(id).ok()?;
        let study = self.studies.get_mut(index)?;
        (!study.deleted).then_some((index, study))
    }

    fn updatable(&mut self, id: u64) -> Option<(&mut StudyState, usize)> {
        let (study, number) = *self.trials.get(usize::try_from(id).ok()?)?;
        let study = &mut self.studies[study];
        (!study.history.trials[number].state.is_finished()).then_some((study, number))
    }
}

impl StudyState {
    fn new(history: History) -> Self {
        Self {
            history,
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            distributions: HashMap::new(),
            deleted: false,
        }
    }

    /// What the study remembers.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Whether someone deleted it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// The waiting trial of the lowest number.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        self.waiting.first().copied()
    }

    /// Running trials with the worker of each.
    pub(crate) fn running(&self) -> &BTreeMap<u64, String> {
        &self.running
    }

    /// What the parameter was chosen from in the first trial that has it.
    pub(crate) fn distribution(&self, name: &str) -> Option<&Distribution> {
        self.distributions
            .get(name)
            .map(|(_, distribution)| &**distribution)
    }

    /// All parameters that trials have, with their first distributions.
    pub(crate) fn distributions(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        self.distributions
            .iter()
            .map(|(name, (_, distribution))| (name.as_str(), &**distribution))
    }

    fn add(&mut self, id: u64, new: NewTrial, worker: String) -> usize {
        let number = self.history.trials.len();
        for (name, assigned) in &new.params {
            self.remember(number, name, assigned);
        }
        self.history.trials.push(Trial {
            number: number as u64,
            id,
            state: new.state,
            params: new.params,
            values: new.values,
            intermediate: new.intermediate,
            user_attrs: new.user_attrs,
            system_attrs: new.system_attrs,
            started: new.started,
            finished: new.finished,
        });
        self.index(number, worker);
        number
    }

    fn set_param(&mut self, number: usize, name: String, assigned: Assigned) {
        let fits = self
            .distribution(&name)
            .is_none_or(|first| first.is_compatible(&assigned.distribution));
        if fits {
            self.remember(number, &name, &assigned);
            self.history.trials[number].params.insert(name, assigned);
        }
    }

    fn remember(&mut self, number: usize, name: &str, assigned: &Assigned) {
        let number = number as u64;
        match self.distributions.get_mut(name) {
            Some((first, distribution)) if number <= *first => {
                *first = number;
                distribution.clone_from(&assigned.distribution);
            }
            Some(_) => {}
            None => {
                self.distributions
                    .insert(name.to_owned(), (number, assigned.distribution.clone()));
            }
        }
    }

    fn index(&mut self, number: usize, worker: String) {
        let state = self.history.trials[number].state;
        let number = number as u64;
        self.waiting.remove(&number);
        self.running.remove(&number);
        match state {
            TrialState::Waiting => {
                self.waiting.insert(number);
            }
            TrialState::Running => {
                self.running.insert(number, worker);
            }
            _ => {}
        }
    }
}
