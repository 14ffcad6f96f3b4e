//! Which trials are good when there are several objectives.

/// Indices of the `count` best points, less being better in each coordinate:
/// by how many fronts lie before theirs, and within the last front those that
/// stand most alone (Deb et al. 2002, "A fast and elitist multiobjective
/// genetic algorithm: NSGA-II"). None may be NaN.
pub(super) fn best(points: &[Vec<f64>], count: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count && !left.is_empty() {
        let (mut front, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|index| {
            !left
                .iter()
                .any(|other| dominates(&points[*other], &points[**index]))
        });
        left = rest;
        let room = count - chosen.len();
        if front.len() > room {
            let crowding = crowding(points, &front);
            let mut order: Vec<usize> = (0..front.len()).collect();
            order.sort_by(|a, b| crowding[*b].total_cmp(&crowding[*a]));
            front = order[..room].iter().map(|place| front[*place]).collect();
        }
        chosen.append(&mut front);
    }
    chosen
}

fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// For each point of a front, how far apart its neighbours are, summed over
/// the objectives; infinite at the ends.
fn crowding(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    let objectives = points.first().map_or(0, Vec::len);
    #[expect(clippy::needless_range_loop, reason = "it indexes the inner vectors")]
    for objective in 0..objectives {
        let value = |place: usize| points[front[place]][objective];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
        let (Some(first), Some(last)) = (order.first(), order.last()) else {
            continue;
        };
        let range = value(*last) - value(*first);
        distances[*first] = f64::INFINITY;
        distances[*last] = f64::INFINITY;
        if range > 0.0 && range.is_finite() {
            for three in order.windows(3) {
                distances[three[1]] += (value(three[2]) - value(three[0])) / range;
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn fronts_come_one_after_the_other_and_lonely_points_first() {
        let points = [[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0], [5.0, 5.0]];
        let points: Vec<Vec<f64>> = points.iter().map(|point| point.to_vec()).collect();
        let three = best(&points, 3);
        assert!(three.contains(&0) && three.contains(&3) && !three.contains(&4));
        assert_eq!(best(&points, 5).last(), Some(&4));
        assert_eq!(best(&points, 9).len(), 5);
    }
}
