mod axes;

use super::{Proposal, Sampler};
use crate::{History, Rng, SearchSpace, StudyError};
use axes::{Axes, Combination};
use std::collections::{BTreeMap, HashSet};

/// Every combination of the parameters once, in the order of nested loops: the
/// space's last parameter changes fastest.
///
/// An inactive parameter multiplies nothing. A combination that is in the
/// history, finished, failed or running, is not proposed again, whoever
/// proposed it; so a study that grew elsewhere goes on where it is. A trial
/// that was enqueued runs as it was enqueued, and counts if it lies on the
/// grid.
///
/// A real number without a step needs a number of points. They are laid out
/// evenly over its range, both ends included, in the logarithm if the range is
/// logarithmic; a single point is the middle. A whole number may have points
/// too.
///
/// ```
/// use explr_study::{SearchSpace, sampler::Grid};
///
/// # fn main() -> Result<(), explr_study::StudyError> {
/// let space = SearchSpace::builder()
///     .log_float("lr", 1e-4..=1e-1)
///     .categorical("optimizer", ["sgd", "adam"])
///     .float("momentum", 0.0..=0.9)
///     .when("optimizer", ["sgd"])
///     .build()?;
/// let grid = Grid::new([("lr".to_owned(), 4), ("momentum".to_owned(), 2)].into());
/// assert_eq!(grid.size(&space)?, 4 * (2 + 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Grid {
    points: BTreeMap<String, u32>,
    walk: Option<Walk>,
}

/// How far the grid has been walked, as the history tells.
#[derive(Debug)]
struct Walk {
    axes: Axes,
    /// The first combination that may be free; none when all are taken.
    next: Option<Combination>,
    /// Combinations of the first `settled` trials, all of them finished.
    taken: HashSet<Combination>,
    settled: usize,
}

impl Grid {
    /// A grid with these numbers of points by parameter.
    pub fn new(points: BTreeMap<String, u32>) -> Self {
        Self { points, walk: None }
    }

    /// Number of combinations.
    pub fn size(&self, space: &SearchSpace) -> Result<u64, StudyError> {
        Axes::new(space, &self.points)?
            .size()
            .ok_or_else(|| axes::refuse("can't count its combinations: there are 2^64 or more"))
    }
}

impl Sampler for Grid {
    fn name(&self) -> &'static str {
        axes::NAME
    }

    fn propose(
        &mut self,
        history: &History,
        space: &SearchSpace,
        number: u64,
        _: &mut Rng,
    ) -> Result<Option<Proposal>, StudyError> {
        let walk = match &mut self.walk {
            Some(walk) => walk,
            None => self.walk.insert(Walk::new(Axes::new(space, &self.points)?)),
        };
        walk.advance(history);
        let free = walk.next.as_ref().map(|next| walk.axes.proposal(next));
        // What waits is run even when the grid has nothing left.
        Ok(match history.trial(number) {
            Some(_) => Some(free.unwrap_or_default()),
            None => free,
        })
    }
}

impl Walk {
    fn new(axes: Axes) -> Self {
        Self {
            next: Some(axes.first()),
            axes,
            taken: HashSet::new(),
            settled: 0,
        }
    }

