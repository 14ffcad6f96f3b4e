//! The store: the folder that holds everything explr knows about its runs.
//!
//! It owns the layout of `.explr/runs/<id>/`, the identity of runs, and the
//! [`journal`] of each, which is the truth about it. Events flow in through
//! [`journal::Writer`], one process at a time; they flow out through
//! [`journal::Reader`] to the shipper, and through [`RunSummary`] to
//! everything that shows runs.
//!
//! Promises kept here: a record whose append returned survives the death of
//! every process (P1); a run that nobody works on is never left without a
//! final state ([`Store::reconcile`], P3); a torn last line costs that line
//! alone; damage is never read over in silence. Nothing outside the store is
//! ever written or removed, and no symbolic link is followed out of it.

mod error;
pub(crate) mod files;
mod folder;
mod id;
pub(crate) mod inbox;
pub mod journal;
mod lock;
mod manifest;
mod probe;
mod reconcile;
mod remove;
mod repair;
mod run_dir;
mod select;
mod summary;

pub use error::StoreError;
pub(crate) use files::make_dir;
pub use folder::Store;
pub use id::{ParseRunIdError, RunId};
pub use lock::{Holder, RunLock};
pub use manifest::{GitInfo, HostInfo, Manifest, StudyRef, StudyRole};
pub(crate) use probe::{Probe, probe};
pub use repair::{Dropped, RepairReport};
pub use run_dir::RunDir;
pub use summary::{CheckpointSummary, MetricSummary, RunSummary};

/// What a fallible call into the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Unix time in milliseconds; 0 for a clock before 1970.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
