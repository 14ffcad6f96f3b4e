use crate::pruner::Never;
use crate::random::{generator, trial_seed};
use crate::sampler::Random;
use crate::trial::Assigned;
use crate::{
    Direction, Distribution, History, Proposal, Pruner, Sampler, SearchSpace, StudyError, Trial,
    TrialState,
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Note of an enqueued trial, under Optuna's name: what its parameters are to
/// be.
const FIXED_PARAMS: &str = "fixed_params";

/// Says what a study is before it begins.
#[derive(Debug)]
pub struct StudyBuilder {
    name: String,
    directions: Vec<Direction>,
    space: SearchSpace,
    sampler: Box<dyn Sampler>,
    pruner: Box<dyn Pruner>,
    seed: u64,
}

impl StudyBuilder {
    /// Which way the objective improves; for several objectives, each one.
    /// Default: one that is minimised.
    pub fn directions(mut self, directions: impl IntoIterator<Item = Direction>) -> Self {
        self.directions = directions.into_iter().collect();
        self
    }

    /// The parameters to search for. Default: none but those that a trial
    /// [asks for](Asked) itself.
    pub fn space(mut self, space: SearchSpace) -> Self {
        self.space = space;
        self
    }

    /// How parameters are chosen.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = Box::new(sampler);
        self
    }

    /// How trials are ended early. Default: not at all.
    pub fn pruner(mut self, pruner: impl Pruner + 'static) -> Self {
        self.pruner = Box::new(pruner);
        self
    }

    /// Seed of everything random. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The study.
    pub fn build(self) -> Result<Study, StudyError> {
        Ok(Study {
            history: History::new(self.name, self.directions),
            space: self.space,
            sampler: self.sampler,
            pruner: self.pruner,
            seed: self.seed,
            proposed: HashMap::new(),
        })
    }
}

/// A search over hyperparameters: hands out trials and takes in what came of
/// them. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct Study {
    history: History,
    space: SearchSpace,
    sampler: Box<dyn Sampler>,
    pruner: Box<dyn Pruner>,
    seed: u64,
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
}

/// What an objective function may fail with: anything.
pub type ObjectiveError = Box<dyn std::error::Error + Send + Sync>;

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

impl Study {
    /// Begins to describe a study: one objective that is minimised, random
    /// sampling, nothing pruned.
    pub fn builder(name: impl Into<String>) -> StudyBuilder {
        StudyBuilder {
            name: name.into(),
            directions: vec![Direction::Minimize],
            space: SearchSpace::default(),
            sampler: Box::new(Random),
            pruner: Box::new(Never),
            seed: 0,
        }
    }

    /// What the study remembers.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The parameters to search for.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// The next trial to run: one that waits, or a new one. None when the
    /// sampler has nothing left to try.
    pub fn ask(&mut self) -> Result<Option<Asked>, StudyError> {
        let waiting = self
            .history
            .trials
            .iter()
            .find(|trial| trial.state == TrialState::Waiting)
            .map(|trial| trial.number);
        let number = match waiting {
            Some(number) => number,
            None => self.history.trials.len() as u64,
        };
        let mut rng = generator(self.seed, number, "propose");
        let Some(proposal) = self
            .sampler
            .propose(&self.history, &self.space, number, &mut rng)?
        else {
            return Ok(None);
        };
        if waiting.is_none() {
            self.history
                .trials
                .push(new_trial(number, TrialState::Running));
        }
        let trial = self.running(number)?;
        trial.state = TrialState::Running;
        trial.started = Some(Timestamp::now());
        self.proposed.insert(number, proposal);
        let space = self.space.clone();
        let assigned =
            space.assign(|name, distribution| self.choose(number, name, distribution))?;
        let params = assigned
            .into_iter()
            .map(|(parameter, value)| (parameter.name.clone(), value))
            .collect();
        Ok(Some(Asked {
            number,
            id: self.running(number)?.id,
            params,
            seed: trial_seed(self.seed, number),
        }))
    }

    /// A parameter that a running trial asks for itself, beyond the space
    /// ("define by run"). The same name gives the same value within a trial.
    pub fn suggest(
        &mut self,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<Value, StudyError> {
        let internal = self.choose(number, name, distribution)?;
        Ok(distribution.external(internal))
    }

    /// Takes in an intermediate value, and says whether the trial should end.
    pub fn report(&mut self, number: u64, step: i64, value: f64) -> Result<bool, StudyError> {
        self.running(number)?.intermediate.insert(step, value);
        let trial = &self.history.trials[usize::try_from(number).unwrap_or(usize::MAX)];
        Ok(self.pruner.prune(&self.history, trial))
    }

    /// Takes in how a trial ended.
    pub fn tell(&mut self, number: u64, finish: Finish) -> Result<(), StudyError> {
        let wanted = self.history.directions.len();
        let trial = self.running(number)?;
        trial.state = match finish {
            Finish::Complete(values) if values.len() != wanted => {
                return Err(StudyError::Objectives {
                    number,
                    given: values.len(),
                    wanted,
                });
            }
            Finish::Complete(values) if values.iter().any(|value| value.is_nan()) => {
                TrialState::Failed
            }
            Finish::Complete(values) => {
                trial.values = values;
                TrialState::Complete
            }
            Finish::Pruned => {
                trial
                    .values
                    .extend(trial.last_report().map(|(_, value)| value));
                TrialState::Pruned
            }
            Finish::Failed => TrialState::Failed,
        };
        trial.finished = Some(Timestamp::now());
        self.proposed.remove(&number);
        Ok(())
    }

    /// Adds a trial to be run with these parameters before any other new one;
    /// the sampler chooses what they leave open.
    pub fn enqueue(&mut self, params: Map<String, Value>) -> Result<u64, StudyError> {
        let number = self.history.trials.len() as u64;
        let mut trial = new_trial(number, TrialState::Waiting);
        trial
            .system_attrs
            .insert(FIXED_PARAMS.to_owned(), params.into());
        self.history.trials.push(trial);
        Ok(number)
    }

    /// Gives back a running trial that was interrupted: the next
    /// [`ask`](Self::ask) hands it out again with the same parameters.
    pub fn release(&mut self, number: u64) -> Result<(), StudyError> {
        self.running(number)?.state = TrialState::Waiting;
        self.proposed.remove(&number);
        Ok(())
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
            Some(error) if self.history.count(TrialState::Complete) == 0 => {
                Err(StudyError::Objective(error))
            }
            _ => Ok(()),
        }
    }

