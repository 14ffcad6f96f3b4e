//! What the next trial's parameters should be.
//!
//! A sampler is a function of the history, the space, the trial's number and
//! a generator: it may cache what it worked out of finished trials, which
//! never change, and holds no other state. So a study continues the same in
//! another process.

mod cmaes;
mod gp;
mod grid;
mod linalg;
mod normal;
mod qmc;
mod random;
mod tpe;
mod univariate;

pub use self::tpe::Tpe;
pub use cmaes::CmaEs;
pub use gp::Gp;
pub use grid::Grid;
pub use qmc::Qmc;
pub use random::Random;
pub use univariate::Univariate;

use crate::{Distribution, History, Rng, SearchSpace, StudyError, Trial};
use rand::RngExt;
use std::collections::BTreeMap;

/// Internal values of parameters, by name.
pub type Proposal = BTreeMap<String, f64>;

/// Proposes parameters.
pub trait Sampler: std::fmt::Debug + Send {
    /// Its name, as in the configuration.
    fn name(&self) -> &'static str;

    /// Proposes values for parameters of `space` together, for the trial
    /// `number`, which is not in the history yet; running trials are. It may
    /// leave parameters out, which [`propose_one`](Self::propose_one) is then
    /// asked for, and name ones that turn out to be inactive. None when there
    /// is nothing left to try.
    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        number: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError>;

    /// Proposes a value for one parameter, by itself: at random, unless the
    /// sampler knows better. `trial` is running and holds the parameters
    /// chosen before.
    fn propose_one(
        &mut self,
        _history: &History,
        _trial: &Trial,
        _name: &str,
        distribution: &Distribution,
        rng: &mut Rng,
    ) -> f64 {
        distribution.from_unit(rng.random())
    }
}

impl Sampler for Box<dyn Sampler> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        number: u64,
        rng: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        (**self).propose(history, space, number, rng)
    }

    fn propose_one(
        &mut self,
        history: &History,
        trial: &Trial,
        name: &str,
        distribution: &Distribution,
        rng: &mut Rng,
    ) -> f64 {
        (**self).propose_one(history, trial, name, distribution, rng)
    }
}
