//! What people see of a bad configuration, and that a good one is taken.

#[path = "config/bad.rs"]
mod bad;
