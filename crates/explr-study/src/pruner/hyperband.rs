use super::rungs::{Rungs, whole_trial};
use super::{Pruner, PrunerError};
use crate::{History, Trial};

/// Options of [`Hyperband`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HyperbandOptions {
    /// Steps that every trial gets. Default: 1.
    pub min_resource: u64,
    /// Steps of a whole trial. By default those that the first complete trial
    /// took; nothing is pruned before that one.
    pub max_resource: Option<u64>,
    /// One of so many trials goes on at each rung, and the next rung is so
    /// many times as far. Default: 3.
    pub reduction_factor: u64,
}

impl Default for HyperbandOptions {
    fn default() -> Self {
        Self {
            min_resource: 1,
            max_resource: None,
            reduction_factor: 3,
        }
    }
}

/// Several [`SuccessiveHalving`](super::SuccessiveHalving) side by side, from
/// ones that prune early to one that hardly prunes: Hyperband (Li et al.
/// 2018, JMLR 18:185). So trials that begin slowly have a chance in some
/// bracket.
///
/// As in Optuna, a trial's bracket follows from a hash of the study's name
/// and its number, in the proportions of the paper's budgets; trials compete
/// within their bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hyperband(HyperbandOptions);

impl Hyperband {
    /// A pruner with these options.
    pub fn new(options: HyperbandOptions) -> Result<Self, PrunerError> {
        if options.min_resource == 0 {
            return Err(PrunerError::new("min_resource", "must be 1 or more"));
        }
        if options.reduction_factor < 2 {
            return Err(PrunerError::new("reduction_factor", "must be 2 or more"));
        }
        match options.max_resource {
            Some(max) if max < options.min_resource => Err(PrunerError::new(
                "max_resource",
                format!(
                    "must not be below `min_resource` ({}), and is {max}",
                    options.min_resource
                ),
            )),
            _ => Ok(Self(options)),
        }
    }

    /// The bracket of a trial: the exponent of its first rung.
    fn bracket(&self, history: &History, trial: &Trial, brackets: u32) -> u32 {
        let key = format!("{}_{}", history.name(), trial.number);
        let budget = |bracket| self.budget(bracket, brackets);
        let total: u128 = (0..brackets).map(budget).sum();
        let mut left = u128::from(crc32(key.as_bytes())) % total;
        for bracket in 0..brackets {
            match left.checked_sub(budget(bracket)) {
                Some(rest) => left = rest,
                None => return bracket,
            }
        }
        0
    }

    /// Share of the trials that a bracket gets: `n` of the paper's algorithm 1.
    fn budget(&self, bracket: u32, brackets: u32) -> u128 {
        let rungs = brackets - bracket;
        let factor = u128::from(self.0.reduction_factor);
        (u128::from(brackets) * factor.pow(rungs - 1)).div_ceil(u128::from(rungs))
    }
}

impl Pruner for Hyperband {
    fn name(&self) -> &'static str {
        "hyperband"
    }

    fn prune(&self, history: &History, trial: &Trial) -> bool {
        // Steps are counted from 0.
        let whole = || whole_trial(history).map(|step| step.saturating_add(1));
        let Some(max_resource) = self.0.max_resource.or_else(whole) else {
            return false;
        };
        let range = (max_resource / self.0.min_resource).max(1);
        let brackets = range.ilog(self.0.reduction_factor) + 1;
        let own = self.bracket(history, trial, brackets);
        Rungs::new(self.0.min_resource, self.0.reduction_factor, own).lost(
            history,
            trial,
            |other| self.bracket(history, other, brackets) == own,
        )
    }
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Hyperband, HyperbandOptions, crc32};

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_maximum_below_the_minimum_is_refused() {
        let options = HyperbandOptions {
            min_resource: 5,
            max_resource: Some(3),
            ..HyperbandOptions::default()
        };
        assert_eq!(
            Hyperband::new(options).unwrap_err().to_string(),
            "`max_resource` must not be below `min_resource` (5), and is 3"
        );
    }
}
