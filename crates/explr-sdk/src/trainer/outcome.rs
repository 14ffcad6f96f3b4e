use super::TrainerError;
use crate::{Direction, Result, TrainingResult};
use std::path::PathBuf;

/// Why a training ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All epochs or steps were done.
    Planned,
    /// A callback stopped it, for this reason.
    Stopped(String),
    /// The run was asked to stop.
    Asked,
    /// The time budget was used up.
    OutOfTime,
}

/// How a training went.
#[derive(Debug, Clone)]
#[must_use]
pub struct Fitted {
    /// Why it ended.
    pub ending: Ending,
    /// Epochs done.
    pub epochs: u64,
    /// Steps done.
    pub steps: u64,
    /// Name of the monitored value.
    pub monitor: String,
    /// What is better.
    pub direction: Direction,
    /// The best monitored value.
    pub best: Option<f64>,
    /// The values of the last validation.
    pub values: Vec<(String, f64)>,
    /// The models' file in the best checkpoint that is there.
    pub best_model: Option<PathBuf>,
}

impl Fitted {
    /// What the train function returns: the best monitored value, and the
    /// last of the others.
    pub fn result(self) -> Result<TrainingResult> {
        let Some(best) = self.best else {
            return Err(TrainerError::NoResult(self.monitor).into());
        };
        let mut result = TrainingResult::new(best)
            .epochs(self.epochs)
            .stopped_early(self.ending != Ending::Planned);
        if self.direction == Direction::Maximize {
            result = result.maximize();
        }
        for (name, value) in self.values {
            if name != self.monitor {
                result = result.metric(name, value);
            }
        }
        if let Some(model) = self.best_model {
            result = result.best_model(model);
        }
        Ok(result.named(self.monitor))
    }
}