    /// The internal value of a parameter of a running trial: known already,
    /// enqueued, proposed, or chosen now.
    fn choose(
        &mut self,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, StudyError> {
        let study = self.history.name.clone();
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(trial) = self.history.trials.get(index) else {
            return Err(StudyError::NoTrial { study, number });
        };
        if let Some(known) = trial.params.get(name) {
            if *known.distribution != *distribution {
                return Err(StudyError::Incompatible {
                    name: name.to_owned(),
                    old: Box::new((*known.distribution).clone()),
                    new: Box::new(distribution.clone()),
                });
            }
            return Ok(known.internal);
        }
        let fixed = trial
            .system_attrs
            .get(FIXED_PARAMS)
            .and_then(|params| params.get(name));
        let proposed = self
            .proposed
            .get(&number)
            .and_then(|proposal| proposal.get(name))
            .copied()
            .filter(|value| distribution.contains(*value));
        let internal = match (fixed, proposed) {
            (Some(value), _) => {
                distribution
                    .internal(value)
                    .ok_or_else(|| StudyError::NotAllowed {
                        name: name.to_owned(),
                        value: value.clone(),
                    })?
            }
            (None, Some(proposed)) => proposed,
            (None, None) => {
                let mut rng = generator(self.seed, number, name);
                let Self {
                    sampler, history, ..
                } = self;
                sampler.propose_one(
                    history,
                    &history.trials[index],
                    name,
                    distribution,
                    &mut rng,
                )
            }
        };
        let assigned = Assigned {
            internal,
            distribution: Arc::new(distribution.clone()),
        };
        self.history.trials[index]
            .params
            .insert(name.to_owned(), assigned);
        Ok(internal)
    }

    fn running(&mut self, number: u64) -> Result<&mut Trial, StudyError> {
        let study = &self.history.name;
        let trial = usize::try_from(number)
            .ok()
            .and_then(|index| self.history.trials.get_mut(index));
        match trial {
            None => Err(StudyError::NoTrial {
                study: study.clone(),
                number,
            }),
            Some(trial) if trial.state.is_finished() => Err(StudyError::NotRunning {
                number,
                state: trial.state,
            }),
            Some(trial) => Ok(trial),
        }
    }
}

/// A trial under way in [`Study::optimize`].
#[derive(Debug)]
pub struct Live<'s> {
    study: &'s mut Study,
    asked: Asked,
    pruned: bool,
}

impl Live<'_> {
    /// The trial's number.
    pub fn number(&self) -> u64 {
        self.asked.number
    }

    /// A parameter that is a number.
    pub fn f64(&self, name: &str) -> Result<f64, StudyError> {
        self.get(name, "a number", Value::as_f64)
    }

    /// A parameter that is a whole number.
    pub fn i64(&self, name: &str) -> Result<i64, StudyError> {
        self.get(name, "a whole number", Value::as_i64)
    }

    /// A parameter that is a text.
    pub fn str(&self, name: &str) -> Result<&str, StudyError> {
        self.get(name, "a text", Value::as_str)
    }

    /// Any parameter.
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.asked.params.get(name)
    }

    /// A parameter that is defined here and now.
    pub fn suggest(
        &mut self,
        name: &str,
        distribution: &Distribution,
    ) -> Result<Value, StudyError> {
        self.study.suggest(self.asked.number, name, distribution)
    }

    /// Reports an intermediate value. True when the trial should end: whatever
    /// the objective returns then, the trial is pruned.
    pub fn report(&mut self, step: i64, value: f64) -> Result<bool, StudyError> {
        self.pruned = self.study.report(self.asked.number, step, value)?;
        Ok(self.pruned)
    }

    fn get<'a, T>(
        &'a self,
        name: &str,
        wanted: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, StudyError> {
        self.asked
            .params
            .get(name)
            .and_then(read)
            .ok_or_else(|| StudyError::NoParam {
                number: self.asked.number,
                name: name.to_owned(),
                wanted,
            })
    }
}

fn new_trial(number: u64, state: TrialState) -> Trial {
    Trial {
        number,
        id: number,
        state,
        params: BTreeMap::new(),
        values: Vec::new(),
        intermediate: BTreeMap::new(),
        user_attrs: Map::new(),
        system_attrs: Map::new(),
        started: None,
        finished: None,
    }
}
