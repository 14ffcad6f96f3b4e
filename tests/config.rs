//! What people see of a bad configuration, and that a good one is taken.

#[path = "config/bad.rs"]
mod bad;
#[path = "config/hostile.rs"]
mod hostile;
#[path = "config/precedence.rs"]
mod precedence;
#[path = "config/roundtrip.rs"]
mod roundtrip;
#[path = "config/schema.rs"]
mod schema;
