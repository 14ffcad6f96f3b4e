//! The GPUs of the machine: what they are, who uses them, and how much of
//! their memory explr's workers may have.
//!
//! The driver is asked through NVML, which is opened at run time; neither
//! libtorch nor CUDA is. What it answers becomes plain data, [`Gpu`], and
//! everything else here is a function of that.
//!
//! Promise kept here: the memory limit never exceeds the card (P8).

mod card;
mod limit;
mod nvml;
mod process;
pub mod stored;
mod visible;

pub use card::{Clocks, Ecc, Gpu, Gpus, Memory, Mig, MigPart, Utilisation};
pub use limit::{Limit, LimitError, Source, VARIABLE, gb};
pub(crate) use nvml::lost;
pub use nvml::{Driver, NoGpu};
pub use process::{Process, Work, work_of};
pub use visible::Unit;

use crate::Error;
use crate::config::Loaded;
use crate::runner::RunError;
use std::path::Path;

/// The limit in force for a configuration and the store at `store`.
pub fn limit(loaded: Option<&Loaded>, store: Option<&Path>) -> Result<Limit, Error> {
    let mut given = Vec::new();
    if let Some(text) = std::env::var_os(VARIABLE) {
        given.push((Source::Variable, text.to_string_lossy().into_owned()));
    }
    if let Some(loaded) = loaded
        && let Some(gb) = loaded.config.resources.gpu_memory_gb
    {
        let source = loaded.gpu_memory_from.clone();
        let source = source.unwrap_or_else(|| Source::Config("the configuration".to_owned()));
        given.push((source, gb.to_string()));
    }
    for source in store.map(stored::project).into_iter().chain(stored::user()) {
        given.extend(stored::read(source)?);
    }
    Ok(Limit::choose(given).map_err(RunError::from)?)
}
