use crate::choose::{Chooser, FIXED_PARAMS, internal};
use crate::random::{generator, trial_seed};
use crate::space::Domain;
use crate::storage::{Durability, NewTrial, Op, Store, StudyLock};
use crate::{
    Distribution, History, Live, ObjectiveError, Proposal, Pruner, Sampler, SearchSpace,
    StudyBuilder, StudyError, Trial, TrialState,
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// User attribute of a trial that could not be handed out: why.
const REFUSED: &str = "explr:refused";

/// A search over hyperparameters: hands out trials and takes in what came of
/// them. See the [crate] for an example.
///
/// In a journal, every change is in the file before the call returns. The
/// beginning and the end of a trial survive a power cut then; parameters and
/// values that were reported in between may need the next end to.
#[derive(Debug)]
pub struct Study {
    store: Store,
    space: SearchSpace,
    sampler: Box<dyn Sampler>,
    pruner: Box<dyn Pruner>,
    seed: u64,
    changes: Vec<String>,
    /// What the sampler proposed for running trials beyond the parameters of
    /// the space.
    proposed: HashMap<u64, Proposal>,
}

/// A trial that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Its number in the study.
    pub number: u64,
    /// Its id in the storage.
    pub id: u64,
    /// The active parameters of the space by name, fixed ones included, as
    /// the train function gets them.
    pub params: BTreeMap<String, Value>,
    /// Seed for the trial's own random generators.
    pub seed: u64,
    /// Whether the trial ran before and was interrupted.
    pub resumed: bool,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// With a value for each objective. A NaN makes it a failed trial.
    Complete(Vec<f64>),
    /// Ended by the pruner.
    Pruned,
    /// Without values.
    Failed,
}

/// What came of the attempt to hand out a trial.
enum Attempt {
    Asked(Asked, Proposal),
    /// A waiting trial had parameters that can't be, and is failed now.
    Refused,
    Exhausted,
}

/// Adds a trial with these parameters to a study that is in a journal, whoever
/// works on it: the next trial that is asked for is this one. Returns its
/// number.
pub fn enqueue(journal: &Path, study: &str, params: Map<String, Value>) -> Result<u64, StudyError> {
    let mut store = Store::open_existing(journal, study)?;
    store.commit(Durability::Now, |store| {
        for trial in store.history().trials() {
            for (name, value) in &params {
                if let Some(known) = trial.params.get(name) {
                    internal(name, &known.distribution, value)?;
                }
            }
        }
        Ok(enqueued(store, params))
    })
}

/// The record of an enqueued trial, and its number.
fn enqueued(store: &Store, params: Map<String, Value>) -> (Vec<Op>, u64) {
    let mut trial = NewTrial::new(TrialState::Waiting);
    trial
        .system_attrs
        .insert(FIXED_PARAMS.to_owned(), params.into());
    let create = Op::CreateTrial {
        study: store.study_id(),
        trial: Box::new(trial),
    };
    (vec![create], store.history().trials().len() as u64)
}

impl Study {
    /// Begins to describe a study: one objective that is minimised, the default
    /// sampler, nothing pruned, in memory.
    pub fn builder(name: impl Into<String>) -> StudyBuilder {
        StudyBuilder::new(name.into())
    }

    pub(crate) fn new(
        store: Store,
        space: SearchSpace,
        sampler: Box<dyn Sampler>,
        pruner: Box<dyn Pruner>,
        seed: u64,
        changes: Vec<String>,
    ) -> Self {
        Self {
            store,
            space,
            sampler,
            pruner,
            seed,
            changes,
            proposed: HashMap::new(),
        }
    }

    /// What the study remembers: all that it did itself, and what others
    /// wrote before its last call.
    pub fn history(&self) -> &History {
        self.store.history()
    }

    /// The parameters to search for.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// What proposes parameters.
    pub fn sampler(&self) -> &dyn Sampler {
        &*self.sampler
    }

    /// What ends trials early.
    pub fn pruner(&self) -> &dyn Pruner {
        &*self.pruner
    }

    /// What is different since the study was last open, one line each.
    pub fn changes(&self) -> &[String] {
        &self.changes
    }

