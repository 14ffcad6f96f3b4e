use crate::artifact::ArtifactDir;
use crate::host::{Host, HostError};
use crate::names::{check_artifact, check_key};
use crate::params::flatten;
use crate::resume::ResumeNote;
use explr_protocol::abi::{Bytes, RawMetric};
use explr_protocol::{Dataset, Event, RunContext};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Why something could not be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The name is not one that MLflow takes.
    #[error("`{name}` can't be the name of a {kind}: {problem}")]
    Name {
        /// `metric`, `param`, `tag` or `artifact`.
        kind: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The step does not fit into 64 bits with a sign.
    #[error("the step of the metric `{0}` is larger than 2^63 - 1")]
    Step(String),
    /// A param can't change.
    #[error(
        "the param `{key}` is {old} and can't become {new}: a param is logged once; log what \
         changes as a metric or a tag"
    )]
    ParamChanged {
        /// Its name.
        key: String,
        /// The value that was logged first.
        old: Value,
        /// The value that was to be logged.
        new: Value,
    },
    /// The value has no form in JSON.
    #[error("`{name}` can't be written as JSON: {source}")]
    Json {
        /// What was to be logged.
        name: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// A file that was to be logged can't be read.
    #[error("can't read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An artifact can't be written.
    #[error("can't write the artifact `{}`: {source}", path.display())]
    Write {
        /// Where it should be.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Not a plain file.
    #[error("`{}` is not a file; log a folder with `log_folder`", .0.display())]
    NotAFile(PathBuf),
    /// Not a folder.
    #[error("`{}` is not a folder; log a file with `log_artifact`", .0.display())]
    NotAFolder(PathBuf),
    /// A file name that is not Unicode.
    #[error("the name of `{}` is not Unicode; rename it", .0.display())]
    NotUnicode(PathBuf),
    /// A symbolic link that artifacts don't follow.
    #[error(
        "`{}` is a symbolic link to a folder or out of its own; log what it points to instead",
        .0.display()
    )]
    Link(PathBuf),
    /// A field of a data set's description is too long for MLflow.
    #[error("the {field} of the data set `{name}` must have 1 to {limit} characters")]
    Dataset {
        /// The data set's name.
        name: String,
        /// Which field.
        field: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// The worker could not write it down.
    #[error("not logged: {0}")]
    Worker(String),
}

impl From<HostError> for LogError {
    fn from(error: HostError) -> Self {
        Self::Worker(error.to_string())
    }
}

/// Logs metrics, params, tags, artifacts and data sets of a run.
///
/// Cheap to clone, and usable from any thread. A call that returned `Ok` has
/// been written to the run's journal: it survives the death of every process,
/// and reaches MLflow whenever that answers. None waits for a server.
#[derive(Debug, Clone)]
pub struct Tracker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: Host,
    artifacts: ArtifactDir,
    resume: Arc<ResumeNote>,
    /// Params logged so far, the hyperparameters included.
    params: Mutex<HashMap<String, Value>>,
}

impl Tracker {
    pub(crate) fn new(host: Host, run: &RunContext, resume: Arc<ResumeNote>) -> Self {
        Self(Arc::new(Inner {
            host,
            artifacts: ArtifactDir(run.artifact_dir.clone()),
            resume,
            params: Mutex::new(flatten(&run.hyperparameters).into_iter().collect()),
        }))
    }

    /// Logs the value of a metric at a step (an epoch, a batch, ...). The
    /// value may be NaN or infinite.
    ///
    /// Takes a few microseconds: it is one `write` of the system.
    pub fn log_metric(
        &self,
        key: &str,
        value: impl Into<f64>,
        step: impl TryInto<i64>,
    ) -> Result<(), LogError> {
        check_key("metric", key)?;
        self.send(
            &[RawMetric {
                key: Bytes::new(key.as_bytes()),
                value: value.into(),
            }],
            step,
        )
    }

