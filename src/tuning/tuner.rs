use super::ledger::{End, Goals, Ledger};
use super::objective::Objective;
use super::parent::Parent;
use super::recipe::{Kitchen, Recipe, Recipes};
use super::request::{SweepRequest, Trials, TuneRequest};
use super::{RUN_ATTR, StudyOutcome, files, make, recover};
use crate::Error;
use crate::config::{Config, Loaded};
use crate::report::RunEvent;
use crate::report::study::{StudyEvent, StudyPlan, StudyReporter, TrialEnd};
use crate::runner::{self, RunError, Stop, StopLevel, StopReason};
use crate::store::{RunId, Store, StudyRef, StudyRole};
use crate::tracking::{Settings, Shipper, Status};
use explr_protocol::RunState;
use explr_study::{Asked, Study, StudyLock, TrialState};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two looks at how the shipper does.
const ASIDE: Duration = Duration::from_millis(200);

/// Goes on with a study to its end, or begins it, and tells `reporter` what
/// happens.
///
/// Blocks. The work is done on a thread of its own, so it may be called from
/// anywhere, an async runtime included.
pub fn tune(
    request: &TuneRequest,
    stop: &Stop,
    reporter: &mut dyn StudyReporter,
) -> Result<StudyOutcome, Error> {
    runner::on_own_thread(async || {
        let loaded = &request.loaded;
        let function = request.function.as_ref();
        let (store, mut kitchen) = begin(loaded, &request.command)?;
        let planned = kitchen.plan(loaded, function)?;
        let mut sink = |event| reporter.event(&StudyEvent::Build(event));
        let recipe = kitchen.cook(loaded.clone(), function, planned, &mut sink);
        stop.check()?;
        let recipes = Recipes::Search(Box::new(recipe?));
        let force = request.force;
        let open = |config: &Config, journal: &PathBuf| {
            let mut study = make::study(config, journal, force)?;
            make::enqueue(&mut study, &config.tune)?;
            Ok(study)
        };
        let name = loaded.config.study_name().to_owned();
        let tuner = Tuner::open(store, name, recipes, request.trials, open, reporter)?;
        tuner.run(stop).await
    })
}

/// Runs what is missing of a sweep.
pub fn sweep(
    request: &SweepRequest,
    stop: &Stop,
    reporter: &mut dyn StudyReporter,
) -> Result<StudyOutcome, Error> {
    runner::on_own_thread(async || {
        let (_, first) = request.entries.first().ok_or(RunError::NothingToSweep)?;
        let (store, mut kitchen) = begin(first, &request.command)?;
        // Everything is decided before anything is built.
        let mut planned = Vec::new();
        for (chosen, loaded) in &request.entries {
            planned.push((chosen, loaded, kitchen.plan(loaded, None)?));
        }
        let mut sink = |event| reporter.event(&StudyEvent::Build(event));
        let mut recipes = Vec::new();
        for (chosen, loaded, plan) in planned {
            let recipe = kitchen.cook(loaded.clone(), None, plan, &mut sink);
            stop.check()?;
            recipes.push((chosen.clone(), recipe?));
        }
        let all: Vec<_> = request
            .entries
            .iter()
            .map(|(chosen, _)| chosen.clone())
            .collect();
        let open =
            |config: &Config, journal: &PathBuf| make::sweep(&request.name, config, journal, &all);
        let recipes = Recipes::Sweep(recipes);
        let (name, trials) = (request.name.clone(), Trials::Unlimited);
        let tuner = Tuner::open(store, name, recipes, trials, open, reporter)?;
        tuner.run(stop).await
    })
}

/// Opens the store, and gets ready to make recipes for it.
fn begin<'a>(loaded: &Loaded, command: &'a [String]) -> Result<(Store, Kitchen<'a>), Error> {
    let current = std::env::current_dir().unwrap_or_default();
    let store = Store::open(&current.join(loaded.resolve(&loaded.config.store)))?;
    runner::check_space(store.root())?;
    let kitchen = Kitchen {
        jobs: make::jobs(&loaded.config.tune),
        command,
        store: store.root().to_owned(),
        built: HashMap::new(),
    };
    Ok((store, kitchen))
}

