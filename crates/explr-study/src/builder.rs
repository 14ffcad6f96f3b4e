use crate::description::{Description, Differences};
use crate::pruner::Never;
use crate::sampler::Tpe;
use crate::storage::{Durability, Op, Store};
use crate::{Direction, Pruner, Sampler, SearchSpace, Study, StudyError};
use serde_json::Map;
use std::path::PathBuf;

/// Quasi-random trials of the default sampler.
const STARTUP: usize = 10;

/// Says what a study is before it begins.
#[derive(Debug)]
pub struct StudyBuilder {
    name: String,
    directions: Vec<Direction>,
    metric_names: Vec<String>,
    space: SearchSpace,
    sampler: Option<Box<dyn Sampler>>,
    pruner: Box<dyn Pruner>,
    seed: u64,
    journal: Option<PathBuf>,
    force: bool,
}

impl StudyBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            directions: vec![Direction::Minimize],
            metric_names: Vec::new(),
            space: SearchSpace::default(),
            sampler: None,
            pruner: Box::new(Never),
            seed: 0,
            journal: None,
            force: false,
        }
    }

    /// Which way the objective improves; for several objectives, each one.
    /// Default: one that is minimised.
    pub fn directions(mut self, directions: impl IntoIterator<Item = Direction>) -> Self {
        self.directions = directions.into_iter().collect();
        self
    }

    /// What each objective is called. Default: no names.
    pub fn metric_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.metric_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// The parameters to search for. Default: none but those that a trial
    /// [asks for](Study::suggest) itself.
    pub fn space(mut self, space: SearchSpace) -> Self {
        self.space = space;
        self
    }

    /// How parameters are chosen. Default: [`Tpe`].
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = Some(Box::new(sampler));
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

    /// Keeps the study in this file, in Optuna's journal format. If the study
    /// is there already, it goes on. Default: in memory.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Goes on with a study that was begun with another search space or
    /// another name of the objective.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// The study, begun or continued. It is continued only if it was begun
    /// with the same space and objectives; sampler, pruner and seed may change.
    /// What did is in [`Study::changes`].
    pub fn build(self) -> Result<Study, StudyError> {
        let objectives = self.directions.len();
        if objectives == 0 {
            return Err(StudyError::NoObjective);
        }
        let names = self.metric_names.len();
        if names != 0 && names != objectives {
            return Err(StudyError::MetricNames { names, objectives });
        }
        let sampler = self
            .sampler
            .unwrap_or_else(|| Box::new(Tpe::new(self.seed, STARTUP)));
        let mut store = Store::open(self.journal.as_deref(), &self.name, &self.directions)?;
        let description = Description {
            directions: &self.directions,
            metric_names: &self.metric_names,
            space: &self.space,
            sampler: sampler.name(),
            pruner: self.pruner.name(),
            seed: self.seed,
        };
        let Differences {
            final_ones,
            forceable,
            free,
        } = description.differences(store.study());
        if !final_ones.is_empty() || (!forceable.is_empty() && !self.force) {
            return Err(StudyError::Differs {
                study: self.name,
                forceable: final_ones.is_empty(),
                differences: [final_ones, forceable].concat(),
            });
        }
        store.commit(Durability::Now, |store| {
            let known = store.history().system_attrs();
            let new = description
                .attrs()
                .into_iter()
                .filter(|(key, value)| known.get(*key) != Some(value));
            // Optuna allows one entry a record.
            let ops = new
                .map(|(key, value)| Op::StudySystemAttrs {
                    study: store.study_id(),
                    attrs: Map::from_iter([(key.to_owned(), value)]),
                })
                .collect();
            Ok((ops, ()))
        })?;
        Ok(Study::new(
            store,
            self.space,
            sampler,
            self.pruner,
            self.seed,
            [forceable, free].concat(),
        ))
    }
}
