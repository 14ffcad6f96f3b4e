//! What people see of a bad configuration, and that a good one is taken.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]
// Snapshots are long, and bad files are built in the plainest way.
#![allow(clippy::too_many_lines, clippy::format_collect)]

#[path = "config/bad.rs"]
mod bad;
#[path = "config/command.rs"]
mod command;
#[path = "config/hostile.rs"]
mod hostile;
#[path = "config/precedence.rs"]
mod precedence;
#[path = "config/roundtrip.rs"]
mod roundtrip;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/search.rs"]
mod search;
#[path = "config/sweep.rs"]
mod sweep;
