//! Regression trees whose leaves are boxes, and the variance that a single
//! feature explains in them.

use crate::Rng;
use rand::RngExt;

/// Draws that a tree is grown from, at most: more make it slower and hardly
/// better.
const MOST_DRAWS: usize = 2000;

/// What values a feature has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// Numbers of [0, 1].
    Unit,
    /// Indices of so many categories.
    Categories(usize),
}

/// The part of a feature's values that belongs to a leaf.
#[derive(Debug, Clone)]
enum Part {
    Between(f64, f64),
    Among(Vec<bool>),
}

impl Part {
    /// The share of the feature's values.
    fn share(&self) -> f64 {
        match self {
            Self::Between(low, high) => high - low,
            Self::Among(members) => {
                members.iter().filter(|member| **member).count() as f64 / members.len() as f64
            }
        }
    }
}

/// A box of the space, and the mean of what was observed in it.
struct Leaf {
    parts: Vec<Part>,
    mean: f64,
}

/// A regression tree as the boxes that it cuts the space into. Grown without
/// limit over a bootstrap sample (Breiman 2001, "Random forests"), with the
/// split that reduces the squared error most over all features; categories
/// are split in the order of their means, which finds the best of all subsets
/// (Breiman et al. 1984).
pub(super) struct Tree {
    leaves: Vec<Leaf>,
}

/// The variance of a tree over the whole space.
pub(super) struct Explained {
    /// All of it.
    pub(super) variance: f64,
    /// The fraction that each feature explains alone.
    pub(super) fractions: Vec<f64>,
}

/// Where a node is cut.
struct Cut {
    feature: usize,
    low: Part,
    high: Part,
    gain: f64,
}

struct Grower<'a> {
    features: &'a [Feature],
    rows: &'a [Vec<f64>],
    targets: &'a [f64],
    leaves: Vec<Leaf>,
}

impl Tree {
    /// Grows a tree over a random sample of the rows.
    pub(super) fn grow(
        features: &[Feature],
        rows: &[Vec<f64>],
        targets: &[f64],
        rng: &mut Rng,
    ) -> Self {
        let draws = (0..rows.len().min(MOST_DRAWS))
            .map(|_| rng.random_range(0..rows.len()))
            .collect();
        let whole = features
            .iter()
            .map(|feature| match feature {
                Feature::Unit => Part::Between(0.0, 1.0),
                Feature::Categories(count) => Part::Among(vec![true; *count]),
            })
            .collect();
        let mut grower = Grower {
            features,
            rows,
            targets,
            leaves: Vec::new(),
        };
        let mut open = vec![(draws, whole)];
        while let Some((sample, parts)) = open.pop() {
            open.extend(grower.divide(sample, parts, rng).into_iter().flatten());
        }
        Self {
            leaves: grower.leaves,
        }
    }

    /// The fraction of the tree's variance over the whole space that each
    /// feature explains alone: the fractions `F_U` for single features of
    /// functional ANOVA (Hutter, Hoos and Leyton-Brown 2014, "An efficient
    /// approach for assessing hyperparameter importance"). None if the tree
    /// is the same everywhere.
    pub(super) fn explained(&self, features: &[Feature]) -> Option<Explained> {
        let volumes: Vec<f64> = self
            .leaves
            .iter()
            .map(|leaf| leaf.parts.iter().map(Part::share).product())
            .collect();
        let over = |value: &dyn Fn(&Leaf) -> f64| -> f64 {
            let leaves = self.leaves.iter().zip(&volumes);
            leaves.map(|(leaf, volume)| volume * value(leaf)).sum()
        };
        let mean = over(&|leaf| leaf.mean);
        let variance = over(&|leaf| (leaf.mean - mean).powi(2));
        if variance.is_nan() || variance <= 0.0 {
            return None;
        }
        let explained = (0..features.len()).map(|place| {
            let marginal = match features[place] {
                Feature::Unit => self.along_unit(place, &volumes),
                Feature::Categories(count) => self.along_categories(place, count, &volumes),
            };
            let spread = |(share, value): (f64, f64)| share * (value - mean).powi(2);
            marginal.into_iter().map(spread).sum::<f64>() / variance
        });
        Some(Explained {
            variance,
            fractions: explained.collect(),
        })
    }

    /// The mean over all other features along a number: shares of [0, 1] and
    /// the mean there.
    fn along_unit(&self, place: usize, volumes: &[f64]) -> Vec<(f64, f64)> {
        // Where leaves begin and end, what they add to the mean.
        let mut changes = Vec::with_capacity(2 * self.leaves.len());
        for (leaf, volume) in self.leaves.iter().zip(volumes) {
            if let Part::Between(low, high) = leaf.parts[place] {
                let density = leaf.mean * volume / (high - low);
                changes.extend([(low, density), (high, -density)]);
            }
        }
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut value = 0.0;
        changes
            .windows(2)
            .map(|pair| {
                value += pair[0].1;
                (pair[1].0 - pair[0].0, value)
            })
            .collect()
    }