/// A study under way.
pub(super) struct Tuner<'a> {
    pub(super) study: RefCell<Study>,
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) recipes: Recipes,
    pub(super) objectives: Vec<Objective>,
    pub(super) parent_id: RunId,
    pub(super) shipper: Option<Shipper>,
    /// Stops the running trials; raised for the user's reasons and the
    /// study's own.
    pub(super) stop: Stop,
    began: Instant,
    journal: PathBuf,
    parent: RefCell<Parent>,
    ledger: RefCell<Ledger>,
    reporter: RefCell<&'a mut dyn StudyReporter>,
    shown: RefCell<Option<Status>>,
    /// Why explr can't go on with the study.
    broken: RefCell<Option<Error>>,
    /// UUIDs of the GPUs that were lost on the way.
    lost: RefCell<BTreeSet<String>>,
    _lock: StudyLock,
}

/// The run that stands for the study: the one that its journal names, or a new
/// one.
fn enter_parent(study: &mut Study, store: &Store, recipe: &Recipe) -> Result<Parent, Error> {
    let name = study.history().name().to_owned();
    let earlier = study
        .history()
        .user_attrs()
        .get(RUN_ATTR)
        .and_then(|id| store.run(id.as_str()?).ok());
    let mut manifest = recipe.origin.manifest(&recipe.loaded, &recipe.slots.all[0]);
    manifest.study = Some(StudyRef {
        study: name,
        role: StudyRole::Study,
    });
    if earlier.is_none() {
        study.set_attr(RUN_ATTR, manifest.run_id.as_str().into())?;
    }
    let mut parent = Parent::enter(store, &manifest, study.space(), earlier)?;
    parent.catch_up(study.history())?;
    Ok(parent)
}

impl<'a> Tuner<'a> {
    /// Takes the study for this process and puts right what an earlier one
    /// left.
    fn open(
        store: Store,
        name: String,
        recipes: Recipes,
        trials: Trials,
        open: impl FnOnce(&Config, &PathBuf) -> Result<Study, Error>,
        reporter: &'a mut dyn StudyReporter,
    ) -> Result<Self, Error> {
        let first = recipes.first();
        let config = &first.loaded.config;
        let settings = Settings::resolve(&config.mlflow, &first.plan.folder, &store)?;
        let journal = store.study_journal(&name)?;
        let lock = StudyLock::take(&journal)?;
        runner::reconcile(&store)?;
        let began = Instant::now();
        let mut study = open(config, &journal)?;
        let objectives = match recipes {
            Recipes::Search(_) => make::objectives(&config.tune),
            Recipes::Sweep(_) => vec![Objective::any()],
        };
        recover::recover(&mut study, &store, &lock, &objectives, first)?;
        let parent = enter_parent(&mut study, &store, first)?;
        let shipper =
            settings.map(|settings| Shipper::start(settings, store.clone(), parent.dir().clone()));
        let finished = study.history().finished() as u64;
        let goals = Goals {
            trials: match trials {
                Trials::Configured => make::trials(&config.tune),
                Trials::Total(total) => Some(total),
                Trials::More(more) => Some(finished + more),
                Trials::Unlimited => None,
            },
            max_fail: make::max_fail(&config.tune),
            stop_at: config.tune.stop_at,
        };
        let tuner = Self {
            ledger: RefCell::new(Ledger::new(goals, study.history().direction(), finished)),
            parent_id: parent.dir().id().clone(),
            parent: RefCell::new(parent),
            study: RefCell::new(study),
            name,
            store,
            recipes,
            objectives,
            shipper,
            stop: Stop::new(),
            began,
            journal,
            reporter: RefCell::new(reporter),
            shown: RefCell::new(None),
            broken: RefCell::new(None),
            lost: RefCell::new(BTreeSet::new()),
            _lock: lock,
        };
        tuner.emit(StudyEvent::Planned(Box::new(tuner.describe())));
        Ok(tuner)
    }

    #[expect(clippy::needless_pass_by_value, reason = "events are made on the spot")]
    pub(super) fn emit(&self, event: StudyEvent) {
        self.reporter.borrow_mut().event(&event);
    }

