use super::folder::Folder;
use explr_protocol::Direction;

/// Which checkpoints stay.
#[derive(Debug)]
pub(super) struct Kept {
    /// How many of the newest stay, from 1.
    pub(super) last: usize,
    /// Whether the best stays, and what is best.
    pub(super) best: Option<Direction>,
    /// Those there are, from old to new.
    pub(super) found: Vec<Folder>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            last: 2,
            best: None,
            found: Vec::new(),
        }
    }
}

impl Kept {
    /// Adds a new one and gives those that may go.
    pub(super) fn add(&mut self, folder: Folder) -> Vec<Folder> {
        self.found.retain(|other| other.path != folder.path);
        self.found.push(folder);
        let best = self.best().map(|folder| folder.path.clone());
        let newest = self.found.len().saturating_sub(self.last);
        let mut kept = Vec::with_capacity(self.found.len());
        let mut gone = Vec::new();
        for (index, folder) in self.found.drain(..).enumerate() {
            if index >= newest || Some(&folder.path) == best.as_ref() {
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
        let sign = match self.best? {
            Direction::Minimize => 1.0,
            Direction::Maximize => -1.0,
        };
        self.found
            .iter()
            .filter_map(|folder| Some((folder.metric.filter(|m| !m.is_nan())? * sign, folder)))
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, folder)| folder)
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, Kept};
    use explr_protocol::Direction;
    use std::path::Path;

    fn kept(last: usize, best: Option<Direction>, metrics: &[f64]) -> (Vec<u64>, Option<u64>) {
        let mut kept = Kept {
            last,
            best,
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
        assert_eq!(kept(2, None, &losses), (vec![5, 6], None));
        let least = Some(Direction::Minimize);
        assert_eq!(kept(2, least, &losses), (vec![3, 5, 6], Some(3)));
        let most = Some(Direction::Maximize);
        assert_eq!(kept(1, most, &losses), (vec![6], Some(6)));
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
