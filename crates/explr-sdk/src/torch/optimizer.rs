use super::shim::{GroupOptions, ParamState, RawOptimizer, SLOTS};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, MutexGuard, PoisonError};
use tch::nn::{Adam, AdamW, RmsProp, Sgd, VarStore, Variables};
use tch::{TchError, Tensor};

/// An optimiser whose state goes into a checkpoint.
///
/// It runs the same C++ as `tch::nn::Optimizer`, which hides that state. Only
/// the line that makes it differs:
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
/// Every method fails with libtorch's own error.
#[derive(Debug)]
pub struct Optimizer {
    raw: RawOptimizer,
    algorithm: Algorithm,
    variables: Arc<std::sync::Mutex<Variables>>,
    /// How many of the store's variables the optimiser has.
    known: usize,
}

/// What kind of optimiser it is, with its settings: tch's own structs.
#[derive(Debug, Clone, Copy)]
pub enum Algorithm {
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// `RMSprop`.
    RmsProp(RmsProp),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
            Self::Sgd(_) => "sgd",
        }
    }

    /// Names of the tensors in the state of a parameter, as in PyTorch.
    fn slot_names(self) -> [&'static str; SLOTS] {
        match self {
            Self::Adam(_) | Self::AdamW(_) => ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Self::RmsProp(_) => ["square_avg", "momentum_buffer", "grad_avg"],
            Self::Sgd(_) => ["momentum_buffer", "unused_1", "unused_2"],
        }
    }

    fn build(self, lr: f64) -> Result<RawOptimizer, TchError> {
        // SAFETY: these take plain numbers.
        RawOptimizer::new(unsafe {
            match self {
                Self::Adam(c) => torch_sys::ato_adam(lr, c.beta1, c.beta2, c.wd, c.eps, c.amsgrad),
                Self::AdamW(c) => {
                    torch_sys::ato_adamw(lr, c.beta1, c.beta2, c.wd, c.eps, c.amsgrad)
                }
                Self::RmsProp(c) => {
                    let centered = c.centered.into();
                    torch_sys::ato_rms_prop(lr, c.alpha, c.eps, c.wd, c.momentum, centered)
                }
                Self::Sgd(c) => {
                    torch_sys::ato_sgd(lr, c.momentum, c.dampening, c.wd, c.nesterov.into())
                }
            }
        })
    }
}

impl From<Adam> for Algorithm {
    fn from(config: Adam) -> Self {
        Self::Adam(config)
    }
}

impl From<AdamW> for Algorithm {
    fn from(config: AdamW) -> Self {
        Self::AdamW(config)
    }
}

impl From<RmsProp> for Algorithm {
    fn from(config: RmsProp) -> Self {
        Self::RmsProp(config)
    }
}

