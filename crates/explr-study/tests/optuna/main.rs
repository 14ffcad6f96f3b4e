//! The real Optuna and this crate on one journal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod dashboard;
mod dump;
mod kills;
mod python;
mod round_trip;
mod writers;
