//! Configurations from files of other tools.
//!
//! In: the file's text. Out: [`Imported`], the YAML of a configuration that
//! explr accepts and notes on what has no counterpart, or a [`ConfigError`](crate::config::ConfigError)
//! with the places of what can't be carried over.
//!
//! This keeps a promise: what explr can't do is never dropped in silence.

mod notes;
pub mod wandb;

pub use notes::Note;

/// A configuration made of another tool's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The configuration. The notes are in it too, as comments.
    pub yaml: String,
    /// What a person should know about it, in the order of the file.
    pub notes: Vec<Note>,
    /// It says what is to run; otherwise a person has to name it.
    pub names_code: bool,
}