    /// Leads `next` to the first combination that no trial has.
    fn advance(&mut self, history: &History) {
        let mut unsettled = HashSet::new();
        for (place, trial) in history.trials().iter().enumerate().skip(self.settled) {
            let combination = self.axes.combination(trial);
            if place == self.settled && trial.state.is_finished() {
                self.settled += 1;
                self.taken.extend(combination);
            } else {
                unsettled.extend(combination);
            }
        }
        while let Some(next) = &self.next {
            if !self.taken.contains(next) && !unsettled.contains(next) {
                break;
            }
            self.next = self.axes.after(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;
    use crate::{Asked, Distribution, Finish, FloatRange, SearchSpace, Study, StudyError};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn study(space: SearchSpace, grid: Grid) -> Study {
        Study::builder("grid")
            .space(space)
            .sampler(grid)
            .build()
            .unwrap()
    }

    fn params(asked: &Asked) -> String {
        serde_json::to_string(&asked.params).unwrap()
    }

    fn all(study: &mut Study) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(asked) = study.ask().unwrap() {
            found.push(params(&asked));
            study.tell(asked.number, Finish::Failed).unwrap();
        }
        found
    }

    fn conditional() -> SearchSpace {
        SearchSpace::builder()
            .categorical("optimizer", ["sgd", "adam"])
            .int("momentum", 1..=2)
            .when("optimizer", ["sgd"])
            .fixed("nesterov", true)
            .when("momentum", [2])
            .int("decay", 1..=3)
            .when("nesterov", [true])
            .build()
            .unwrap()
    }

    #[test]
    fn combinations_come_as_from_nested_loops() {
        let space = SearchSpace::builder()
            .int("a", 1..=2)
            .categorical("b", ["x", "y"])
            .build()
            .unwrap();
        assert_eq!(Grid::default().size(&space).unwrap(), 4);
        assert_eq!(
            all(&mut study(space, Grid::default())),
            [
                r#"{"a":1,"b":"x"}"#,
                r#"{"a":1,"b":"y"}"#,
                r#"{"a":2,"b":"x"}"#,
                r#"{"a":2,"b":"y"}"#,
            ]
        );
    }

    #[test]
    fn inactive_parameters_do_not_multiply() {
        assert_eq!(Grid::default().size(&conditional()).unwrap(), 5);
        assert_eq!(
            all(&mut study(conditional(), Grid::default())),
            [
                r#"{"momentum":1,"optimizer":"sgd"}"#,
                r#"{"decay":1,"momentum":2,"nesterov":true,"optimizer":"sgd"}"#,
                r#"{"decay":2,"momentum":2,"nesterov":true,"optimizer":"sgd"}"#,
                r#"{"decay":3,"momentum":2,"nesterov":true,"optimizer":"sgd"}"#,
                r#"{"optimizer":"adam"}"#,
            ]
        );
    }

    #[test]
    fn points_are_even_in_the_scale_of_the_range() {
        let space = SearchSpace::builder()
            .log_float("lr", 1e-4..=1e-1)
            .log_int("width", 1..=1000)
            .build()
            .unwrap();
        let grid = Grid::new([("lr".to_owned(), 4), ("width".to_owned(), 4)].into());
        let mut study = study(space, grid);
        let (mut rates, mut widths) = (Vec::new(), BTreeSet::new());
        while let Some(asked) = study.ask().unwrap() {
            rates.push(asked.params["lr"].as_f64().unwrap());
            widths.insert(asked.params["width"].as_i64().unwrap());
        }
        rates.dedup();
        let wanted = [1e-4, 1e-3, 1e-2, 1e-1];
        assert_eq!(rates.len(), 4);
        for (rate, wanted) in rates.iter().zip(wanted) {
            assert!((rate / wanted - 1.0).abs() < 1e-9);
        }
        assert_eq!(widths, [1, 10, 100, 1000].into());
    }

    #[test]
    fn parallel_trials_share_the_grid() {
        let mut study = study(conditional(), Grid::default());
        let running: Vec<Asked> = (0..3).map(|_| study.ask().unwrap().unwrap()).collect();
        study.tell(running[2].number, Finish::Failed).unwrap();
        study.release(running[0].number).unwrap();
        let again = study.ask().unwrap().unwrap();
        assert_eq!(params(&again), params(&running[0]));
        let mut found: BTreeSet<String> = running.iter().map(params).collect();
        found.extend(all(&mut study));
        assert_eq!(found.len(), 5);
        assert_eq!(study.history().trials().len(), 5);
    }

    #[test]
    fn enqueued_combinations_count_and_run_even_when_nothing_is_left() {
        let mut study = study(conditional(), Grid::default());
        let adam = json!({"optimizer": "adam"}).as_object().unwrap().clone();
        study.enqueue(adam.clone()).unwrap();
        let found = all(&mut study);
        assert_eq!(found[0], r#"{"optimizer":"adam"}"#);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(found.len(), 5);
        study.enqueue(adam).unwrap();
        assert_eq!(all(&mut study), [r#"{"optimizer":"adam"}"#]);
    }

    #[test]
    fn a_fresh_sampler_goes_on_where_the_old_one_was() {
        let mut warm = study(conditional(), Grid::default());
        for _ in 0..2 {
            let asked = warm.ask().unwrap().unwrap();
            warm.tell(asked.number, Finish::Failed).unwrap();
        }
        let proposal = |sampler: &mut dyn crate::Sampler| {
            let mut rng = crate::random::generator(0, 2, "propose");
            sampler
                .propose(warm.history(), warm.space(), 2, &mut rng)
                .unwrap()
        };
        let fresh = proposal(&mut Grid::default());
        assert_eq!(params(&warm.ask().unwrap().unwrap()), {
            r#"{"decay":2,"momentum":2,"nesterov":true,"optimizer":"sgd"}"#
        });
        assert_eq!(fresh.unwrap().get("decay"), Some(&2.0));
    }

    #[test]
    fn a_huge_grid_is_counted_and_walked_without_being_built() {
        let mut space = SearchSpace::builder();
        for index in 0..9 {
            space = space.int(&format!("x{index}"), 1..=100);
        }
        // As many switches in a row as would take 2^24 cases one by one.
        for index in 0..24 {
            let switch = format!("s{index}");
            space = space.categorical(&switch, [true, false]);
        }
        for index in 0..24 {
            let (switch, value) = (format!("s{index}"), format!("v{index}"));
            space = space.int(&value, 1..=2).when(&switch, [true]);
        }
        let space = space.build().unwrap();
        assert!(matches!(
            Grid::default().size(&space),
            Err(StudyError::Sampler { .. })
        ));
        assert!(study(space, Grid::default()).ask().unwrap().is_some());
        let space = SearchSpace::builder()
            .int("a", 1..=1_000_000)
            .int("b", 1..=1_000_000)
            .when("a", [1, 2])
            .build();
        let size = Grid::default().size(&space.unwrap()).unwrap();
        assert_eq!(size, 999_998 + 2_000_000);
    }

    #[test]
    fn an_empty_grid_is_one_trial_without_parameters() {
        let space = SearchSpace::default();
        assert_eq!(Grid::default().size(&space).unwrap(), 1);
        assert_eq!(all(&mut study(space, Grid::default())), ["{}"]);
    }

    #[test]
    fn steps_are_points() {
        let tenths = FloatRange::new(0.0, 0.3, false, Some(0.1)).unwrap();
        let space = SearchSpace::builder()
            .distribution("x", Distribution::Float(tenths))
            .build()
            .unwrap();
        let mut study = study(space, Grid::default());
        assert_eq!(all(&mut study).len(), 4);
    }

    #[test]
    fn what_has_no_grid_is_refused() {
        let float = || {
            SearchSpace::builder()
                .float("x", 0.0..=1.0)
                .build()
                .unwrap()
        };
        let why = |space: &SearchSpace, points: &[(&str, u32)]| {
            let points = points.iter().map(|(name, n)| ((*name).to_owned(), *n));
            let error = Grid::new(points.collect()).size(space).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            why(&float(), &[]),
            "the sampler `grid` needs a number of points for `x`: it is a real number without a step"
        );
        assert_eq!(
            why(&float(), &[("x", 0)]),
            "the sampler `grid` needs at least one point for `x`"
        );
        assert_eq!(
            why(&float(), &[("x", 2), ("y", 2)]),
            "the sampler `grid` has points for `y`, which is no parameter to search for"
        );
        let choice = SearchSpace::builder().categorical("c", ["a"]).build();
        assert_eq!(
            why(&choice.unwrap(), &[("c", 2)]),
            "the sampler `grid` can't lay out points over the choices of `c`"
        );
    }
}
