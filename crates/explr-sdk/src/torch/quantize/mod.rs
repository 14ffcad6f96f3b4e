//! Linear layers with int8 weights, made from trained ones: a quarter of the
//! memory, and on a CPU a multiple of the speed.
//!
//! ```no_run
//! use explr_sdk::quantize::{Linear, Method, Weight};
//! use explr_sdk::tch::nn::{self, Module};
//!
//! # fn main() -> Result<(), explr_sdk::quantize::QuantizeError> {
//! # let vs = nn::VarStore::new(explr_sdk::tch::Device::Cpu);
//! # let (first, last) = (nn::linear(vs.root(), 64, 32, Default::default()),
//! #     nn::linear(vs.root(), 32, 10, Default::default()));
//! let model = nn::seq()
//!     .add(Linear::new(Weight::of(&first)?, Method::Dynamic)?)
//!     .add_fn(|xs| xs.relu())
//!     .add(Linear::new(Weight::of(&last)?, Method::Dynamic)?);
//! # Ok(())
//! # }
//! ```
//!
//! It is for inference: no gradient flows through these layers. libtorch's
//! operators quantise linear layers without data. Convolutions need the ranges
//! of their inputs from data, which is not offered.

mod linear;
mod packed;

pub use linear::{Linear, Method, Weight};

use tch::{Device, Kind, TchError};

/// Why a layer can't be quantised, or can't compute.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// The tensors are no weights of a linear layer.
    #[error("can't quantise a linear layer: {problem}")]
    Weight {
        /// What is wrong with them.
        problem: String,
    },
    /// libtorch has no operator for this processor.
    #[error(
        "libtorch has no int8 operator for linear layers on this processor, use `Method::WeightOnly`: {source}"
    )]
    Processor {
        /// What it says.
        source: TchError,
    },
    /// The input does not fit the layer.
    #[error("the quantised layer takes inputs of the shape (..., {inputs}), not {shape:?}")]
    Shape {
        /// What it takes in the last dimension.
        inputs: i64,
        /// The input's shape.
        shape: Vec<i64>,
    },
    /// The input is of a kind, or in a place, that the method can't take.
    #[error(
        "the quantised layer can't compute with {kind:?} on {device:?}: `Method::Dynamic` takes \
         Float on the CPU, `Method::WeightOnly` takes floats on any device"
    )]
    Input {
        /// The input's kind.
        kind: Kind,
        /// Where it is.
        device: Device,
    },
    /// libtorch's error.
    #[error(transparent)]
    Torch(#[from] TchError),
}
