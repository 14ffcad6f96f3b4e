//! What the trials of a study run.

use super::nursery::Nursery;
use super::request::run_request;
use super::sweep::{Chosen, label};
use crate::Error;
use crate::config::{Config, CudaOom, Loaded};
use crate::report::RunEvent;
use crate::runner::{self, Jobs, Origin, Plan, Slots};
use explr_protocol::{TrainFunction, control};
use explr_study::Asked;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// Code with a configuration, and what it gets of the machine.
pub(super) struct Recipe {
    pub(super) loaded: Loaded,
    pub(super) plan: Plan,
    pub(super) code: control::Code,
    pub(super) function: Option<Arc<dyn TrainFunction>>,
    pub(super) origin: Origin,
    pub(super) slots: Slots,
    pub(super) nursery: Arc<Nursery>,
}

impl Recipe {
    /// Whether a trial for which the GPU has no memory is pruned, not failed.
    pub(super) fn prunes_oom(&self) -> bool {
        self.loaded.config.worker.cuda_oom == CudaOom::Prune
    }
}

/// The recipes of a study.
pub(super) enum Recipes {
    /// A search: one, with other hyperparameters for each trial.
    Search(Box<Recipe>),
    /// A sweep: one for each combination of settings.
    Sweep(Vec<(Chosen, Recipe)>),
}

/// What all recipes of one plugin share.
#[derive(Clone)]
pub(super) struct Built {
    code: control::Code,
    origin: Origin,
    nursery: Arc<Nursery>,
}

/// Makes recipes. Each plugin is built, and git asked about it, once.
pub(super) struct Kitchen<'a> {
    pub(super) jobs: Jobs,
    pub(super) command: &'a [String],
    /// Folder of the store.
    pub(super) store: PathBuf,
    pub(super) built: HashMap<runner::Code, Built>,
}

impl Kitchen<'_> {
    /// Decides what a configuration gets, without building anything.
    pub(super) fn plan(
        &self,
        loaded: &Loaded,
        function: Option<&Arc<dyn TrainFunction>>,
    ) -> Result<(Plan, Slots), Error> {
        let plan = Plan::make(&run_request(loaded, function, self.command))?;
        let slots = runner::slots(
            &loaded.config,
            &plan.gpu_memory,
            plan.libtorch.as_deref(),
            self.jobs,
        )?;
        Ok((plan, slots))
    }

    /// Builds what was planned.
    pub(super) fn cook(
        &mut self,
        loaded: Loaded,
        function: Option<&Arc<dyn TrainFunction>>,
        (plan, slots): (Plan, Slots),
        sink: &mut dyn FnMut(RunEvent),
    ) -> Result<Recipe, Error> {
        let built = if let Some(built) = self.built.get(&plan.code) {
            built.clone()
        } else {
            let code = plan.build(sink)?;
            let log = self.store.join("template.log");
            let built = Built {
                nursery: Arc::new(Nursery::new(
                    &loaded.config.worker,
                    &code,
                    &slots.all[0],
                    log,
                )),
                origin: plan.origin(&run_request(&loaded, function, self.command)),
                code,
            };
            self.built.insert(plan.code.clone(), built.clone());
            built
        };
        Ok(Recipe {
            loaded,
            origin: built.origin.of_function(&plan.function),
            plan,
            code: built.code,
            function: function.map(Arc::clone),
            slots,
            nursery: built.nursery,
        })
    }
}

impl Recipes {
    /// The one that speaks for all: how many at a time, what is tracked.
    pub(super) fn first(&self) -> &Recipe {
        match self {
            Self::Search(recipe) => recipe,
            Self::Sweep(recipes) => &recipes[0].1,
        }
    }

    /// How many trials may run at a time.
    pub(super) fn jobs(&self) -> usize {
        self.least(|slots| slots.jobs)
    }

    /// How many slots every recipe has.
    pub(super) fn slots(&self) -> usize {
        self.least(|slots| slots.all.len())
    }

    fn least(&self, count: impl Fn(&Slots) -> usize) -> usize {
        let counts = self.all().map(|recipe| count(&recipe.slots));
        counts.min().unwrap_or(0)
    }

    /// Whether a trial on `slot` might have one of these GPUs.
    pub(super) fn use_any(&self, slot: usize, gpus: &BTreeSet<String>) -> bool {
        let mut own = self.all().flat_map(|recipe| &recipe.slots.all[slot].gpus);
        own.any(|gpu| gpus.contains(gpu))
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Recipe> + '_> {
        match self {
            Self::Search(recipe) => Box::new(std::iter::once(&**recipe)),
            Self::Sweep(recipes) => Box::new(recipes.iter().map(|(_, recipe)| recipe)),
        }
    }

    /// What a trial runs: its recipe, and its own configuration.
    pub(super) fn of(&self, asked: &Asked) -> (&Recipe, Loaded) {
        match self {
            Self::Search(recipe) => {
                let mut loaded = recipe.loaded.clone();
                loaded.config = with_trial(&loaded.config, asked);
                (recipe, loaded)
            }
            Self::Sweep(recipes) => {
                let found = recipes
                    .iter()
                    .find(|(settings, _)| *settings == asked.params);
                let (settings, recipe) = found.unwrap_or(&recipes[0]);
                let mut loaded = recipe.loaded.clone();
                let name = loaded.config.tags.entry("mlflow.runName".to_owned());
                name.or_insert_with(|| label(settings));
                (recipe, loaded)
            }
        }
    }
}

fn with_trial(config: &Config, asked: &Asked) -> Config {
    Config {
        seed: asked.seed,
        ..config.with_params(&asked.params)
    }
}