impl From<Sgd> for Algorithm {
    fn from(config: Sgd) -> Self {
        Self::Sgd(config)
    }
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
        self.add_new_variables()?;
        self.raw.step()
    }

    /// Computes the gradients of a loss of one element, and steps.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), TchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        self.raw.step()
    }

    /// The same, with the L2 norm of all gradients together limited to `max`.
    /// Returns the norm before that.
    pub fn backward_step_clip_norm(&mut self, loss: &Tensor, max: f64) -> Result<f64, TchError> {
        self.zero_grad()?;
        loss.f_backward()?;
        let norm = self.clip_grad_norm(max)?;
        self.raw.step()?;
        Ok(norm)
    }

    /// Limits the L2 norm of all gradients together to `max` and returns what
    /// it was; 0 when there are no gradients.
    pub fn clip_grad_norm(&mut self, max: f64) -> Result<f64, TchError> {
        let _guard = tch::no_grad_guard();
        let gradients = self.gradients()?;
        if gradients.is_empty() {
            return Ok(0.0);
        }
        let norms = gradients
            .iter()
            .map(Tensor::f_norm)
            .collect::<Result<Vec<_>, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
        let factor = max / (norm + 1e-6);
        if factor < 1.0 {
            for mut gradient in gradients {
                let _ = gradient.f_mul_scalar_(factor)?;
            }
        }
        Ok(norm)
    }

    /// Limits every element of the gradients to `-max..=max`.
    pub fn clip_grad_value(&mut self, max: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        for mut gradient in self.gradients()? {
            let _ = gradient.f_clamp_(-max, max)?;
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
        self.change_all(|options| options.momentum = momentum)
    }

    /// Sets the weight decay of all groups.
    pub fn set_weight_decay(&mut self, weight_decay: f64) -> Result<(), TchError> {
        self.change_all(|options| options.weight_decay = weight_decay)
    }

    /// Sets the weight decay of one group.
    pub fn set_weight_decay_group(
        &mut self,
        group: usize,
        weight_decay: f64,
    ) -> Result<(), TchError> {
        self.change(group, |options| options.weight_decay = weight_decay)
    }

    /// What is needed to go on exactly as this optimiser would: a description
    /// and tensors (on the CPU) by name.
    pub(crate) fn snapshot(&self) -> Result<(OptimizerState, Vec<(String, Tensor)>), TchError> {
        let (groups, parameters) = self.raw.size()?;
        let mut steps = Vec::with_capacity(parameters);
        let mut tensors = Vec::new();
        for index in 0..parameters {
            let state = self.raw.state(index)?;
            steps.push(state.step);
            for (name, slot) in self.algorithm.slot_names().iter().zip(state.slots) {
                if let Some(tensor) = slot {
                    tensors.push((format!("{index}.{name}"), super::stored(&tensor)?));
                }
            }
        }
        let options = (0..groups).map(|group| self.raw.options(group));
        let state = OptimizerState {
            algorithm: self.algorithm.name().to_owned(),
            groups: options.collect::<Result<_, _>>()?,
            steps,
        };
        Ok((state, tensors))
    }

    /// Takes over a snapshot. The caller has looked for a [`misfit`](Self::misfit).
    pub(crate) fn restore(
        &mut self,
        state: &OptimizerState,
        tensors: &[(String, Tensor)],
    ) -> Result<(), TchError> {
        self.add_new_variables()?;
        let devices: Vec<_> = {
            let variables = lock(&self.variables);
            let mut all: Vec<_> = variables.trainable_variables.iter().collect();
            // libtorch counts the parameters group by group.
            all.sort_by_key(|variable| variable.group);
            all.iter()
                .map(|variable| variable.tensor.device())
                .collect()
        };
        for (index, (step, device)) in state.steps.iter().zip(devices).enumerate() {
            let mut slots = [const { None }; SLOTS];
            for (slot, name) in slots.iter_mut().zip(self.algorithm.slot_names()) {
                let name = format!("{index}.{name}");
                if let Some((_, tensor)) = tensors.iter().find(|(other, _)| *other == name) {
                    *slot = Some(tensor.f_to_device(device)?);
                }
            }
            self.raw
                .set_state(index, &ParamState { step: *step, slots })?;
        }
        for (group, options) in state.groups.iter().enumerate() {
            self.raw.set_options(group, *options)?;
        }
        Ok(())
    }

    /// Why a snapshot is not one of an optimiser like this, if it is not.
    pub(crate) fn misfit(&mut self, state: &OptimizerState) -> Result<Option<String>, TchError> {
        self.add_new_variables()?;
        let (groups, parameters) = self.raw.size()?;
        let name = self.algorithm.name();
        Ok(if state.algorithm != name {
            Some(format!("it is of {}, this one is {name}", state.algorithm))
        } else if (state.groups.len(), state.steps.len()) != (groups, parameters) {
            Some(format!(
                "it has {} parameters in {} groups, this one {parameters} in {groups}",
                state.steps.len(),
                state.groups.len()
            ))
        } else {
            None
        })
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
            self.raw.add(&variable.tensor, variable.group)?;
            self.known += 1;
        }
        Ok(())
    }
}

/// Description of an optimiser's state, beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OptimizerState {
    algorithm: String,
    groups: Vec<GroupOptions>,
    /// Steps done, by parameter; -1 where there is no state.
    steps: Vec<i64>,
}

fn lock(variables: &std::sync::Mutex<Variables>) -> MutexGuard<'_, Variables> {
    variables.lock().unwrap_or_else(PoisonError::into_inner)
}
