//! Parameter groups by name, for rates and weight decays of their own.
//!
//! ```
//! use explr_sdk::tch::{self, nn};
//! use explr_sdk::{Optimizer, Result, groups};
//!
//! # fn main() -> Result<()> {
//! let vs = nn::VarStore::new(tch::Device::Cpu);
//! let _core = nn::linear(vs.root() / "core", 8, 8, Default::default());
//! let _head = nn::linear(vs.root() / "head", 8, 2, Default::default());
//!
//! // 0 and 1: the core, with decay and without; 2 and 3: the head.
//! groups::assign(&vs, |name, tensor| {
//!     2 * usize::from(name.starts_with("head.")) + usize::from(!groups::decays(name, tensor))
//! });
//! let mut optimizer = Optimizer::new(nn::AdamW::default().wd(0.01), &vs, 1e-4)?;
//! for group in [1, 3] {
//!     optimizer.set_weight_decay_group(group, 0.0)?;
//! }
//! for group in [2, 3] {
//!     optimizer.set_lr_group(group, 1e-3)?;
//! }
//! # Ok(())
//! # }
//! ```

use super::lock;
use std::collections::HashMap;
use tch::Tensor;
use tch::nn::{VarStore, Variables};

/// Where [`split_decay`] puts parameters that should decay.
pub const DECAY: usize = 0;
/// Where [`split_decay`] puts parameters that should not.
pub const NO_DECAY: usize = 1;

/// Puts every trainable variable into a group, by its name and itself, as if
/// it had been made under `nn::Path::set_group`.
///
/// Call it when the model is built, and before its optimiser, which does not
/// notice a change.
pub fn assign(vs: &VarStore, group: impl Fn(&str, &Tensor) -> usize) {
    let mut variables = lock(&vs.variables_);
    let Variables {
        named_variables,
        trainable_variables,
    } = &mut *variables;
    let mut names = HashMap::new();
    for (name, tensor) in named_variables.iter() {
        let first = names.entry(tensor.data_ptr()).or_insert(name);
        // A tensor with several names goes by the first in order.
        *first = name.min(*first);
    }
    for variable in trainable_variables {
        if let Some(name) = names.get(&variable.tensor.data_ptr()) {
            variable.group = group(name, &variable.tensor);
        }
    }
}

/// Puts the variables that [decay](decays) into group [`DECAY`], the others
/// into [`NO_DECAY`].
pub fn split_decay(vs: &VarStore) {
    assign(vs, |name, tensor| {
        if decays(name, tensor) {
            DECAY
        } else {
            NO_DECAY
        }
    });
}

/// Whether weight decay usually does a parameter good: matrices, convolutions
/// and embeddings yes; biases and the scales of normalisations, which have one
/// dimension, no.
pub fn decays(name: &str, tensor: &Tensor) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    // tch numbers a name that is there already: `bias__7`.
    tensor.dim() > 1 && last.split("__").next() != Some("bias")
}
