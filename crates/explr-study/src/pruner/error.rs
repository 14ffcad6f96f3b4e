/// An option that a pruner can't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct PrunerError {
    /// The option, as in the configuration.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl PrunerError {
    pub(super) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}
