//! libtorch's optimisers, with what `tch::nn::Optimizer` has and hides.

mod algorithm;
pub mod groups;
mod state;

pub use algorithm::{Adagrad, Algorithm, Lbfgs};
pub(crate) use state::OptimizerState;

use super::shim::{GroupOptions, RawOptimizer};
use crate::scheduler::Group;
use std::sync::{Arc, MutexGuard, PoisonError};
use tch::nn::{VarStore, Variables};
use tch::{TchError, Tensor};

/// An optimiser whose state goes into a checkpoint.
///
/// It is `tch::nn::Optimizer` with the state that that one hides. Only the line
/// that makes it differs:
///
/// ```no_run
/// use explr_sdk::Optimizer;
/// use explr_sdk::tch::{self, nn};
///
/// # fn example() -> explr_sdk::Result<()> {
/// let vs = nn::VarStore::new(tch::Device::Cpu);
/// let net = nn::linear(vs.root(), 4, 1, Default::default());
/// let mut optimizer = Optimizer::new(nn::Adam::default(), &vs, 1e-3)?;
/// let input = tch::Tensor::f_rand([8, 4], tch::kind::FLOAT_CPU)?;
/// let loss = input.apply(&net).f_mean(tch::Kind::Float)?;
/// optimizer.backward_step(&loss)?;
/// # Ok(())
/// # }
/// ```
///
/// A step of SGD, Adam, `AdamW` and Adagrad is one call of libtorch's fused
/// kernel for each parameter group, as with `fused=True` in PyTorch, where all
/// tensors of a group are dense and of one type; other steps, and all of
/// `RMSprop`, go from tensor to tensor. The state is the same either way.
/// libtorch has no `foreach` optimisers outside of Python.
///
/// Parameters have groups by `nn::Path::set_group`, or by name: see
/// [`groups`]. A [`Schedule`](crate::scheduler::Schedule) changes their rates:
///
/// ```
/// use explr_sdk::scheduler::{OneCycle, Schedule};
/// use explr_sdk::tch::{self, nn};
/// use explr_sdk::{Optimizer, Result, groups};
///
/// # fn main() -> Result<()> {
/// let vs = nn::VarStore::new(tch::Device::Cpu);
/// let net = nn::linear(vs.root(), 4, 1, Default::default());
/// groups::split_decay(&vs);
/// let mut optimizer = Optimizer::new(nn::AdamW::default().wd(0.1), &vs, 1e-3)?;
/// optimizer.set_weight_decay_group(groups::NO_DECAY, 0.0)?;
///
/// let mut schedule = Schedule::new(OneCycle::new(1e-2, 100), optimizer.groups()?)?;
/// optimizer.set_groups(schedule.groups())?;
/// for _ in 0..100 {
///     let input = tch::Tensor::f_rand([8, 4], tch::kind::FLOAT_CPU)?;
///     let loss = input.apply(&net).f_mean(tch::Kind::Float)?;
///     optimizer.backward_step(&loss)?;
///     optimizer.set_groups(schedule.step())?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// What a method refuses, libtorch's own errors included, is a `TchError`.
#[derive(Debug)]
pub struct Optimizer {
    raw: RawOptimizer,
    algorithm: Algorithm,
    variables: Arc<std::sync::Mutex<Variables>>,
    /// How many of the store's variables the optimiser has.
    known: usize,
}

impl Optimizer {
    /// An optimiser of all trainable variables of `vs`, those included that
    /// are made later.
    pub fn new(algorithm: impl Into<Algorithm>, vs: &VarStore, lr: f64) -> Result<Self, TchError> {
        let algorithm = algorithm.into();
        let mut optimizer = Self {
            raw: algorithm.build(lr)?,
            algorithm,
            variables: Arc::clone(&vs.variables_),
            known: 0,
        };
        optimizer.add_new_variables()?;
        Ok(optimizer)
    }

    /// Sets all gradients to zero.
    pub fn zero_grad(&mut self) -> Result<(), TchError> {
        self.add_new_variables()?;
        self.raw.zero_grad()
    }

