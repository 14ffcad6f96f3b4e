use crate::{Distribution, SearchSpace, Trial};
use std::convert::Infallible;
use std::f64::consts::FRAC_1_SQRT_2;

/// Lays the parameters of a space out as coordinates.
///
/// A number is its place in the unit interval, in its own scale. A choice has
/// a coordinate for each value, so that all choices are equally far apart: as
/// far as the ends of a range. An inactive number is in the middle, where it
/// is no matter, for its parents tell it from an active one; an inactive
/// choice is one more value.
#[derive(Debug, Clone)]
pub(in crate::sampler) struct Encoding {
    space: SearchSpace,
    axes: Vec<Axis>,
    /// Which axis each coordinate belongs to.
    groups: Vec<usize>,
}

/// A parameter that is searched for, and has more than one value.
#[derive(Debug, Clone)]
pub(in crate::sampler) struct Axis {
    pub(in crate::sampler) name: String,
    pub(in crate::sampler) distribution: Distribution,
    /// Its first coordinate.
    pub(super) coordinate: usize,
    conditional: bool,
}

/// What takes the place of an inactive number.
const MIDDLE: f64 = 0.5;

impl Axis {
    pub(super) fn is_choice(&self) -> bool {
        matches!(self.distribution, Distribution::Categorical(_))
    }

    /// The allowed value nearest to `unit`, as the middle of its cell.
    pub(super) fn snap(&self, unit: f64) -> f64 {
        match self.distribution.count() {
            Some(_) => self.distribution.to_unit(self.distribution.from_unit(unit)),
            None => unit,
        }
    }
}

impl Encoding {
    pub(in crate::sampler) fn new(space: &SearchSpace) -> Self {
        let (mut axes, mut groups) = (Vec::new(), Vec::new());
        for parameter in space.parameters() {
            let Some(distribution) = parameter.distribution() else {
                continue;
            };
            let width = match distribution {
                _ if distribution.count() == Some(1) => continue,
                Distribution::Categorical(choices) => choices.values().len(),
                Distribution::Float(_) | Distribution::Int(_) => 1,
            };
            let coordinate = groups.len();
            groups.extend(std::iter::repeat_n(axes.len(), width));
            axes.push(Axis {
                name: parameter.name.clone(),
                distribution: distribution.clone(),
                coordinate,
                conditional: !parameter.when.is_empty(),
            });
        }
        Self {
            space: space.clone(),
            axes,
            groups,
        }
    }

    pub(in crate::sampler) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub(in crate::sampler) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// A trial as one unit for each axis, none where it is inactive. No units
    /// at all for a trial that is not of this space.
    pub(in crate::sampler) fn units(&self, trial: &Trial) -> Option<Vec<Option<f64>>> {
        let unit = |axis: &Axis| match trial.params.get(&axis.name) {
            None => axis.conditional.then_some(None),
            Some(assigned) => {
                let value = assigned.internal;
                let allowed = axis.distribution.contains(value);
                allowed.then(|| Some(axis.distribution.to_unit(value)))
            }
        };
        self.axes.iter().map(unit).collect()
    }

    /// Which axes are active when all of them have these units.
    pub(super) fn active(&self, units: &[f64]) -> Vec<Option<f64>> {
        if !self.axes.iter().any(|axis| axis.conditional) {
            return units.iter().copied().map(Some).collect();
        }
        let mut active = vec![None; units.len()];
        let choose = |name: &str, distribution: &Distribution| {
            let found = self.axes.iter().position(|axis| axis.name == name);
            let unit = found.map_or(MIDDLE, |axis| {
                active[axis] = Some(units[axis]);
                units[axis]
            });
            Ok::<_, Infallible>(distribution.from_unit(unit))
        };
        match self.space.assign(choose) {
            Ok(_) => active,
        }
    }

    /// The coordinates of these units.
    pub(in crate::sampler) fn point(&self, units: &[Option<f64>]) -> Vec<f64> {
        let mut point = vec![0.0; self.groups.len()];
        for (axis, unit) in self.axes.iter().zip(units) {
            if axis.is_choice() {
                if let Some(unit) = unit {
                    let place = place(axis.distribution.from_unit(*unit));
                    point[axis.coordinate + place] = FRAC_1_SQRT_2;
                }
            } else {
                point[axis.coordinate] = unit.unwrap_or(MIDDLE);
            }
        }
        point
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn place(choice: f64) -> usize {
    choice as usize
}

#[cfg(test)]
mod tests {
    use super::Encoding;
    use crate::SearchSpace;

    fn encoding() -> Encoding {
        let space = SearchSpace::builder()
            .categorical("kind", ["a", "b", "c"])
            .int("n", 1..=4)
            .when("kind", ["b"])
            .int("one", 3..=3)
            .float("x", -1.0..=1.0)
            .build()
            .unwrap();
        Encoding::new(&space)
    }

    #[test]
    fn all_choices_are_equally_far_apart() {
        let encoding = encoding();
        let points = [0.1, 0.5, 0.9].map(|unit| encoding.point(&[Some(unit), None, Some(0.2)]));
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let square: f64 = points[a]
                .iter()
                .zip(&points[b])
                .map(|(a, b)| (a - b).powi(2))
                .sum();
            assert!((square - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn inactive_numbers_lie_in_the_middle() {
        let encoding = encoding();
        assert_eq!(encoding.groups(), [0, 0, 0, 1, 2]);
        let point = |kind| encoding.point(&encoding.active(&[kind, 0.9, 0.2]));
        assert_eq!(point(0.5)[3..], [0.9, 0.2]);
        assert_eq!(point(0.1)[3..], [0.5, 0.2]);
    }

    #[test]
    fn whole_numbers_snap_to_the_middle_of_their_cell() {
        let encoding = encoding();
        assert!((encoding.axes()[1].snap(0.3) - 0.375).abs() < 1e-12);
        assert!((encoding.axes()[2].snap(0.3) - 0.3).abs() < 1e-12);
    }
}
