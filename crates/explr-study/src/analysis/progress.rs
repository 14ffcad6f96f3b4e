use crate::{History, TrialState};

/// A trial that was better than all before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestSoFar {
    /// The trial's number.
    pub number: u64,
    /// Its first objective.
    pub value: f64,
}

/// How the best value of the first objective came down, or up: the complete
/// trials that were better than all complete ones of lower number.
pub fn best_so_far(history: &History) -> Vec<BestSoFar> {
    let mut best: Vec<BestSoFar> = Vec::new();
    for trial in history.trials() {
        let Some(&value) = trial.values.first() else {
            continue;
        };
        let better = best
            .last()
            .is_none_or(|last| history.loss(value) < history.loss(last.value));
        if trial.state == TrialState::Complete && !value.is_nan() && better {
            best.push(BestSoFar {
                number: trial.number,
                value,
            });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::best_so_far;
    use crate::{Direction, Finish, Study};

    #[test]
    fn only_complete_trials_better_than_all_before_count() {
        let mut study = Study::builder("s")
            .directions([Direction::Maximize])
            .build()
            .unwrap();
        for finish in [
            Finish::Complete(vec![1.0]),
            Finish::Failed,
            Finish::Complete(vec![0.0]),
            Finish::Complete(vec![3.0]),
            Finish::Complete(vec![3.0]),
        ] {
            let number = study.ask().unwrap().unwrap().number;
            study.tell(number, finish).unwrap();
        }
        let numbers: Vec<u64> = best_so_far(study.history())
            .iter()
            .map(|best| best.number)
            .collect();
        assert_eq!(numbers, [0, 3]);
    }
}
