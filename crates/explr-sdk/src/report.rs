//! Intermediate values of the objective, and the end of a trial that has no
//! hope.

use crate::{LogError, TrainingContext};
use explr_protocol::{Answer, Ask, Event};

/// What [`TrainingContext::report`] returns when the run should not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The study's pruner ends the trial. Returned by the train function, as
    /// it is or wrapped in other errors, it makes the trial pruned instead of
    /// failed.
    // The message leaves the figures to the source, which stands alone so
    // that it is found where a wrapper hides the error itself but not its
    // causes.
    #[error("the study ended this trial")]
    Pruned(#[from] Pruned),
    /// The value could not be logged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The study gave no answer.
    #[error("the study can't say whether to go on: {0}")]
    Refused(String),
}

/// A pruner's decision.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("pruned after step {step}, with the value {value}")]
pub struct Pruned {
    /// The step that was reported last.
    pub step: i64,
    /// The value there.
    pub value: f64,
}

impl ReportError {
    /// Whether the study ended the trial, and nothing failed.
    pub fn is_pruned(&self) -> bool {
        matches!(self, Self::Pruned(_))
    }
}

impl TrainingContext {
    /// Tells an intermediate value of the objective. A study may decide by it
    /// to end the trial: then the error [is pruned](ReportError::is_pruned),
    /// and `?` is all that a train function has to do about it.
    ///
    /// ```no_run
    /// # fn train(_: u64) -> f64 { 0.0 }
    /// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
    /// for epoch in ctx.epochs(0..30) {
    ///     let val_loss = train(epoch);
    ///     ctx.report(epoch, val_loss)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The value is in the run's journal first. Outside a study that is all.
    pub fn report(
        &self,
        step: impl TryInto<i64>,
        value: impl Into<f64>,
    ) -> Result<(), ReportError> {
        let step = step
            .try_into()
            .map_err(|_| LogError::Step("report".to_owned()))?;
        let value = value.into();
        self.resume
            .tell_start(&self.host)
            .and_then(|()| self.host.log_event(&Event::Report { step, value }))
            .map_err(LogError::from)?;
        if self.trial().is_none() {
            return Ok(());
        }
        match self.host.ask(&Ask::Report { step, value }) {
            Ok(Answer::Continue) => Ok(()),
            Ok(Answer::Prune) => Err(Pruned { step, value }.into()),
            Ok(Answer::Refused { message }) => Err(ReportError::Refused(message)),
            Ok(Answer::Value(value)) => {
                Err(ReportError::Refused(format!("it answered with {value}")))
            }
            Err(error) => Err(ReportError::Refused(error.to_string())),
        }
    }
}