    /// Reads what other processes wrote. All that change the study do so
    /// first.
    pub fn refresh(&mut self) -> Result<(), StudyError> {
        Ok(self.store.refresh()?)
    }

    /// The next trial to run: one that waits, or a new one. None when the
    /// sampler has nothing left to try.
    ///
    /// A waiting trial whose parameters can't be, such as one that another
    /// program enqueued for another space, fails.
    pub fn ask(&mut self) -> Result<Option<Asked>, StudyError> {
        loop {
            match self.attempt()? {
                Attempt::Asked(asked, proposal) => {
                    self.proposed.insert(asked.number, proposal);
                    return Ok(Some(asked));
                }
                Attempt::Refused => {}
                Attempt::Exhausted => return Ok(None),
            }
        }
    }

    fn attempt(&mut self) -> Result<Attempt, StudyError> {
        let Self {
            store,
            space,
            sampler,
            seed,
            ..
        } = self;
        store.commit(Durability::Now, |store| {
            let study = store.study();
            let history = study.history();
            let waiting = study.first_waiting().and_then(|it| history.trial(it));
            let number = waiting.map_or(history.trials().len() as u64, |trial| trial.number);
            let mut rng = generator(*seed, number, "propose");
            let Some(proposal) = sampler.propose(history, space, number, &mut rng)? else {
                return Ok((Vec::new(), Attempt::Exhausted));
            };
            let mut draft = waiting
                .cloned()
                .unwrap_or_else(|| Trial::new(number, TrialState::Waiting));
            let resumed = draft.started.is_some();
            draft.state = TrialState::Running;
            draft.started = Some(now());
            let mut chooser = Chooser {
                study,
                sampler: sampler.as_mut(),
                proposal: Some(&proposal),
                seed: *seed,
            };
            let assigned = space.assign(|name, range| chooser.choose(&mut draft, name, range));
            let params = match (assigned, waiting) {
                (Ok(assigned), _) => assigned
                    .into_iter()
                    .map(|(parameter, value)| (parameter.name.clone(), value))
                    .collect(),
                (Err(error @ StudyError::NotAllowed { .. }), Some(trial)) => {
                    return Ok((refuse(trial, &error), Attempt::Refused));
                }
                (Err(error), _) => return Err(error),
            };
            let (id, ops) = match waiting {
                Some(trial) => (trial.id, claim(trial, &draft)),
                None => (store.next_trial_id(), vec![create(store, &draft)]),
            };
            let asked = Asked {
                number,
                id,
                params,
                seed: trial_seed(*seed, number),
                resumed,
            };
            Ok((ops, Attempt::Asked(asked, proposal)))
        })
    }

