//! What a history says about the objective and its parameters.

mod forest;
mod importance;
mod progress;

pub use importance::{Importance, importances};
pub use progress::{BestSoFar, best_so_far};
