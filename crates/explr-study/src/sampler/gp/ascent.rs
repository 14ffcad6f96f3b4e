/// Most that a coordinate moves in one step, as a share of its range.
const LONGEST: f64 = 0.25;

/// What a coordinate moves at first, as a share of its range.
const FIRST: f64 = 0.05;

/// Climbs from `start` within `bounds` by the signs of the gradient alone
/// (iRprop-, Igel and Hüsken 2003), which is robust and needs no line search;
/// Blum and Riedmiller (2013, "Optimization of Gaussian process
/// hyperparameters using Rprop") found it as good as others here.
///
/// `objective` gives the value and its gradient, or none where there is no
/// value. Returns the best point it met and its value, if `start` has one.
pub(super) fn climb(
    start: Vec<f64>,
    bounds: &[(f64, f64)],
    iterations: usize,
    objective: impl Fn(&[f64]) -> Option<(f64, Vec<f64>)>,
) -> Option<(Vec<f64>, f64)> {
    let (value, mut gradient) = objective(&start)?;
    let mut best = (start.clone(), value);
    let mut point = start;
    let mut steps: Vec<f64> = bounds
        .iter()
        .map(|(low, high)| FIRST * (high - low))
        .collect();
    for _ in 0..iterations {
        for (axis, (low, high)) in bounds.iter().enumerate() {
            if gradient[axis] != 0.0 {
                let step = steps[axis].copysign(gradient[axis]);
                point[axis] = (point[axis] + step).clamp(*low, *high);
            }
        }
        let Some((value, mut next)) = objective(&point) else {
            break;
        };
        if value > best.1 {
            best = (point.clone(), value);
        }
        for (axis, (low, high)) in bounds.iter().enumerate() {
            let turn = gradient[axis] * next[axis];
            if turn > 0.0 {
                steps[axis] = (steps[axis] * 1.2).min(LONGEST * (high - low));
            } else if turn < 0.0 {
                steps[axis] *= 0.5;
                next[axis] = 0.0;
            }
        }
        gradient = next;
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::climb;

    #[test]
    fn the_top_is_found_inside_and_at_the_edge() {
        // Steep in one direction, with the top outside of the other's range.
        let hill = |x: &[f64]| {
            let (a, b) = (x[0] - 0.3, x[1] - 2.0);
            Some((-1000.0 * a * a - b * b, vec![-2000.0 * a, -2.0 * b]))
        };
        let bounds = [(0.0, 1.0), (0.0, 1.0)];
        let (top, _) = climb(vec![0.9, 0.1], &bounds, 60, hill).unwrap();
        assert!((top[0] - 0.3).abs() < 1e-3 && (top[1] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_start_without_value_leads_nowhere() {
        assert!(climb(vec![0.0], &[(0.0, 1.0)], 5, |_| None).is_none());
    }
}
