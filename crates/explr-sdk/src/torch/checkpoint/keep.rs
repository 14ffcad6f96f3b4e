use super::folder::Folder;
use explr_protocol::Direction;

/// Which checkpoints stay.
#[derive(Debug)]
pub(super) struct Kept {
    /// How many of the newest stay, from 1.
    pub(super) last: usize,
    /// What is best, if it is to stay.
    pub(super) best: Option<Direction>,
    /// How many of the best stay then.
    pub(super) top: usize,
    /// Those there are, from old to new.
    pub(super) found: Vec<Folder>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            last: 2,
            best: None,
            top: 1,
            found: Vec::new(),
        }
    }
}

impl Kept {
    /// Adds a new one and gives those that may go.
    pub(super) fn add(&mut self, folder: Folder) -> Vec<Folder> {
        self.found.retain(|other| other.path != folder.path);
        self.found.push(folder);
        let best: Vec<_> = self.ranked().into_iter().take(self.top).collect();
        let best: Vec<_> = best.into_iter().map(|folder| folder.path.clone()).collect();
        let newest = self.found.len().saturating_sub(self.last);
        let mut kept = Vec::with_capacity(self.found.len());
        let mut gone = Vec::new();
        for (index, folder) in self.found.drain(..).enumerate() {
            if index >= newest || best.contains(&folder.path) {
                kept.push(folder);
            } else {
                gone.push(folder);
            }
        }
        self.found = kept;
        gone
    }

    /// The best one; of equal ones the first. NaN is never best.
    pub(super) fn best(&self) -> Option<&Folder> {
        self.ranked().into_iter().next()
    }

    /// Those with a metric, the best first.
    fn ranked(&self) -> Vec<&Folder> {
        let sign = match self.best {
            Some(Direction::Minimize) => 1.0,
            Some(Direction::Maximize) => -1.0,
            None => return Vec::new(),
        };
        let metric = |folder: &Folder| folder.metric.filter(|metric| !metric.is_nan());
        let mut ranked: Vec<_> = self
            .found
            .iter()
            .filter_map(|folder| Some((metric(folder)? * sign, folder)))
            .collect();
        ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        ranked.into_iter().map(|(_, folder)| folder).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, Kept};
    use explr_protocol::Direction;
    use std::path::Path;

    fn kept(
        last: usize,
        best: Option<Direction>,
        top: usize,
        metrics: &[f64],
    ) -> (Vec<u64>, Option<u64>) {
        let mut kept = Kept {
            last,
            best,
            top,
            found: Vec::new(),
        };
        for (epoch, metric) in (1..).zip(metrics) {
            kept.add(Folder::new(Path::new("c"), epoch, epoch, Some(*metric)));
        }
        let epochs = kept.found.iter().map(|folder| folder.epoch).collect();
        (epochs, kept.best().map(|folder| folder.epoch))
    }

    #[test]
    fn the_newest_and_the_best_stay() {
        let losses = [3.0, f64::NAN, 1.0, 1.0, 4.0, 5.0];
        assert_eq!(kept(2, None, 1, &losses), (vec![5, 6], None));
        let least = Some(Direction::Minimize);
        assert_eq!(kept(2, least, 1, &losses), (vec![3, 5, 6], Some(3)));
        assert_eq!(kept(1, least, 3, &losses), (vec![1, 3, 4, 6], Some(3)));
        let most = Some(Direction::Maximize);
        assert_eq!(kept(1, most, 1, &losses), (vec![6], Some(6)));
    }

    #[test]
    fn saving_the_same_epoch_again_replaces_it() {
        let mut kept = Kept::default();
        for _ in 0..3 {
            let gone = kept.add(Folder::new(Path::new("c"), 1, 1, None));
            assert!(gone.is_empty());
        }
        assert_eq!(kept.found.len(), 1);
    }
}
