use super::{Holder, RunId};
use crate::Exit;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with the store. Each message names the thing, the place
/// and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder does not exist, so nothing was ever recorded in it.
    #[error("there is no store at {}: nothing has been recorded there yet (`explr run` makes it; --store or EXPLR_STORE names another)", root.display())]
    Missing {
        /// Where the store was looked for.
        root: PathBuf,
    },
    /// The store can be read at best.
    #[error("the store {} can't be written: {source}. Give another folder with `store:` in the config, --store or EXPLR_STORE", root.display())]
    NotWritable {
        /// The store.
        root: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of the store could not be used.
    #[error("can't {action} {}: {}", path.display(), explain(source))]
    Io {
        /// What was tried, as in `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No run has this name.
    #[error("no run `{name}` in {}{}", root.display(), near(candidates))]
    NoSuchRun {
        /// What was asked for.
        name: String,
        /// The store.
        root: PathBuf,
        /// Runs with similar names, or the newest ones.
        candidates: Vec<RunId>,
    },
    /// Several runs begin like this.
    #[error("`{name}` could be any of {}: give more characters", list(candidates))]
    AmbiguousRun {
        /// What was asked for.
        name: String,
        /// The runs that fit.
        candidates: Vec<RunId>,
    },
    /// No study has this name, or none was named and there are several.
    #[error("{}", no_such_study(name.as_deref(), known))]
    NoSuchStudy {
        /// What was asked for.
        name: Option<String>,
        /// The studies of the store.
        known: Vec<String>,
    },
    /// Another process works on the run.
    #[error("run {} is in use by {holder}: wait for it or stop it first", run.short())]
    Locked {
        /// The run.
        run: RunId,
        /// Who has it.
        holder: Holder,
    },
    /// Another process appends to the journal.
    #[error("another process is still writing {}: a journal has one writer at a time; wait for it or stop it first", path.display())]
    JournalBusy {
        /// The journal.
        path: PathBuf,
    },
    /// A record did not reach the journal. What was there before is intact,
    /// and a later append may succeed.
    #[error("can't write to {}: {}. Everything recorded before is intact", path.display(), explain(source))]
    JournalWrite {
        /// The journal.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record can't be expressed in the journal's format.
    #[error("this record can't be stored in {}: {why}", path.display())]
    BadRecord {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The journal is damaged before its end.
    #[error("{}:{line}: the journal is damaged: {why}. `explr repair {}` keeps what is whole and saves the original", path.display(), run_of(path))]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// `run.json` or another small file can't be understood.
    #[error("{} can't be understood: {why}. Restore it from a copy, or remove the run with `explr runs rm {}`", path.display(), run_of(path))]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A path would leave the folder it belongs to.
    #[error("`{name}` would leave {}: use a relative path without `..` and without links to the outside", folder.display())]
    Outside {
        /// The path as given.
        name: String,
        /// The folder it must stay in.
        folder: PathBuf,
    },
}

impl StoreError {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. } => Exit::NothingToDo,
            Self::NoSuchRun { .. } | Self::AmbiguousRun { .. } | Self::NoSuchStudy { .. } => {
                Exit::Usage
            }
            Self::Locked { .. } | Self::JournalBusy { .. } => Exit::Locked,
            Self::NotWritable { .. }
            | Self::Io { .. }
            | Self::JournalWrite { .. }
            | Self::BadRecord { .. }
            | Self::Damaged { .. }
            | Self::BadFile { .. }
            | Self::Outside { .. } => Exit::Store,
        }
    }

    /// For `map_err` after an operation on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// The system's words, with the remedy where there is one.
fn explain(source: &io::Error) -> String {
    use nix::libc::{EDQUOT, EFBIG, ELOOP, EMFILE, ENOSPC, EROFS};
    let remedy = match source.raw_os_error() {
        Some(ENOSPC) => "make room on the disk",
        Some(EDQUOT) => "make room in your quota",
        Some(EFBIG) => "raise the limit of file sizes (`ulimit -f`)",
        Some(EROFS) => "the file system is read-only",
        Some(ELOOP) => "it is a symbolic link, and explr follows none in its store",
        Some(EMFILE) => "raise the limit of open files (`ulimit -n`)",
        _ => return source.to_string(),
    };
    format!("{source}; {remedy}")
}

/// The run that a file of the store belongs to, for a command line.
fn run_of(path: &Path) -> String {
    path.parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .and_then(|name| name.parse::<RunId>().ok())
        .map_or_else(|| "RUN".to_owned(), |id| id.short().to_owned())
}

fn list(runs: &[RunId]) -> String {
    const SHOWN: usize = 5;
    let mut text = runs
        .iter()
        .take(SHOWN)
        .map(RunId::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if runs.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

fn no_such_study(name: Option<&str>, known: &[String]) -> String {
    let list = known.join(", ");
    match (name, known) {
        (_, []) => "the store has no studies yet: `explr tune` makes the first".to_owned(),
        (None, _) => format!("name the study: the store has {list}"),
        (Some(name), _) => {
            let near = known
                .iter()
                .map(|other| (strsim::damerau_levenshtein(name, other), other))
                .filter(|(distance, other)| *distance <= other.len().max(3) / 3)
                .min();
            match near {
                Some((_, near)) => format!("there is no study `{name}`: did you mean `{near}`?"),
                None => format!("there is no study `{name}`: the store has {list}"),
            }
        }
    }
}

fn near(candidates: &[RunId]) -> String {
    match candidates {
        [] => ": it has no runs yet".to_owned(),
        [one] => format!(": did you mean {}?", one.short()),
        many => {
            let names: Vec<_> = many.iter().take(5).map(RunId::short).collect();
            format!(
                ": the nearest are {} (`explr runs list` shows all)",
                names.join(", ")
            )
        }
    }
}
