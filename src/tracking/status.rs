/// How shipping stands, for whoever shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The server.
    pub server: ServerStatus,
    /// The page of the run, once it exists.
    pub run_url: Option<String>,
    /// Journal records that are at the server.
    pub shipped: u64,
    /// Journal records.
    pub total: u64,
    /// What should be known, each once.
    pub warnings: Vec<String>,
}

/// How the server stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerStatus {
    /// Looked for, or on its way up.
    #[default]
    Starting,
    /// It answers.
    Up {
        /// Its address.
        url: String,
    },
    /// It can't be used, for now.
    Down {
        /// Why.
        reason: String,
    },
}

/// How shipping a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Journal records that are not at the server; `explr sync` brings them.
    pub left: u64,
    /// Things that the server refused; they are in `mlflow-rejected.jsonl`.
    pub set_aside: u64,
    /// The page of the run.
    pub run_url: Option<String>,
    /// Why something is left.
    pub error: Option<String>,
}
