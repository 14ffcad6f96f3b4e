use crate::Exit;
use std::path::PathBuf;

/// Why tracking can't be set up or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// The address is for MLflow's Python library, not a server.
    #[error(
        "`{uri}` is not the address of an MLflow server: explr speaks HTTP only. Start one with \
         `mlflow server --backend-store-uri {uri}` and give its http:// address, or leave \
         `tracking_uri` out so that explr starts one"
    )]
    NotHttp {
        /// The address, without user and password.
        uri: String,
    },
    /// The address can't be read.
    #[error("`{uri}` is not a valid address of an MLflow server: {reason}")]
    BadUri {
        /// The address, without user and password.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `${env:NAME}` in the address can't be resolved.
    #[error("mlflow.tracking_uri: {0}")]
    Interpolate(#[from] crate::config::interpolate::InterpolateError),
    /// A certificate named by the environment can't be used.
    #[error("{variable}: `{}` can't be used: {reason}", path.display())]
    Certificate {
        /// The environment variable.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client can't be built.
    #[error("the HTTP client can't be set up: {0}")]
    Client(String),
    /// No Python with MLflow.
    #[error(
        "no MLflow found to start a server with. Looked for {}. Install it with \
         `python3 -m venv .venv && .venv/bin/pip install mlflow`, or give the address of a \
         server in `mlflow.tracking_uri`; `mlflow: off` turns tracking off",
        looked_for.join(", ")
    )]
    NoMlflow {
        /// The places that were looked at.
        looked_for: Vec<String>,
    },
    /// No server runs, and none may be started.
    #[error(
        "no MLflow server runs for this store and `mlflow.auto_start` is off. `explr mlflow-ui` \
         starts one"
    )]
    NotStarted,
    /// The server ended before it answered.
    #[error("the MLflow server ended at its start; the end of {}:\n{tail}", log.display())]
    Died {
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server's database is of another version of MLflow.
    #[error(
        "{} was written by another version of MLflow than the one installed, and could not be \
         upgraded: {reason}",
        database.display()
    )]
    Schema {
        /// The database.
        database: PathBuf,
        /// What the upgrade said.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("the MLflow server did not answer within {seconds} s; its log is {}", log.display())]
    Slow {
        /// How long explr waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A server that explr did not start can't be stopped by it.
    #[error("the server at {url} was not started by explr, which therefore leaves it alone")]
    NotOurs {
        /// Its address.
        url: String,
    },
    /// Another process ships this run.
    #[error("run {run} is being shipped by another explr process; it needs no `explr sync` now")]
    Busy {
        /// The run.
        run: String,
    },
    /// The server can't be reached.
    #[error("MLflow can't be reached: {0}")]
    Unreachable(String),
    /// The server won't have the run or its experiment.
    #[error("MLflow refuses the run: {0}")]
    Refused(String),
    /// A run was made without a server to bring it to.
    #[error(
        "run {run} was made with MLflow off, or a folder as its address; --tracking-uri names a server"
    )]
    Off {
        /// The run.
        run: String,
    },
    /// A run has no artifact that is a model.
    #[error(
        "run {run} has logged no model{}",
        among("its artifacts are", artifacts, "it has no artifacts")
    )]
    NoModelLogged {
        /// The run.
        run: String,
        /// Its artifacts.
        artifacts: Vec<String>,
    },
    /// A run has several artifacts that are models.
    #[error(
        "run {run} has logged several models: say which with --artifact{}",
        among("they are", models, "")
    )]
    SeveralModels {
        /// The run.
        run: String,
        /// Its models.
        models: Vec<String>,
    },
    /// An artifact is no model, or is not there.
    #[error(
        "run {run} has no model `{name}`{}",
        among("its models are", models, "")
    )]
    NotAModel {
        /// The run.
        run: String,
        /// What was asked for.
        name: String,
        /// Its models.
        models: Vec<String>,
    },
    /// A run could not be brought whole.
    #[error("run {run} could not be brought to MLflow: {reason}")]
    Unfinished {
        /// The run.
        run: String,
        /// What was in the way.
        reason: String,
    },
    /// The registry won't have it.
    #[error("MLflow's registry refuses it: {0}")]
    RefusedModel(String),
    /// The registry has no such name.
    #[error(
        "no model `{name}` is registered{}",
        among("it has", known, "no model yet")
    )]
    NoModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A model has no such version.
    #[error(
        "model `{model}` has no {wanted}{}{}",
        newest.map(|newest| format!("; the newest is version {newest}")).unwrap_or_default(),
        among("its aliases are", aliases, "it has no alias")
    )]
    NoModelVersion {
        /// The model.
        model: String,
        /// What was asked for.
        wanted: String,
        /// The version made last.
        newest: Option<u64>,
        /// The aliases that there are.
        aliases: Vec<String>,
    },
    /// A file of the store can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The store has a problem.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

impl TrackingError {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotHttp { .. }
            | Self::BadUri { .. }
            | Self::Interpolate(_)
            | Self::Off { .. } => Exit::Config,
            Self::NoModelLogged { .. } | Self::SeveralModels { .. } | Self::NotAModel { .. } => {
                Exit::Usage
            }
            Self::NoModel { .. } | Self::NoModelVersion { .. } => Exit::Usage,
            Self::Busy { .. } => Exit::Locked,
            Self::Io { .. } => Exit::Store,
            Self::Store(error) => error.exit(),
            Self::Certificate { .. }
            | Self::Client(_)
            | Self::NoMlflow { .. }
            | Self::NotStarted
            | Self::Died { .. }
            | Self::Schema { .. }
            | Self::Slow { .. }
            | Self::NotOurs { .. }
            | Self::Unreachable(_)
            | Self::Refused(_)
            | Self::Unfinished { .. }
            | Self::RefusedModel(_) => Exit::Tracking,
        }
    }

    /// Whether waiting for the server is of no use.
    pub(super) fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable(_) | Self::Slow { .. } | Self::Died { .. } | Self::NotStarted
        )
    }

    /// Ties an I/O error to its file.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// What there is instead, the first few of it.
fn among(what: &str, known: &[String], nothing: &str) -> String {
    const SHOWN: usize = 10;
    if known.is_empty() {
        return format!("; {nothing}");
    }
    let mut list: Vec<_> = known
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if known.len() > SHOWN {
        list.push(format!("{} more", known.len() - SHOWN));
    }
    format!("; {what} {}", list.join(", "))
}
