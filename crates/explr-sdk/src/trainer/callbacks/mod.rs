//! Callbacks that are ready.
//!
//! | | |
//! |---|---|
//! | [`EarlyStopping`] | ends a training that no longer gets better |
//! | [`GradientNorm`] | logs the norm of the gradients |
//! | [`LrMonitor`] | logs the learning rates |
//! | [`MetricLogger`] | logs the loss, and the values of the validations |
//! | [`NanStop`] | ends a training whose loss is not finite |
//! | [`Progress`] | shows how far it is |
//! | [`Report`] | tells a study how good the trial is, which may end it |
//!
//! Those that log do so at every so many steps, and only then fetch a number
//! from the device.

mod early_stopping;
mod gradient_norm;
mod lr_monitor;
mod metric_logger;
mod nan_stop;
mod progress;
mod report;

pub use early_stopping::EarlyStopping;
pub use gradient_norm::GradientNorm;
pub use lr_monitor::LrMonitor;
pub use metric_logger::MetricLogger;
pub use nan_stop::NanStop;
pub use progress::Progress;
pub use report::Report;

use super::TrainerError;

/// The value of this name.
fn monitored(values: &[(String, f64)], monitor: &str) -> Result<f64, TrainerError> {
    let found = values.iter().find(|(name, _)| name == monitor);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| TrainerError::Monitor {
            monitor: monitor.to_owned(),
            known: values.iter().map(|(name, _)| name.clone()).collect(),
        })
}
