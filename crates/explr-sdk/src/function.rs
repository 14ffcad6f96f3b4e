use crate::{Result, TrainingContext, TrainingResult, entry};
use explr_protocol::TrainFunction;
use explr_protocol::abi::HostTable;
use std::fmt;

/// A function or closure of your own program that explr runs instead of a
/// plugin's.
///
/// ```
/// use explr_sdk::{Function, TrainingResult};
///
/// let function = Function::new("train_model", |ctx| {
///     let lr = ctx.f64("lr")?;
///     Ok(TrainingResult::new((lr - 0.1).powi(2)))
/// });
/// ```
///
/// Give it to `explr::Experiment`. The worker that runs it may be another
/// process, so it must not count on what the program did at run time.
#[derive(Clone)]
pub struct Function<F> {
    name: String,
    function: F,
}

impl<F> Function<F>
where
    F: Fn(&mut TrainingContext) -> Result<TrainingResult> + Send + Sync,
{
    /// Names a function.
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self {
            name: name.into(),
            function,
        }
    }
}

impl<F> TrainFunction for Function<F>
where
    F: Fn(&mut TrainingContext) -> Result<TrainingResult> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, host: &HostTable, context: &[u8]) {
        // SAFETY: the table's `host` is valid while the table is borrowed.
        unsafe { entry::run(host, context, &self.function) };
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