    /// Logs several metrics of one step, in one write: cheaper than one by
    /// one, and all or none.
    ///
    /// ```no_run
    /// # fn example(tracker: explr_sdk::Tracker, epoch: u64) -> explr_sdk::Result<()> {
    /// tracker.log_metrics(&[("val_loss", 0.31), ("val_accuracy", 0.92)], epoch)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_metrics<K: AsRef<str>>(
        &self,
        metrics: &[(K, f64)],
        step: impl TryInto<i64>,
    ) -> Result<(), LogError> {
        let mut raw = Vec::with_capacity(metrics.len());
        for (key, value) in metrics {
            check_key("metric", key.as_ref())?;
            raw.push(RawMetric {
                key: Bytes::new(key.as_ref().as_bytes()),
                value: *value,
            });
        }
        self.send(&raw, step)
    }

    /// Logs a parameter, any value that serde can write. The hyperparameters
    /// are logged already. The same value twice is written once; another
    /// value for the same name is an error.
    pub fn log_param(&self, key: &str, value: impl Serialize) -> Result<(), LogError> {
        check_key("param", key)?;
        let value = to_value(key, &value)?;
        let mut params = self.0.params.lock().unwrap_or_else(PoisonError::into_inner);
        match params.get(key) {
            Some(old) if *old == value => Ok(()),
            Some(old) => Err(LogError::ParamChanged {
                key: key.to_owned(),
                old: old.clone(),
                new: value,
            }),
            None => {
                self.event(&Event::Param {
                    key: key.to_owned(),
                    value: value.clone(),
                })?;
                params.insert(key.to_owned(), value);
                Ok(())
            }
        }
    }

    /// Logs several parameters.
    pub fn log_params<K: AsRef<str>, V: Serialize>(
        &self,
        params: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), LogError> {
        params
            .into_iter()
            .try_for_each(|(key, value)| self.log_param(key.as_ref(), value))
    }

    /// Sets a tag; the last value of a name counts.
    pub fn set_tag(&self, key: &str, value: impl fmt::Display) -> Result<(), LogError> {
        check_key("tag", key)?;
        self.event(&Event::Tag {
            key: key.to_owned(),
            value: value.to_string(),
        })
    }

    /// Copies a file to the run's artifacts. `dest` is its path there, such as
    /// `plots/roc.png`; when empty or ending with `/`, the file keeps its name.
    pub fn log_artifact(&self, file: impl AsRef<Path>, dest: &str) -> Result<(), LogError> {
        let file = file.as_ref();
        let name = if dest.is_empty() || dest.ends_with('/') {
            let name = file
                .file_name()
                .ok_or_else(|| LogError::NotAFile(file.to_owned()))?;
            let name = name
                .to_str()
                .ok_or_else(|| LogError::NotUnicode(file.to_owned()))?;
            format!("{dest}{name}")
        } else {
            dest.to_owned()
        };
        self.0.artifacts.copy_file(file, &name)?;
        self.artifact(name)
    }

    /// Copies a folder to the run's artifacts, with all below it. `dest` is
    /// its path there; empty for the artifacts' root.
    pub fn log_folder(&self, folder: impl AsRef<Path>, dest: &str) -> Result<(), LogError> {
        let dest = dest.strip_suffix('/').unwrap_or(dest);
        if !dest.is_empty() {
            check_artifact(dest)?;
        }
        let names = self.0.artifacts.copy_folder(folder.as_ref(), dest)?;
        if dest.is_empty() {
            return names.into_iter().try_for_each(|name| self.artifact(name));
        }
        if names.is_empty() {
            return Ok(());
        }
        self.artifact(dest.to_owned())
    }

    /// Writes a text to the run's artifacts.
    pub fn log_text(&self, text: impl AsRef<str>, dest: &str) -> Result<(), LogError> {
        self.log_bytes(dest, text.as_ref().as_bytes())
    }

    /// Writes a value to the run's artifacts, as indented JSON.
    pub fn log_json(&self, value: &impl Serialize, dest: &str) -> Result<(), LogError> {
        let json = serde_json::to_vec_pretty(value).map_err(|source| LogError::Json {
            name: dest.to_owned(),
            source,
        })?;
        self.log_bytes(dest, &json)
    }

    /// Writes a picture to the run's artifacts. The name's ending (`.png`,
    /// `.svg`, `.jpg`, ...) tells what the bytes are.
    pub fn log_figure(&self, name: &str, image: impl AsRef<[u8]>) -> Result<(), LogError> {
        self.log_bytes(name, image.as_ref())
    }

    /// Logs the description of a data set, and what it is used for.
    ///
    /// The digest identifies the content; any text of up to 36 characters.
    pub fn log_dataset(&self, dataset: Dataset) -> Result<(), LogError> {
        for (field, value, limit) in [
            ("name", &dataset.name, 500),
            ("digest", &dataset.digest, 36),
        ] {
            if value.is_empty() || value.chars().count() > limit {
                return Err(LogError::Dataset {
                    name: dataset.name.clone(),
                    field,
                    limit,
                });
            }
        }
        self.event(&Event::Dataset(dataset))
    }

    /// Makes an artifact with a function that writes a file.
    #[cfg(feature = "torch")]
    pub(crate) fn log_file(
        &self,
        dest: &str,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), LogError> {
        self.write_file(dest, write)?;
        self.record_artifact(dest)
    }

    /// The same without its record, for a part of a folder.
    #[cfg(feature = "torch")]
    pub(crate) fn write_file(
        &self,
        dest: &str,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), LogError> {
        self.0.artifacts.place(dest, write)
    }

    /// Records an artifact that is whole.
    #[cfg(feature = "torch")]
    pub(crate) fn record_artifact(&self, dest: &str) -> Result<(), LogError> {
        self.artifact(dest.to_owned())
    }

    fn log_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        self.0.artifacts.write(name, bytes)?;
        self.artifact(name.to_owned())
    }

    fn artifact(&self, path: String) -> Result<(), LogError> {
        self.event(&Event::Artifact { path })
    }

    fn event(&self, event: &Event) -> Result<(), LogError> {
        Ok(self.0.host.log_event(event)?)
    }

    fn send(&self, metrics: &[RawMetric], step: impl TryInto<i64>) -> Result<(), LogError> {
        let Some(first) = metrics.first() else {
            return Ok(());
        };
        let Ok(step) = step.try_into() else {
            // SAFETY: the keys are borrowed by the caller of this function.
            let key = unsafe { first.key.as_slice() };
            return Err(LogError::Step(String::from_utf8_lossy(key).into_owned()));
        };
        self.0.resume.tell_start(&self.0.host)?;
        Ok(self.0.host.log_metrics(metrics, step)?)
    }
}

fn to_value(name: &str, value: &impl Serialize) -> Result<Value, LogError> {
    serde_json::to_value(value).map_err(|source| LogError::Json {
        name: name.to_owned(),
        source,
    })
}
