use crate::TrainingContext;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The epochs of a run that are still to be done, see
/// [`TrainingContext::epochs`].
#[derive(Debug)]
pub struct Epochs<'c> {
    context: &'c TrainingContext,
    left: Range<u64>,
    done: u32,
    began: Instant,
}

impl TrainingContext {
    /// Counts epochs, shows them, and ends when there is no time for another.
    ///
    /// Give the epochs that a checkpoint leaves to be done. The loop ends
    /// early when the run [should stop](Self::stop_requested), and before an
    /// epoch that, by the mean of those so far, would not end within the
    /// [time budget](Self::time_left).
    ///
    /// ```no_run
    /// # fn train(_: u64) -> f64 { 0.0 }
    /// # fn example(ctx: &explr_sdk::TrainingContext) -> explr_sdk::Result<()> {
    /// let mut done = 0; // or the checkpoint's
    /// for epoch in ctx.epochs(done..ctx.u64("epochs")?) {
    ///     ctx.tracker().log_metric("val_loss", train(epoch), epoch)?;
    ///     done = epoch + 1;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn epochs(&self, planned: Range<u64>) -> Epochs<'_> {
        Epochs {
            context: self,
            left: planned,
            done: 0,
            began: Instant::now(),
        }
    }

    /// How much of the time budget is left, if the run has one. It counts from
    /// the start of this attempt.
    pub fn time_left(&self) -> Option<Duration> {
        let budget = self.run.time_budget?;
        // A budget beyond all times is none.
        let budget = Duration::try_from_secs_f64(budget.max(0.0)).ok()?;
        Some(budget.saturating_sub(self.began.elapsed()))
    }
}

impl Iterator for Epochs<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left.is_empty() || self.context.stop_requested() {
            return None;
        }
        let spent = self.began.elapsed();
        let possible = affordable(spent, self.done, self.context.time_left());
        if possible == 0 {
            return None;
        }
        let epoch = self.left.next()?;
        self.done = self.done.saturating_add(1);
        let expected = epoch.saturating_add(possible).min(self.left.end);
        self.context.progress(epoch, expected);
        Some(epoch)
    }
}

/// How many further epochs fit into the time that is left, when `done` epochs
/// took `spent`. Nothing is known before the first: it gets its chance.
fn affordable(spent: Duration, done: u32, left: Option<Duration>) -> u64 {
    let Some(left) = left else { return u64::MAX };
    if left.is_zero() {
        return 0;
    }
    if done == 0 {
        return u64::MAX;
    }
    let mean = (spent / done).as_nanos().max(1);
    u64::try_from(left.as_nanos() / mean).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::affordable;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_epoch_begins_only_if_the_mean_of_those_before_fits() {
        assert_eq!(affordable(6 * SECOND, 3, Some(5 * SECOND)), 2);
        assert_eq!(affordable(6 * SECOND, 3, Some(2 * SECOND)), 1);
        assert_eq!(affordable(6 * SECOND, 3, Some(SECOND)), 0);
    }

    #[test]
    fn the_first_epoch_begins_while_there_is_any_time() {
        assert_eq!(affordable(Duration::ZERO, 0, Some(SECOND)), u64::MAX);
        assert_eq!(affordable(Duration::ZERO, 0, Some(Duration::ZERO)), 0);
    }

    #[test]
    fn without_a_budget_nothing_ends_early() {
        assert_eq!(affordable(1000 * SECOND, 1, None), u64::MAX);
    }
}
