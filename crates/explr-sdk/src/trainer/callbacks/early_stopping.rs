use super::monitored;
use crate::trainer::{Callback, Trainer};
use crate::{Direction, Result};
use serde_json::{Value, json};

/// Ends a training whose validations no longer get better. NaN is not better.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: String,
    direction: Direction,
    patience: u64,
    min_delta: f64,
    best: Option<f64>,
    worse: u64,
}

impl EarlyStopping {
    /// Ends at `patience` validations in a row that were not better.
    pub fn new(monitor: impl Into<String>, direction: Direction, patience: u64) -> Self {
        Self {
            monitor: monitor.into(),
            direction,
            patience,
            min_delta: 0.0,
            best: None,
            worse: 0,
        }
    }

    /// A value is better only if it is so by more than this.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    fn is_better(&self, value: f64) -> bool {
        match (self.best, self.direction) {
            _ if value.is_nan() => false,
            (None, _) => true,
            (Some(best), Direction::Minimize) => value < best - self.min_delta,
            (Some(best), Direction::Maximize) => value > best + self.min_delta,
        }
    }
}

impl Callback for EarlyStopping {
    fn post_validation_epoch(
        &mut self,
        trainer: &mut Trainer<'_>,
        values: &[(String, f64)],
    ) -> Result<()> {
        let value = monitored(values, &self.monitor)?;
        if self.is_better(value) {
            self.best = Some(value);
            self.worse = 0;
            return Ok(());
        }
        self.worse += 1;
        if self.worse >= self.patience {
            trainer.stop(format_args!(
                "`{}` did not get better in {} validations",
                self.monitor, self.worse
            ));
        }
        Ok(())
    }

    fn state(&self) -> Result<Value> {
        // As bits, which an infinite one has too.
        Ok(json!({ "best": self.best.map(f64::to_bits), "worse": self.worse }))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.best = state["best"].as_u64().map(f64::from_bits);
        self.worse = state["worse"].as_u64().unwrap_or_default();
        Ok(())
    }
}
