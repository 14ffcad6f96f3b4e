use crate::torch::shim::{RawOptimizer, SLOTS};
use tch::TchError;
use tch::nn::{Adam, AdamW, RmsProp, Sgd};

/// What kind of optimiser it is, with its settings.
#[derive(Debug, Clone, Copy)]
pub enum Algorithm {
    /// Adagrad.
    Adagrad(Adagrad),
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// L-BFGS.
    Lbfgs(Lbfgs),
    /// `RMSprop`.
    RmsProp(RmsProp),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

/// Settings of Adagrad: Duchi, Hazan and Singer, *Adaptive Subgradient Methods
/// for Online Learning and Stochastic Optimization* (2011).
#[derive(Debug, Clone, Copy)]
pub struct Adagrad {
    /// By how much the learning rate falls with the steps.
    pub lr_decay: f64,
    /// Weight decay.
    pub wd: f64,
    /// What the sum of squared gradients begins with.
    pub initial: f64,
    /// Added to the root of the sum, against a division by zero.
    pub eps: f64,
}

impl Default for Adagrad {
    /// PyTorch's: 0, 0, 0, 1e-10.
    fn default() -> Self {
        Self {
            lr_decay: 0.0,
            wd: 0.0,
            initial: 0.0,
            eps: 1e-10,
        }
    }
}

/// Settings of L-BFGS, a method for losses without noise: Nocedal and Wright,
/// *Numerical Optimization* (2006), chapter 7.
///
/// It computes the loss several times in a step, so it needs
/// [`Optimizer::backward_step_with`](super::Optimizer::backward_step_with),
/// and it has one parameter group.
#[derive(Debug, Clone, Copy)]
pub struct Lbfgs {
    /// Iterations in a step at most.
    pub max_iter: u32,
    /// Losses computed in a step at most; 1.25 times `max_iter` if `None`.
    pub max_eval: Option<u32>,
    /// A step ends when no element of the gradient is greater than this.
    pub tolerance_grad: f64,
    /// A step ends when loss or parameters change by less than this.
    pub tolerance_change: f64,
    /// How many iterations it remembers.
    pub history_size: u32,
    /// Whether it looks for a good length along its direction, by the strong
    /// Wolfe conditions, instead of going by the learning rate.
    pub strong_wolfe: bool,
}

impl Default for Lbfgs {
    /// PyTorch's: 20, `None`, 1e-7, 1e-9, 100, false.
    fn default() -> Self {
        Self {
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            strong_wolfe: false,
        }
    }
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adagrad(_) => "adagrad",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::Lbfgs(_) => "lbfgs",
            Self::RmsProp(_) => "rmsprop",
            Self::Sgd(_) => "sgd",
        }
    }

    /// Names of the tensors in the state of a parameter, as in PyTorch.
    pub(super) fn slot_names(self) -> &'static [&'static str] {
        const LBFGS: [&str; SLOTS] = [
            "d",
            "H_diag",
            "prev_flat_grad",
            "old_dirs",
            "old_stps",
            "ro",
            "func_evals_t_prev_loss",
        ];
        match self {
            Self::Adagrad(_) => &["sum"],
            Self::Adam(_) | Self::AdamW(_) => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Self::Lbfgs(_) => &LBFGS,
            Self::RmsProp(_) => &["square_avg", "momentum_buffer", "grad_avg"],
            Self::Sgd(_) => &["momentum_buffer"],
        }
    }

    pub(super) fn build(self, lr: f64) -> Result<RawOptimizer, TchError> {
        // SAFETY: these take plain numbers.
        let pointer = unsafe {
            match self {
                Self::Adagrad(c) => return RawOptimizer::adagrad(lr, c),
                Self::Adam(c) => torch_sys::ato_adam(lr, c.beta1, c.beta2, c.wd, c.eps, c.amsgrad),
                Self::AdamW(c) => {
                    torch_sys::ato_adamw(lr, c.beta1, c.beta2, c.wd, c.eps, c.amsgrad)
                }
                Self::Lbfgs(c) => return RawOptimizer::lbfgs(lr, c),
                Self::RmsProp(c) => {
                    let centered = c.centered.into();
                    torch_sys::ato_rms_prop(lr, c.alpha, c.eps, c.wd, c.momentum, centered)
                }
                Self::Sgd(c) => {
                    torch_sys::ato_sgd(lr, c.momentum, c.dampening, c.wd, c.nesterov.into())
                }
            }
        };
        RawOptimizer::new(pointer)
    }
}

impl From<Adagrad> for Algorithm {
    fn from(config: Adagrad) -> Self {
        Self::Adagrad(config)
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

impl From<Lbfgs> for Algorithm {
    fn from(config: Lbfgs) -> Self {
        Self::Lbfgs(config)
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
