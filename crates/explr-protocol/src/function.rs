use crate::abi::HostTable;

/// A train function of the program itself, instead of a plugin's.
///
/// `explr-sdk` implements it for functions and closures; it speaks the same
/// table as a plugin does, so the worker treats both alike.
pub trait TrainFunction: Send + Sync {
    /// The name under which the experiment finds it.
    fn name(&self) -> &str;

    /// Runs it with a [`RunContext`](crate::RunContext) as JSON. The outcome
    /// has been given to [`HostTable::finish`] when this returns; a panic has
    /// been caught.
    fn call(&self, host: &HostTable, context: &[u8]);
}