    /// A parameter that a running trial asks for itself, beyond the space
    /// ("define by run"). The same name gives the same value within a trial.
    pub fn suggest(
        &mut self,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<Value, StudyError> {
        let Self {
            store,
            sampler,
            seed,
            proposed,
            ..
        } = self;
        let internal = store.commit(Durability::WithTheNext, |store| {
            let mut trial = running(store.history(), number)?.clone();
            let known = trial.params.contains_key(name);
            let mut chooser = Chooser {
                study: store.study(),
                sampler: sampler.as_mut(),
                proposal: proposed.get(&number),
                seed: *seed,
            };
            let internal = chooser.choose(&mut trial, name, distribution)?;
            let new = trial.params.remove_entry(name).filter(|_| !known);
            let ops = new.map(|(name, assigned)| Op::Param {
                trial: trial.id,
                name,
                assigned,
            });
            Ok((ops.into_iter().collect(), internal))
        })?;
        Ok(distribution.external(internal))
    }

    /// Takes in an intermediate value, and says whether the trial should end.
    pub fn report(&mut self, number: u64, step: i64, value: f64) -> Result<bool, StudyError> {
        self.store.commit(Durability::WithTheNext, |store| {
            let trial = running(store.history(), number)?.id;
            Ok((vec![Op::Intermediate { trial, step, value }], ()))
        })?;
        let history = self.history();
        let trial = running(history, number)?;
        Ok(self.pruner.prune(history, trial))
    }

    /// Takes in how a trial ended.
    pub fn tell(&mut self, number: u64, finish: Finish) -> Result<(), StudyError> {
        self.store.commit(Durability::Now, |store| {
            let history = store.history();
            let wanted = history.directions().len();
            let trial = running(history, number)?;
            let (state, values) = match finish {
                Finish::Complete(values) if values.len() != wanted => {
                    return Err(StudyError::Objectives {
                        number,
                        given: values.len(),
                        wanted,
                    });
                }
                Finish::Complete(values) if values.iter().any(|value| value.is_nan()) => {
                    (TrialState::Failed, None)
                }
                Finish::Complete(values) => (TrialState::Complete, Some(values)),
                Finish::Pruned => {
                    let last = trial.last_report().map(|(_, value)| value);
                    let value = last.filter(|value| wanted == 1 && !value.is_nan());
                    (TrialState::Pruned, value.map(|value| vec![value]))
                }
                Finish::Failed => (TrialState::Failed, None),
            };
            Ok((vec![state_op(trial, state, values)], ()))
        })?;
        self.proposed.remove(&number);
        Ok(())
    }

    /// Adds a trial to be run with these parameters before any other new one;
    /// the sampler chooses what they leave open.
    pub fn enqueue(&mut self, params: Map<String, Value>) -> Result<u64, StudyError> {
        for parameter in self.space.parameters() {
            let Some(value) = params.get(&parameter.name) else {
                continue;
            };
            match &parameter.domain {
                Domain::Search(distribution) => {
                    internal(&parameter.name, distribution, value)?;
                }
                Domain::Fixed(fixed) if fixed == value => {}
                Domain::Fixed(_) => {
                    return Err(StudyError::NotAllowed {
                        name: parameter.name.clone(),
                        value: value.clone(),
                    });
                }
            }
        }
        self.store
            .commit(Durability::Now, |store| Ok(enqueued(store, params)))
    }

    /// Gives back a running trial that was interrupted: the next
    /// [`ask`](Self::ask) hands it out again with the same parameters.
    pub fn release(&mut self, number: u64) -> Result<(), StudyError> {
        self.store.commit(Durability::Now, |store| {
            let trial = running(store.history(), number)?;
            Ok((vec![state_op(trial, TrialState::Waiting, None)], ()))
        })?;
        self.proposed.remove(&number);
        Ok(())
    }

    /// Gives back the running trials that other processes of this crate left:
    /// who holds the study's lock knows that none of them lives. Trials of
    /// other programs, such as Python's, stay theirs.
    pub fn release_orphans(&mut self, _lock: &StudyLock) -> Result<Vec<u64>, StudyError> {
        self.end_running(TrialState::Waiting, |store, _, worker| {
            Store::is_of_this_crate(worker) && !store.is_here(worker)
        })
    }

    /// Makes failed trials of those that began before a time in other
    /// processes, whichever, and still run.
    pub fn fail_stale(&mut self, before: Timestamp) -> Result<Vec<u64>, StudyError> {
        self.end_running(TrialState::Failed, |store, trial, worker| {
            !store.is_here(worker) && trial.started.is_some_and(|started| started < before)
        })
    }

    fn end_running(
        &mut self,
        state: TrialState,
        which: impl Fn(&Store, &Trial, &str) -> bool,
    ) -> Result<Vec<u64>, StudyError> {
        self.store.commit(Durability::Now, |store| {
            let study = store.study();
            let trials: Vec<&Trial> = study
                .running()
                .iter()
                .filter_map(|(number, worker)| Some((study.history().trial(*number)?, worker)))
                .filter(|(trial, worker)| which(store, trial, worker))
                .map(|(trial, _)| trial)
                .collect();
            let ops = trials
                .iter()
                .map(|trial| state_op(trial, state, None))
                .collect();
            Ok((ops, trials.iter().map(|trial| trial.number).collect()))
        })
    }

    /// Keeps a note about the study, a user attribute in Optuna's words.
    pub fn set_attr(&mut self, key: &str, value: Value) -> Result<(), StudyError> {
        self.store.commit(Durability::WithTheNext, |store| {
            let attrs = Map::from_iter([(key.to_owned(), value)]);
            let study = store.study_id();
            Ok((vec![Op::StudyUserAttrs { study, attrs }], ()))
        })
    }

    /// Keeps a note about a trial that is not over.
    pub fn set_trial_attr(
        &mut self,
        number: u64,
        key: &str,
        value: Value,
    ) -> Result<(), StudyError> {
        self.store.commit(Durability::WithTheNext, |store| {
            let trial = existing(store.history(), number)?;
            if trial.state.is_finished() {
                return Err(not_running(trial));
            }
            Ok((vec![trial_attr(trial, key, value)], ()))
        })
    }

    /// Runs `objective` for `trials` further trials, one after the other. A
    /// trial whose objective fails is a failed trial; the first such error is
    /// returned at the end only if no trial was complete.
    pub fn optimize(
        &mut self,
        trials: u64,
        mut objective: impl FnMut(&mut Live<'_>) -> Result<f64, ObjectiveError>,
    ) -> Result<(), StudyError> {
        let mut first_error = None;
        for _ in 0..trials {
            let Some(asked) = self.ask()? else { break };
            let number = asked.number;
            let mut live = Live {
                study: self,
                asked,
                pruned: false,
            };
            let outcome = objective(&mut live);
            let pruned = live.pruned;
            let finish = match outcome {
                _ if pruned => Finish::Pruned,
                Ok(value) => Finish::Complete(vec![value]),
                Err(error) => {
                    first_error.get_or_insert(error);
                    Finish::Failed
                }
            };
            self.tell(number, finish)?;
        }
        match first_error {
            Some(error) if self.history().count(TrialState::Complete) == 0 => {
                Err(StudyError::Objective(error))
            }
            _ => Ok(()),
        }
    }
}

/// The present time, as exactly as a journal keeps it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

fn existing(history: &History, number: u64) -> Result<&Trial, StudyError> {
    history.trial(number).ok_or_else(|| StudyError::NoTrial {
        study: history.name().to_owned(),
        number,
    })
}

fn running(history: &History, number: u64) -> Result<&Trial, StudyError> {
    let trial = existing(history, number)?;
    match trial.state {
        TrialState::Running => Ok(trial),
        _ => Err(not_running(trial)),
    }
}

fn not_running(trial: &Trial) -> StudyError {
    StudyError::NotRunning {
        number: trial.number,
        state: trial.state,
    }
}

/// A new trial with all its parameters, in one record.
fn create(store: &Store, draft: &Trial) -> Op {
    Op::CreateTrial {
        study: store.study_id(),
        trial: Box::new(NewTrial {
            params: draft.params.clone(),
            started: draft.started,
            ..NewTrial::new(TrialState::Running)
        }),
    }
}

/// A waiting trial becomes a running one, with the parameters that it lacked.
fn claim(trial: &Trial, draft: &Trial) -> Vec<Op> {
    let state = Op::State {
        trial: trial.id,
        state: TrialState::Running,
        values: None,
        at: draft.started,
    };
    let new = draft
        .params
        .iter()
        .filter(|(name, _)| !trial.params.contains_key(*name))
        .map(|(name, assigned)| Op::Param {
            trial: trial.id,
            name: name.clone(),
            assigned: assigned.clone(),
        });
    std::iter::once(state).chain(new).collect()
}

fn refuse(trial: &Trial, error: &StudyError) -> Vec<Op> {
    vec![
        trial_attr(trial, REFUSED, error.to_string().into()),
        state_op(trial, TrialState::Failed, None),
    ]
}

fn state_op(trial: &Trial, state: TrialState, values: Option<Vec<f64>>) -> Op {
    Op::State {
        trial: trial.id,
        state,
        values,
        at: state.is_finished().then(now),
    }
}

fn trial_attr(trial: &Trial, key: &str, value: Value) -> Op {
    Op::TrialUserAttrs {
        trial: trial.id,
        // Optuna allows one entry a record.
        attrs: Map::from_iter([(key.to_owned(), value)]),
    }
}
