//! What the user asked for, typed and checked.

mod device;
mod model;
mod seconds;

pub use device::DeviceChoice;
pub use model::{Config, Mlflow, Resources, Train, WorkerConfig};
pub use seconds::Seconds;
