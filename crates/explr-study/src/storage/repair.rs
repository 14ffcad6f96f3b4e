//! Puts a damaged journal right: keeps what is whole, and every trial's id.

use super::journal::JournalFile;
use super::read::Reader;
use super::record::{NewTrial, Op, Record};
use super::{StorageError, StudyLock};
use crate::trial::TrialState;
use jiff::Timestamp;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The shortest record of a new trial is longer than this, so that damage
/// can't have held more of them than its length divided by it.
const SHORTEST: usize = 60;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Records that were kept.
    pub kept: u64,
    /// Lines of the original that were dropped.
    pub dropped: Vec<DroppedLine>,
    /// Trials whose beginning was lost. Each is a failed trial now, so that
    /// the others keep their numbers.
    pub lost_trials: u64,
    /// Where the original is; none when there was nothing to repair.
    pub original: Option<PathBuf>,
}

/// A line that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedLine {
    /// Its number in the original, from 1.
    pub line: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What was wrong with it.
    pub why: String,
}

/// Keeps what is whole of a study's journal. The original is saved beside it.
pub fn repair(journal: &Path) -> Result<Repair, StorageError> {
    let _study = StudyLock::take(journal)?;
    let _append = JournalFile::open_to_read(journal)?.lock()?;
    let original = fs::read(journal).map_err(StorageError::io("read", journal))?;
    let survey = Survey::of(&original);
    let mut report = Repair {
        kept: survey.kept,
        lost_trials: 0,
        original: None,
        dropped: survey.dropped.clone(),
    };
    if report.dropped.is_empty() {
        return Ok(report);
    }
    let lost = survey
        .lost_trials()
        .map_err(|why| StorageError::Unrepairable {
            path: journal.to_owned(),
            why,
        })?;
    report.lost_trials = lost.iter().map(|(_, count)| count).sum();
    let saved = beside(
        journal,
        &format!("damaged-{}", Timestamp::now().as_millisecond()),
    );
    fs::copy(journal, &saved).map_err(StorageError::io("save the original as", &saved))?;
    let mended = beside(journal, "repaired");
    write(&mended, &survey.mended(&original, &lost)).map_err(StorageError::io("write", &mended))?;
    fs::rename(&mended, journal).map_err(StorageError::io("replace", journal))?;
    report.original = Some(saved);
    Ok(report)
}

fn beside(journal: &Path, what: &str) -> PathBuf {
    let mut name = journal.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    journal.with_file_name(name)
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    // Left behind by a repair that was killed.
    let _ = fs::remove_file(path);
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// What is whole of a journal, and what isn't.
#[derive(Default)]
struct Survey {
    kept: u64,
    dropped: Vec<DroppedLine>,
    /// Where the damage is: neighbouring lines together.
    damage: Vec<Range<usize>>,
    /// For each damage, whether it looks like the record of a new trial.
    looks_new: Vec<bool>,
    studies: u64,
    trials: u64,
    /// More than the highest id that a record names.
    named_studies: u64,
    named_trials: u64,
    last_time: Timestamp,
}

impl Survey {
    fn of(journal: &[u8]) -> Self {
        let mut survey = Self::default();
        let mut reader = Reader::default();
        let mut at = 0;
        for (number, line) in (1..).zip(journal.split_inclusive(|byte| *byte == b'\n')) {
            let place = at..at + line.len();
            at = place.end;
            let read = if line.ends_with(b"\n") {
                reader.read(line)
            } else {
                Err("torn: its end is missing".to_owned())
            };
            match read {
                Ok(record) => survey.keep(&record.op),
                Err(why) => {
                    survey.dropped.push(DroppedLine {
                        line: number,
                        bytes: line.len() as u64,
                        why,
                    });
                    survey.drop(place, line);
                }
            }
        }
        survey
    }

    fn keep(&mut self, op: &Op) {
        self.kept += 1;
        match op {
            Op::CreateStudy { .. } => self.studies += 1,
            Op::CreateTrial { study, trial } => {
                self.trials += 1;
                self.named_studies = self.named_studies.max(study + 1);
                self.last_time = trial.started.unwrap_or(self.last_time);
            }
            Op::DeleteStudy { study }
            | Op::StudyUserAttrs { study, .. }
            | Op::StudySystemAttrs { study, .. } => {
                self.named_studies = self.named_studies.max(study + 1);
            }
            Op::Param { trial, .. }
            | Op::State { trial, .. }
            | Op::Intermediate { trial, .. }
            | Op::TrialUserAttrs { trial, .. }
            | Op::TrialSystemAttrs { trial, .. } => {
                self.named_trials = self.named_trials.max(trial + 1);
            }
            Op::DiscardTrials => {}
        }
    }

    fn drop(&mut self, place: Range<usize>, line: &[u8]) {
        let looks_new = [&b"\"op_code\":4,"[..], b"\"op_code\": 4,"]
            .iter()
            .any(|text| line.windows(text.len()).any(|part| part == *text));
        match (self.damage.last_mut(), self.looks_new.last_mut()) {
            (Some(last), Some(looks)) if last.end == place.start => {
                last.end = place.end;
                *looks |= looks_new;
            }
            _ => {
                self.damage.push(place);
                self.looks_new.push(looks_new);
            }
        }
    }

    /// The damages that held the beginnings of trials, and of how many. A
    /// trial's id is its place among these beginnings, so every one counts.
    fn lost_trials(&self) -> Result<Vec<(usize, u64)>, String> {
        if self.named_studies > self.studies {
            return Err("the record that begins the study is lost".to_owned());
        }
        let missing = self.named_trials.saturating_sub(self.trials);
        if missing == 0 {
            return Ok(Vec::new());
        }
        let found = match self.damage.as_slice() {
            [_] => vec![(0, missing)],
            _ => (0..)
                .zip(&self.looks_new)
                .filter(|(_, looks_new)| **looks_new)
                .map(|(index, _)| (index, 1))
                .collect(),
        };
        let fits = |(index, count): &(usize, u64)| {
            let room = self.damage[*index].len() / SHORTEST + 1;
            usize::try_from(*count).is_ok_and(|count| count <= room)
        };
        let total: u64 = found.iter().map(|(_, count)| count).sum();
        if self.studies > 1 || total != missing || !found.iter().all(fits) {
            return Err(format!(
                "the beginnings of {missing} trials are lost, and where they stood can't be told, \
                 so results would be put down to the wrong parameters"
            ));
        }
        Ok(found)
    }

    /// The journal without its damage, and with a failed trial in the place of
    /// each that was lost.
    fn mended(&self, journal: &[u8], lost: &[(usize, u64)]) -> Vec<u8> {
        let mut mended = Vec::with_capacity(journal.len());
        let mut at = 0;
        for (index, place) in self.damage.iter().enumerate() {
            mended.extend_from_slice(&journal[at..place.start]);
            at = place.end;
            for (_, count) in lost.iter().filter(|(of, _)| *of == index) {
                for _ in 0..*count {
                    mended.extend_from_slice(self.failed_trial().as_bytes());
                }
            }
        }
        mended.extend_from_slice(&journal[at..]);
        mended
    }

    fn failed_trial(&self) -> String {
        let mut trial = NewTrial::new(TrialState::Failed);
        trial.started = Some(self.last_time);
        trial.finished = Some(self.last_time);
        let record = Record {
            worker: "explr-repair".to_owned(),
            op: Op::CreateTrial {
                study: 0,
                trial: Box::new(trial),
            },
        };
        let mut line = String::new();
        record.write(&mut line);
        line
    }
}
