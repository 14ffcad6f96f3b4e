use super::output::Output;
use super::rows::Rows;
use super::scalars::Scalars;
use super::{failed, refused};
use explr_protocol::{Command, FailureClass, MetricFormat, MetricSource, TrainError};
use nix::fcntl::OFlag;
use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Values that were found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) values: BTreeMap<String, f64>,
    /// None where nothing tells it.
    pub(super) step: Option<i64>,
}

/// Where the metrics of a command are that knows nothing of explr.
pub(super) enum Source {
    Nowhere,
    Output(Output),
    Rows(Rows),
    Scalars(Scalars),
}

impl Source {
    /// Opens it, and makes the other end of a pipe if the command is to print
    /// into one.
    pub(super) fn open(
        command: &Command,
        fill: impl Fn(&str) -> Result<String, TrainError>,
    ) -> Result<(Self, Option<OwnedFd>), TrainError> {
        Ok(match &command.metrics {
            None | Some(MetricSource::Wandb) => (Self::Nowhere, None),
            Some(MetricSource::Pattern(pattern)) => {
                let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
                    .map_err(|error| failed(FailureClass::Error, format!("no pipe: {error}")))?;
                let output = Output::new(read, pattern).map_err(refused)?;
                (Self::Output(output), Some(write))
            }
            Some(MetricSource::File { path, format }) => {
                let path = command.folder.join(PathBuf::from(fill(path)?));
                let source = match format {
                    MetricFormat::Csv => Self::Rows(Rows::csv(path)),
                    MetricFormat::Jsonl => Self::Rows(Rows::json(path)),
                    MetricFormat::Tensorboard => Self::Scalars(Scalars::new(path)),
                };
                (source, None)
            }
        })
    }

    /// What the command prints, where that is looked at.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Output(output) => output.descriptor(),
            _ => None,
        }
    }

    /// What has come since the last call, at most a few thousand values, or
    /// why something can't be read. When the command has ended, a last line
    /// needs no newline.
    pub(super) fn take(&mut self, has_ended: bool) -> Vec<Result<Sample, String>> {
        match self {
            Self::Nowhere => Vec::new(),
            Self::Output(output) => output.take(has_ended),
            Self::Rows(rows) => rows.take(has_ended),
            Self::Scalars(scalars) => scalars.take(),
        }
    }
}