    /// Starts trials while there is room and reason, takes in their ends, and
    /// ends the study.
    async fn run(self, user: &Stop) -> Result<StudyOutcome, Error> {
        let first = self.recipes.first();
        if let Some(shipper) = self
            .shipper
            .as_ref()
            .filter(|_| first.loaded.config.mlflow.required)
        {
            let mut sink = |event| {
                if let RunEvent::Tracking(status) = event {
                    self.emit(StudyEvent::Tracking(status));
                }
            };
            if let Err(error) = runner::wait_for_server(shipper, &mut sink).await {
                self.break_off(error.into());
            }
        }
        let timeout = first.loaded.config.tune.timeout.map(|limit| limit.0);
        let mut deadline = std::pin::pin!(sleep(timeout));
        let mut signals = user.subscribe();
        let mut ticks = tokio::time::interval(ASIDE);
        let jobs = self.recipes.jobs();
        let mut free: Vec<usize> = (0..self.recipes.slots()).rev().collect();
        let mut running = FuturesUnordered::new();
        let (mut ran, mut failed) = (0, 0);
        loop {
            free.retain(|slot| !self.recipes.use_any(*slot, &self.lost.borrow()));
            while self.broken.borrow().is_none()
                && self.ledger.borrow().wants_more()
                && running.len() < jobs
            {
                let Some(slot) = free.pop() else { break };
                match self.study.borrow_mut().ask() {
                    Ok(Some(asked)) => {
                        self.ledger.borrow_mut().started();
                        running.push(self.trial_on(asked, slot));
                    }
                    Ok(None) => {
                        free.push(slot);
                        if running.is_empty() {
                            self.ledger.borrow_mut().end_with(End::Exhausted);
                        }
                        break;
                    }
                    Err(error) => {
                        free.push(slot);
                        self.break_off(error.into());
                    }
                }
            }
            if running.is_empty() {
                if free.is_empty() && self.ledger.borrow().wants_more() {
                    let gpus: Vec<String> = self.lost.borrow().iter().cloned().collect();
                    let gpus = gpus.join(", ");
                    self.break_off(RunError::GpusLost { gpus }.into());
                }
                break;
            }
            tokio::select! {
                biased;
                Ok(()) = signals.changed() => {
                    let level = *signals.borrow_and_update();
                    self.obey(level);
                }
                Some((slot, ended)) = running.next() => {
                    free.push(slot);
                    match ended {
                        Ok(trial) => {
                            ran += u64::from(trial.state.is_finished());
                            failed += u64::from(trial.state == TrialState::Failed);
                            if let Err(error) = self.take_in(trial) {
                                self.break_off(error);
                            }
                        }
                        Err(error) => {
                            self.ledger.borrow_mut().finished(TrialState::Waiting, None);
                            self.break_off(error);
                        }
                    }
                    if self.ledger.borrow().early_end().is_some_and(|end| end != End::Exhausted) {
                        self.stop_trials();
                    }
                }
                () = &mut deadline => {
                    self.ledger.borrow_mut().end_with(End::Timeout);
                    self.emit(StudyEvent::Stopping { reason: "the time is up".to_owned() });
                    self.stop_trials();
                    deadline.set(sleep(None));
                }
                _ = ticks.tick() => self.show_tracking(),
            }
        }
        drop(running);
        self.end(user, ran, failed)
    }

    async fn trial_on(&self, asked: Asked, slot: usize) -> (usize, Result<TrialEnd, Error>) {
        (slot, self.trial(asked, slot).await)
    }

    /// Takes in what someone outside wants.
    fn obey(&self, level: StopLevel) {
        match level {
            StopLevel::None => {}
            StopLevel::Gentle(reason) => {
                self.ledger.borrow_mut().end_with(End::Stopped(reason));
                self.emit(StudyEvent::Stopping {
                    reason: reason.to_string(),
                });
                self.stop.raise(reason);
            }
            StopLevel::Now(reason) => {
                self.ledger.borrow_mut().end_with(End::Stopped(reason));
                self.stop.raise(reason);
                self.stop.raise(reason);
            }
        }
    }

    /// Asks the running trials to stop, once.
    fn stop_trials(&self) {
        if !self.stop.is_raised() {
            self.stop.raise(StopReason::Study);
        }
    }

    /// Ends the study for what explr can't do. The first reason counts.
    pub(super) fn break_off(&self, error: Error) {
        self.broken.borrow_mut().get_or_insert(error);
        self.stop_trials();
    }

