//! Where a study is kept: in memory, or in a file in the format of Optuna's
//! `JournalFileBackend`, which Optuna 5 and its dashboard open too.
//!
//! Every change is a [`Record`](record::Record). It is appended to the journal
//! first and then applied to the [`Replay`](replay::Replay), which is the
//! memory; reading a file applies the same records the same way. A record that
//! can't be written changes nothing.
//!
//! Others may write to the file at the same time, Python programs included.
//! Who appends holds Optuna's own lock, and reads what is new before it
//! decides.

mod distribution;
mod error;
mod holder;
mod journal;
mod lock;
mod nonfinite;
mod read;
mod record;
mod repair;
mod replay;
mod store;
mod write;

pub use error::StorageError;
pub use holder::{Holder, StudyLock};
pub use repair::{DroppedLine, Repair, repair};

pub(crate) use distribution::{from_json as distribution_from_json, to_json as distribution_json};
pub(crate) use record::{NewTrial, Op};
pub(crate) use replay::StudyState;
pub(crate) use store::{Durability, Store, load};
