use crate::data::{Batch, Batches, DataError, DataLoader, LoaderState};

/// The batches of an epoch, and which is the last;
/// [`Trainer::batches`](super::Trainer::batches) makes it.
#[derive(Debug)]
pub struct EpochBatches<'l> {
    batches: Batches<'l>,
    /// How many are left; `None` for a stream.
    left: Option<u64>,
    /// Of a stream: the batch after the one that was given, to know whether
    /// that is the last.
    #[expect(clippy::option_option, reason = "not read yet, or read and the end")]
    ahead: Option<Option<Batch>>,
    /// Where the loader is after the batches that were given.
    pub(super) position: LoaderState,
}

impl<'l> EpochBatches<'l> {
    pub(super) fn new(loader: &'l mut DataLoader, epoch: u64) -> Result<Self, DataError> {
        let all = loader.batches();
        let batches = loader.epoch(epoch)?;
        let position = batches.state();
        Ok(Self {
            left: all.map(|all| all.saturating_sub(position.batch)),
            batches,
            ahead: None,
            position,
        })
    }

    /// The next batch.
    pub(super) fn take(&mut self) -> Result<Option<Batch>, DataError> {
        let next = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.batches.next().transpose()?,
        };
        self.position = self.batches.state();
        match (&next, &mut self.left) {
            (Some(_), Some(left)) => *left = left.saturating_sub(1),
            (Some(_), None) => self.ahead = Some(self.batches.next().transpose()?),
            (None, _) => {}
        }
        Ok(next)
    }

    /// Whether all batches were given.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left == Some(0) || matches!(self.ahead, Some(None))
    }
}
