//! The store's own MLflow server, for `explr mlflow-ui`.

use super::settings::own;
use super::shipper::runtime;
use super::{Running, TrackingError};
use crate::config::Mlflow;
use crate::store::Store;
use std::path::Path;

/// The store's server, if it runs.
pub fn find(
    config: &Mlflow,
    base_dir: &Path,
    store: &Store,
) -> Result<Option<Running>, TrackingError> {
    if !store.mlflow_dir().is_dir() {
        return Ok(None);
    }
    let server = own(config, base_dir, store);
    runtime()?.block_on(server.find())
}

/// The store's server, started if it doesn't run; it answers when this
/// returns.
pub fn ensure(config: &Mlflow, base_dir: &Path, store: &Store) -> Result<Running, TrackingError> {
    let config = Mlflow {
        auto_start: true,
        ..config.clone()
    };
    let server = own(&config, base_dir, store);
    runtime()?.block_on(server.ensure())
}

/// Stops the store's server, if explr started it, and returns its address;
/// none where none ran.
pub fn stop(
    config: &Mlflow,
    base_dir: &Path,
    store: &Store,
) -> Result<Option<String>, TrackingError> {
    let server = own(config, base_dir, store);
    runtime()?.block_on(server.stop())
}
