mod cells;
mod evolution;
mod strategy;

use super::{Proposal, Sampler};
use crate::random::generator;
use crate::{Assigned, Distribution, History, Rng, SearchSpace, StudyError, Trial, TrialState};
use evolution::Evolution;
use rand::RngExt;
use std::cmp::Ordering;

const NAME: &str = "cmaes";

/// CMA-ES: the covariance matrix adaptation evolution strategy, for numbers
/// that interact, and some hundred trials or more (Hansen 2016, "The CMA
/// evolution strategy: a tutorial").
///
/// It learns a normal distribution over the numeric parameters that are always
/// active, in the scale of their ranges. Choices, and parameters with
/// conditions, are drawn at random. Whole numbers and steps keep a chance to
/// change (Hamano et al. 2022, "CMA-ES with margin"). When it gets stuck, it
/// begins anew elsewhere with twice the population (Auger and Hansen 2005, "A
/// restart CMA evolution strategy with increasing population size").
///
/// Finished trials in the order of their numbers are its generations, whoever
/// proposed them: so enqueued trials take part, and parallel ones never wait
/// for each other. Far ones are drawn near (Hansen 2011, "Injecting external
/// solutions into CMA-ES"). Pruned trials rank after complete ones, those that
/// came further first; failed trials come last. It has one objective.
#[derive(Debug)]
pub struct CmaEs {
    seed: u64,
    replay: Option<Replay>,
}

/// The evolution as far as it follows from the trials before `next`, all of
/// them finished.
#[derive(Debug, Clone)]
struct Replay {
    evolution: Evolution,
    /// Who waits for the generation to be full.
    generation: Vec<Individual>,
    restarts: u64,
    next: usize,
}

/// A finished trial, as the evolution sees it.
#[derive(Debug, Clone)]
struct Individual {
    number: u64,
    /// Where it lies in the unit cube.
    point: Vec<f64>,
    fitness: Fitness,
}

/// How good a trial was. Less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fitness {
    Complete(f64),
    Pruned { step: i64, loss: f64 },
    Failed,
}

impl CmaEs {
    /// The strategy, with the study's seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, replay: None }
    }
}

impl Sampler for CmaEs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        _: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        if history.directions().len() != 1 {
            return Err(StudyError::Sampler {
                sampler: NAME,
                why: "takes one objective only; `tpe` takes several".to_owned(),
            });
        }
        let axes = numeric(space);
        if axes.is_empty() {
            return Ok(Some(Proposal::new()));
        }
        let replay = self.replay.get_or_insert_with(|| Replay::new(&axes));
        let trials = history.trials();
        while let Some(trial) = trials
            .get(replay.next)
            .filter(|trial| trial.state.is_finished())
        {
            replay.next += 1;
            replay.add(trial, history, &axes, self.seed);
        }
        // What finished after a running trial may yet fall into another
        // generation, so it is not remembered.
        let mut replay = replay.clone();
        for trial in &trials[replay.next.min(trials.len())..] {
            replay.add(trial, history, &axes, self.seed);
        }
        let point = replay.evolution.sample(rng);
        let values = axes
            .iter()
            .zip(point)
            .map(|((name, distribution), unit)| ((*name).to_owned(), distribution.from_unit(unit)));
        Ok(Some(values.collect()))
    }
}

/// The parameters that the evolution is over.
fn numeric(space: &SearchSpace) -> Vec<(&str, &Distribution)> {
    space
        .parameters()
        .iter()
        .filter(|parameter| parameter.when.is_empty())
        .filter_map(|parameter| Some((parameter.name.as_str(), parameter.distribution()?)))
        .filter(|(_, distribution)| {
            !matches!(distribution, Distribution::Categorical(_)) && distribution.count() != Some(1)
        })
        .collect()
}

impl Replay {
    fn new(axes: &[(&str, &Distribution)]) -> Self {
        let mean = vec![0.5; axes.len()];
        Self {
            evolution: Evolution::new(mean, strategy::population(axes.len())),
            generation: Vec::new(),
            restarts: 0,
            next: 0,
        }
    }

    /// Takes in a trial, unless it is unfinished or lies elsewhere.
    fn add(&mut self, trial: &Trial, history: &History, axes: &[(&str, &Distribution)], seed: u64) {
        let Some(individual) = Individual::new(trial, history, axes) else {
            return;
        };
        self.generation.push(individual);
        if self.generation.len() < self.evolution.population() {
            return;
        }
        self.generation.sort_by(Individual::rank);
        let points: Vec<Vec<f64>> = self
            .generation
            .iter()
            .map(|individual| {
                let mut rng = generator(seed, individual.number, "cell");
                self.evolution
                    .within_cells(axes, &individual.point, &mut rng)
            })
            .collect();
        let best = self.generation.first().map(|first| first.fitness);
        let worst = self.generation.last().map(|last| last.fitness);
        let alive = self.evolution.update(&points, axes, best == worst);
        self.generation.clear();
        if !alive {
            self.restarts += 1;
            let mut rng = generator(seed, self.restarts, "restart");
            let mean = axes.iter().map(|_| rng.random()).collect();
            self.evolution = Evolution::new(mean, 2 * self.evolution.population());
        }
    }
}

impl Individual {
    fn new(trial: &Trial, history: &History, axes: &[(&str, &Distribution)]) -> Option<Self> {
        let fitness = match (trial.state, trial.values.first(), trial.last_report()) {
            (TrialState::Complete, Some(value), _) => Fitness::Complete(history.loss(*value)),
            (TrialState::Pruned, _, Some((step, value))) if !value.is_nan() => Fitness::Pruned {
                step,
                loss: history.loss(value),
            },
            (TrialState::Complete | TrialState::Pruned | TrialState::Failed, ..) => Fitness::Failed,
            (TrialState::Running | TrialState::Waiting, ..) => return None,
        };
        let unit = |(name, distribution): &(&str, &Distribution)| {
            let Assigned { internal, .. } = trial.params.get(*name)?;
            let known = distribution.contains(*internal);
            known.then(|| distribution.to_unit(*internal))
        };
        Some(Self {
            number: trial.number,
            point: axes.iter().map(unit).collect::<Option<_>>()?,
            fitness,
        })
    }

    fn rank(&self, other: &Self) -> Ordering {
        use Fitness::{Complete, Failed, Pruned};
        let by_fitness = match (self.fitness, other.fitness) {
            (Complete(a), Complete(b)) => a.total_cmp(&b),
            (Pruned { step: a, loss: x }, Pruned { step: b, loss: y }) => {
                b.cmp(&a).then(x.total_cmp(&y))
            }
            (Failed, Failed) => Ordering::Equal,
            (Complete(_), _) | (Pruned { .. }, Failed) => Ordering::Less,
            (_, Complete(_)) | (Failed, Pruned { .. }) => Ordering::Greater,
        };
        by_fitness.then(self.number.cmp(&other.number))
    }
}

#[cfg(test)]
mod tests;
