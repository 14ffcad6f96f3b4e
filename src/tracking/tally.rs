use super::cursor::Cursor;
use super::journal_records;
use crate::store::{RunDir, RunId};
use std::collections::BTreeMap;

/// How far the runs are that a shipper was given.
#[derive(Debug, Default)]
pub(super) struct Tally {
    runs: BTreeMap<RunId, Account>,
    sum: Count,
}

/// One run.
#[derive(Debug)]
struct Account {
    run: RunDir,
    count: Count,
    /// All of it is at the server.
    over: bool,
}

/// Records of a journal, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// At the server.
    pub(super) shipped: u64,
    /// In all.
    pub(super) total: u64,
    /// Things that the server refused.
    pub(super) set_aside: u64,
}

impl Tally {
    /// Takes in a run with this many records, or takes it up again after its
    /// end. Tells whether there is something to do that wasn't known.
    pub(super) fn add(&mut self, run: &RunDir, records: u64) -> bool {
        if self.runs.get(run.id()).is_some_and(|known| !known.over) {
            return false;
        }
        let known = self.count(run.id());
        let count = Count {
            total: records.max(known.shipped),
            ..known
        };
        self.put(run, count, false);
        true
    }

    pub(super) fn set(&mut self, run: &RunDir, count: Count) {
        self.put(run, count, false);
    }

    /// Nothing more will come of the run.
    pub(super) fn close(&mut self, run: &RunDir) {
        self.put(run, self.count(run.id()), true);
    }

    pub(super) fn holds(&self, run: &RunId) -> bool {
        self.runs.contains_key(run)
    }

    /// All runs together.
    pub(super) fn sum(&self) -> Count {
        self.sum
    }

    /// Looks into the files of all runs that are not wholly at the server.
    pub(super) fn recount(&mut self, server: Option<&str>) {
        let open = self.runs.values().filter(|account| !account.over);
        let runs: Vec<_> = open.map(|account| account.run.clone()).collect();
        for run in runs {
            let cursor = Cursor::read(&run)
                .filter(|cursor| server.is_some_and(|server| cursor.is_for(server)));
            let (shipped, set_aside) =
                cursor.map_or((0, 0), |cursor| (cursor.records, cursor.set_aside));
            let count = Count {
                shipped,
                total: journal_records(&run).max(shipped),
                set_aside,
            };
            self.put(&run, count, false);
        }
    }

    fn count(&self, run: &RunId) -> Count {
        self.runs
            .get(run)
            .map_or(Count::default(), |account| account.count)
    }

    fn put(&mut self, run: &RunDir, count: Count, over: bool) {
        let before = self.count(run.id());
        self.sum = Count {
            shipped: self.sum.shipped - before.shipped + count.shipped,
            total: self.sum.total - before.total + count.total,
            set_aside: self.sum.set_aside - before.set_aside + count.set_aside,
        };
        let run = run.clone();
        self.runs
            .insert(run.id().clone(), Account { run, count, over });
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Tally};
    use crate::store::journal::Writer;
    use crate::store::{RunDir, RunId, Store};
    use explr_protocol::{Event, LogLevel};

    /// Runs with as many records as given.
    fn runs(folder: &tempfile::TempDir, records: &[usize]) -> Vec<RunDir> {
        let store = Store::open(folder.path()).unwrap();
        for count in records {
            let path = store.root().join("runs").join(RunId::new().as_str());
            std::fs::create_dir(&path).unwrap();
            let mut writer = Writer::open(&path.join("events.jsonl")).unwrap();
            for _ in 0..*count {
                let (level, message) = (LogLevel::Info, "hello".to_owned());
                writer.append(&Event::Log { level, message }).unwrap();
            }
        }
        store.runs().unwrap()
    }

    #[test]
    fn the_sum_is_that_of_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let runs = runs(&folder, &[3, 5]);
        let mut tally = Tally::default();
        assert!(tally.add(&runs[0], 3) && tally.add(&runs[1], 5));
        let count = |shipped, total, set_aside| Count {
            shipped,
            total,
            set_aside,
        };
        assert_eq!(tally.sum(), count(0, 8, 0));
        tally.set(&runs[0], count(2, 4, 1));
        tally.set(&runs[0], count(4, 4, 2));
        assert_eq!(tally.sum(), count(4, 9, 2));
        tally.close(&runs[0]);
        tally.recount(Some("a server with no cursor"));
        assert_eq!(tally.sum(), count(4, 9, 2), "a closed run keeps its count");
    }

    #[test]
    fn a_run_is_added_again_only_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let runs = runs(&folder, &[3]);
        let mut tally = Tally::default();
        assert!(tally.add(&runs[0], 2));
        assert!(!tally.add(&runs[0], 3));
        tally.close(&runs[0]);
        assert!(tally.add(&runs[0], 3));
        assert_eq!(tally.sum().total, 3);
    }
}