    /// Changes the variables according to their gradients.
    pub fn step(&mut self) -> Result<(), TchError> {
        if let Algorithm::Lbfgs(_) = self.algorithm {
            return Err(refused(
                "L-BFGS computes the loss itself: call `backward_step_with`".to_owned(),
            ));
        }
        self.add_new_variables()?;
        self.raw.step()
    }

    /// Computes the gradients of a loss of one element, and steps.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), TchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        self.step()
    }

    /// One step by a function that computes the loss, of one element: L-BFGS
    /// calls it several times, the others once. It gives the loss before the
    /// step, without its graph.
    ///
    /// If the function fails or panics, so does this; L-BFGS may then have
    /// changed the variables already.
    ///
    /// ```
    /// # use explr_sdk::tch::{self, nn, Tensor};
    /// # use explr_sdk::{Lbfgs, Optimizer, Result};
    /// # fn main() -> Result<()> {
    /// let vs = nn::VarStore::new(tch::Device::Cpu);
    /// let x = vs.root().zeros("x", &[2]);
    /// let mut optimizer = Optimizer::new(Lbfgs::default(), &vs, 1.0)?;
    /// let loss = optimizer.backward_step_with(|| {
    ///     (&x - Tensor::from_slice(&[1.0_f32, 2.0])).f_square()?.f_sum(tch::Kind::Float)
    /// })?;
    /// # assert_eq!(f64::try_from(loss)?, 5.0);
    /// # assert!(x.allclose(&Tensor::from_slice(&[1.0_f32, 2.0]), 1e-5, 1e-5, false));
    /// # Ok(())
    /// # }
    /// ```
    pub fn backward_step_with<E: From<TchError>>(
        &mut self,
        loss: impl FnMut() -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        self.add_new_variables()?;
        self.raw.step_with(loss)
    }

    /// [`backward_step`](Self::backward_step) with the L2 norm of all gradients
    /// together limited to `max`. Returns the norm before that, as
    /// [`clip_grad_norm`](Self::clip_grad_norm) does.
    pub fn backward_step_clip_norm(&mut self, loss: &Tensor, max: f64) -> Result<Tensor, TchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        let norm = self.clip_grad_norm(max)?;
        self.step()?;
        Ok(norm)
    }

    /// Limits the L2 norm of all gradients together to `max`, and returns what
    /// it was: one number, 0 when there are no gradients. It stays on the
    /// device, so that a GPU need not be waited for; `f64::try_from` fetches
    /// it. An infinite `max` only measures.
    ///
    /// As in PyTorch, a norm that is not finite makes all gradients so.
    pub fn clip_grad_norm(&mut self, max: f64) -> Result<Tensor, TchError> {
        if max.is_nan() || max <= 0.0 {
            return Err(refused(format!(
                "the gradients' norm can't be limited to {max}: it must be above 0"
            )));
        }
        self.raw.clip_norm(max)
    }

    /// Limits every element of the gradients to `-max..=max`.
    pub fn clip_grad_value(&mut self, max: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        for mut gradient in self.gradients()? {
            let _ = gradient.f_clamp_(-max, max)?;
        }
        Ok(())
    }

    /// Multiplies all gradients.
    pub(crate) fn scale_gradients(&mut self, factor: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        for mut gradient in self.gradients()? {
            let _ = gradient.f_mul_scalar_(factor)?;
        }
        Ok(())
    }

    /// The learning rate of the first group.
    pub fn lr(&self) -> Result<f64, TchError> {
        Ok(self.raw.options(0)?.lr)
    }

    /// Sets the learning rate of all groups.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), TchError> {
        self.change_all(|options| options.lr = lr)
    }

    /// Sets the learning rate of one group (see `nn::Path::set_group`).
    pub fn set_lr_group(&mut self, group: usize, lr: f64) -> Result<(), TchError> {
        self.change(group, |options| options.lr = lr)
    }

    /// Sets the momentum of all groups; for Adam and `AdamW`, the first beta.
    pub fn set_momentum(&mut self, momentum: f64) -> Result<(), TchError> {
        self.has(self.raw.options(0)?.momentum, "momentum")?;
        self.change_all(|options| options.momentum = Some(momentum))
    }

    /// Sets the weight decay of all groups.
    pub fn set_weight_decay(&mut self, weight_decay: f64) -> Result<(), TchError> {
        self.has(self.raw.options(0)?.weight_decay, "weight decay")?;
        self.change_all(|options| options.weight_decay = Some(weight_decay))
    }

    /// Sets the weight decay of one group.
    pub fn set_weight_decay_group(
        &mut self,
        group: usize,
        weight_decay: f64,
    ) -> Result<(), TchError> {
        self.add_new_variables()?;
        self.has(self.raw.options(0)?.weight_decay, "weight decay")?;
        self.change(group, |options| options.weight_decay = Some(weight_decay))
    }

    /// Rates and momenta of the parameter groups: what a
    /// [`Schedule`](crate::scheduler::Schedule) begins with.
    pub fn groups(&mut self) -> Result<Vec<Group>, TchError> {
        self.add_new_variables()?;
        let (groups, _) = self.raw.size()?;
        (0..groups)
            .map(|index| {
                let options = self.raw.options(index)?;
                Ok(Group {
                    momentum: options.momentum,
                    ..Group::new(options.lr)
                })
            })
            .collect()
    }

    /// Sets rates and momenta of all parameter groups, as a
    /// [`Schedule`](crate::scheduler::Schedule) gives them.
    pub fn set_groups(&mut self, groups: &[Group]) -> Result<(), TchError> {
        self.add_new_variables()?;
        let (count, _) = self.raw.size()?;
        if groups.len() != count {
            return Err(refused(format!(
                "rates for {} parameter groups, but the optimiser has {count}: make the schedule \
                 when all variables are there",
                groups.len()
            )));
        }
        for (index, group) in groups.iter().enumerate() {
            self.change(index, |options| {
                options.lr = group.lr;
                options.momentum = options.momentum.and(group.momentum).or(options.momentum);
            })?;
        }
        Ok(())
    }

    fn has(&self, option: Option<f64>, what: &str) -> Result<(), TchError> {
        option
            .map(|_| ())
            .ok_or_else(|| refused(format!("{} has no {what}", self.algorithm.name())))
    }

    fn change_all(&mut self, change: impl Fn(&mut GroupOptions)) -> Result<(), TchError> {
        self.add_new_variables()?;
        let (groups, _) = self.raw.size()?;
        (0..groups).try_for_each(|group| self.change(group, &change))
    }

    fn change(&mut self, group: usize, change: impl Fn(&mut GroupOptions)) -> Result<(), TchError> {
        let mut options = self.raw.options(group)?;
        change(&mut options);
        self.raw.set_options(group, options)
    }

    fn gradients(&self) -> Result<Vec<Tensor>, TchError> {
        let variables = lock(&self.variables);
        let mut gradients = Vec::new();
        for variable in &variables.trainable_variables {
            let gradient = variable.tensor.f_grad()?;
            if gradient.defined() {
                gradients.push(gradient);
            }
        }
        Ok(gradients)
    }

    fn add_new_variables(&mut self) -> Result<(), TchError> {
        let variables = lock(&self.variables);
        for variable in &variables.trainable_variables[self.known..] {
            if variable.group > 0
                && let Algorithm::Lbfgs(_) = self.algorithm
            {
                return Err(refused(format!(
                    "L-BFGS has one parameter group, but a variable is in group {}",
                    variable.group
                )));
            }
            self.raw.add(&variable.tensor, variable.group)?;
            self.known += 1;
        }
        Ok(())
    }
}

fn refused(message: String) -> TchError {
    TchError::Torch(message)
}

fn lock(variables: &std::sync::Mutex<Variables>) -> MutexGuard<'_, Variables> {
    variables.lock().unwrap_or_else(PoisonError::into_inner)
}