    /// Starts no further trial on these GPUs.
    pub(super) fn lose(&self, gpus: &[String]) {
        for gpu in gpus {
            if self.lost.borrow_mut().insert(gpu.clone()) {
                self.emit(StudyEvent::Note(format!(
                    "{gpu} is lost: the study goes on without it"
                )));
            }
        }
    }

    fn take_in(&self, trial: TrialEnd) -> Result<(), Error> {
        let value = trial.values.first().copied();
        self.ledger.borrow_mut().finished(trial.state, value);
        let study = self.study.borrow();
        if let Some(known) = study.history().trial(trial.number) {
            self.parent.borrow_mut().tell(study.history(), known)?;
        }
        drop(study);
        self.emit(StudyEvent::TrialEnded(Box::new(trial)));
        Ok(())
    }

    fn show_tracking(&self) {
        let Some(status) = self.shipper.as_ref().map(Shipper::status) else {
            return;
        };
        if self.shown.borrow().as_ref() != Some(&status) {
            *self.shown.borrow_mut() = Some(status.clone());
            self.emit(StudyEvent::Tracking(status));
        }
    }

    /// Writes the end of the study and waits for tracking.
    fn end(self, user: &Stop, ran: u64, failed: u64) -> Result<StudyOutcome, Error> {
        let broken = self.broken.take();
        let history = self.study.borrow().history().clone();
        let end = self.ledger.borrow().early_end().unwrap_or(End::Enough);
        let complete = history.count(TrialState::Complete) > 0;
        let state = match end {
            _ if broken.is_some() => RunState::Interrupted,
            End::Stopped(_) | End::Timeout => RunState::Interrupted,
            End::FailureBudget => RunState::Failed,
            _ if !complete && ran > 0 => RunState::Failed,
            _ => RunState::Completed,
        };
        {
            let mut parent = self.parent.borrow_mut();
            let written = parent
                .add_files(&files::of(&history))
                .and_then(|()| parent.close(state));
            if let Some(error) = broken {
                return Err(error);
            }
            written?;
        }
        let mut outcome = StudyOutcome {
            run_id: self.parent_id.clone(),
            journal: self.journal.clone(),
            end,
            ran,
            failed,
            interrupted: history.count(TrialState::Waiting) as u64,
            failures_are_budgeted: self.ledger.borrow().failures_are_budgeted(),
            history,
            duration: self.began.elapsed(),
            tracking: None,
            tracking_required: self.recipes.first().loaded.config.mlflow.required,
        };
        self.emit(StudyEvent::Ended(Box::new(outcome.clone())));
        if let Some(shipper) = self.shipper {
            let stopped = matches!(end, End::Stopped(_));
            let mlflow = &self.recipes.first().loaded.config.mlflow;
            let mut reporter = self.reporter.borrow_mut();
            let report = runner::ship_rest(shipper, mlflow, stopped, user, |status| {
                reporter.event(&StudyEvent::Tracking(status));
            });
            outcome.tracking = Some(report);
        }
        self.reporter
            .into_inner()
            .event(&StudyEvent::Closed(Box::new(outcome.clone())));
        Ok(outcome)
    }

    fn describe(&self) -> StudyPlan {
        let first = self.recipes.first();
        let config = &first.loaded.config;
        let study = self.study.borrow();
        let history = study.history();
        StudyPlan {
            study: self.name.clone(),
            experiment: config.experiment.clone(),
            config: first.loaded.path.clone(),
            function: first.plan.function.clone(),
            journal: self.journal.clone(),
            directions: history.directions().to_vec(),
            sampler: study.sampler().name().to_owned(),
            pruner: study.pruner().name().to_owned(),
            parameters: study
                .space()
                .parameters()
                .iter()
                .filter(|parameter| parameter.distribution().is_some())
                .count(),
            trials: self.ledger.borrow().total(),
            finished: history.finished() as u64,
            best: history
                .best()
                .map(|trial| (trial.number, trial.values.clone())),
            jobs: self.recipes.jobs(),
            device: first.slots.all[0].device,
            threads: first.slots.all[0].threads,
            seed: config.seed,
            timeout: config.tune.timeout.map(|limit| limit.0),
            tracked: self.shipper.is_some(),
        }
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