    /// The same along categories.
    fn along_categories(&self, place: usize, count: usize, volumes: &[f64]) -> Vec<(f64, f64)> {
        let mut means = vec![0.0; count];
        for (leaf, volume) in self.leaves.iter().zip(volumes) {
            if let Part::Among(members) = &leaf.parts[place] {
                let density = leaf.mean * volume / leaf.parts[place].share();
                for (mean, _) in means.iter_mut().zip(members).filter(|(_, member)| **member) {
                    *mean += density;
                }
            }
        }
        means
            .into_iter()
            .map(|mean| (1.0 / count as f64, mean))
            .collect()
    }
}

impl Grower<'_> {
    /// Cuts a box in two, or makes a leaf of it.
    fn divide(
        &mut self,
        sample: Vec<usize>,
        parts: Vec<Part>,
        rng: &mut Rng,
    ) -> Option<[(Vec<usize>, Vec<Part>); 2]> {
        // Of equal cuts the first wins: each feature comes first now and then.
        let first = rng.random_range(0..self.features.len());
        let best = (0..self.features.len())
            .filter_map(|turn| {
                let feature = (first + turn) % self.features.len();
                match &parts[feature] {
                    Part::Between(low, high) => self.cut_unit(feature, &sample, *low, *high),
                    Part::Among(members) => self.cut_categories(feature, &sample, members),
                }
            })
            .reduce(|best, cut| if cut.gain > best.gain { cut } else { best });
        let Some(cut) = best else {
            let sum: f64 = sample.iter().map(|row| self.targets[*row]).sum();
            let mean = sum / sample.len() as f64;
            self.leaves.push(Leaf { parts, mean });
            return None;
        };
        let (below, above) = sample.into_iter().partition(|row| {
            let value = self.rows[*row][cut.feature];
            match &cut.low {
                Part::Between(_, high) => value <= *high,
                Part::Among(members) => members.get(index(value)).is_some_and(|member| *member),
            }
        });
        let (mut low, mut high) = (parts.clone(), parts);
        low[cut.feature] = cut.low;
        high[cut.feature] = cut.high;
        Some([(below, low), (above, high)])
    }

    fn cut_unit(&self, feature: usize, sample: &[usize], low: f64, high: f64) -> Option<Cut> {
        let mut points: Vec<(f64, f64)> = sample
            .iter()
            .map(|row| (self.rows[*row][feature], self.targets[*row]))
            .collect();
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let groups: Vec<Group> = points
            .chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq())
            .map(Group::of)
            .collect();
        let (place, gain) = best_place(&groups)?;
        let border = f64::midpoint(groups[place].value, groups[place + 1].value);
        Some(Cut {
            feature,
            low: Part::Between(low, border),
            high: Part::Between(border, high),
            gain,
        })
    }

    fn cut_categories(&self, feature: usize, sample: &[usize], members: &[bool]) -> Option<Cut> {
        let mut groups: Vec<Group> = (0..members.len())
            .map(|category| Group {
                value: category as f64,
                ..Group::default()
            })
            .collect();
        for row in sample {
            let group = groups.get_mut(index(self.rows[*row][feature]))?;
            group.count += 1.0;
            group.sum += self.targets[*row];
        }
        groups.retain(|group| group.count > 0.0);
        groups.sort_by(|a, b| a.mean().total_cmp(&b.mean()));
        let (place, gain) = best_place(&groups)?;
        // Categories of this box without a sample stay with the high ones.
        let mut low = vec![false; members.len()];
        for group in &groups[..=place] {
            low[index(group.value)] = true;
        }
        let high = members
            .iter()
            .zip(&low)
            .map(|(in_box, low)| *in_box && !low);
        Some(Cut {
            feature,
            high: Part::Among(high.collect()),
            low: Part::Among(low),
            gain,
        })
    }
}

/// Observations at one value of a feature.
#[derive(Default)]
struct Group {
    value: f64,
    count: f64,
    sum: f64,
}

impl Group {
    fn of(points: &[(f64, f64)]) -> Self {
        Self {
            value: points[0].0,
            count: points.len() as f64,
            sum: points.iter().map(|point| point.1).sum(),
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

/// After which group a cut reduces the squared error most, and by how much.
fn best_place(groups: &[Group]) -> Option<(usize, f64)> {
    let (count, sum) = groups.iter().fold((0.0, 0.0), |(count, sum), group| {
        (count + group.count, sum + group.sum)
    });
    let (mut left_count, mut left_sum) = (0.0, 0.0);
    let mut best = None;
    for (place, group) in groups
        .iter()
        .enumerate()
        .take(groups.len().saturating_sub(1))
    {
        left_count += group.count;
        left_sum += group.sum;
        let difference = left_sum / left_count - (sum - left_sum) / (count - left_count);
        let gain = left_count * (count - left_count) / count * difference * difference;
        // Rounding alone is no reason to cut.
        let least = 1e-14 * sum * sum / count;
        if gain > best.map_or(least, |(_, gain)| gain) {
            best = Some((place, gain));
        }
    }
    best
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn index(category: f64) -> usize {
    category as usize
}
