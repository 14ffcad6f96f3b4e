//! Tracking: brings MLflow up to date with the store.
//!
//! Journals flow in, calls of MLflow's REST API flow out; nothing waits for
//! them but the end of a run. A [`Shipper`] follows the journals of the runs
//! that go on, one run or a study with its trials; [`sync()`] brings what was
//! left. Both cut a journal into units of a request or two, send one at a
//! time, and note after each how far they are (`mlflow.json`), so that they
//! can be killed at any moment. A repeated request changes nothing at the
//! server.
//!
//! Where no server is named, the store has its own ([`ui`] finds, starts and
//! stops it).
//!
//! Promises kept here: MLflow ends up holding exactly what the journal holds
//! (P2), runs that died do not stay RUNNING there (P3), and training never
//! notices how the server does (P7).

mod api;
mod artifacts;
mod auth;
mod batch;
mod client;
mod cursor;
mod describe;
mod engine;
mod error;
mod fleet;
mod health;
mod logged_models;
mod names;
mod others;
pub mod registry;
mod retry;
mod server;
mod session;
mod settings;
mod shared;
mod ship;
mod shipper;
mod status;
mod sync;
mod tally;
pub mod ui;
mod unit;

pub use error::TrackingError;
pub use health::{Health, Unwell, health};
pub use server::{Process, Running, find_python};
pub use settings::Settings;
pub use shipper::Shipper;
pub use status::{Report, ServerStatus, Status};
pub use sync::{is_behind, settings_of, sync};

/// The file that makes a folder a model of MLflow.
const MLMODEL: &str = "MLmodel";

/// Number of records in a run's journal; 0 for one that can't be read.
fn journal_records(run: &crate::store::RunDir) -> u64 {
    crate::store::journal::last_record(&run.journal_path())
        .ok()
        .flatten()
        .map_or(0, |record| record.seq + 1)
}
