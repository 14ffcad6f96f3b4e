use crate::tracking::api::{ARTIFACT, RUN_UUID};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A name in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// The version made last.
    pub newest: Option<u64>,
    /// Versions by alias.
    pub aliases: BTreeMap<String, u64>,
    /// When it was changed last, in Unix milliseconds.
    pub updated_ms: u64,
}

/// A version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// Its number, from 1.
    pub number: u64,
    /// What it is called beside its number.
    pub aliases: Vec<String>,
    /// The run of a store that it comes from, if explr registered it.
    pub run: Option<String>,
    /// The artifact of that run that it is.
    pub artifact: Option<String>,
    /// The run at the server.
    pub mlflow_run: Option<String>,
    /// Where MLflow takes the files from.
    pub source: String,
    /// How its making went, in MLflow's words; `READY` when it can be used.
    pub status: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
}

impl RegisteredModel {
    /// What a version is called beside its number.
    pub(super) fn aliases_of(&self, number: u64) -> Vec<String> {
        let of_it = self
            .aliases
            .iter()
            .filter(|(_, version)| **version == number);
        of_it.map(|(alias, _)| alias.clone()).collect()
    }
}

impl ModelVersion {
    /// The address to load it by, in any of MLflow's clients.
    pub fn uri(&self) -> String {
        match self.aliases.first() {
            Some(alias) => format!("models:/{}@{alias}", self.name),
            None => format!("models:/{}/{}", self.name, self.number),
        }
    }
}

/// A model as the server describes it.
#[derive(Deserialize)]
pub(super) struct SentModel {
    name: String,
    #[serde(default)]
    last_updated_timestamp: u64,
    /// One for each stage that has one.
    #[serde(default)]
    latest_versions: Vec<SentVersion>,
    #[serde(default)]
    aliases: Vec<SentAlias>,
}

#[derive(Deserialize)]
struct SentAlias {
    alias: String,
    version: String,
}

/// A version as the server describes it.
#[derive(Deserialize)]
pub(super) struct SentVersion {
    name: String,
    version: String,
    #[serde(default)]
    creation_timestamp: u64,
    #[serde(default)]
    source: String,
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    tags: Vec<SentTag>,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct SentTag {
    key: String,
    #[serde(default)]
    value: String,
}

impl From<SentModel> for RegisteredModel {
    fn from(sent: SentModel) -> Self {
        let newest = sent
            .latest_versions
            .iter()
            .map(|version| number(&version.version));
        let aliases = sent.aliases.iter();
        Self {
            newest: newest.max(),
            aliases: aliases
                .map(|alias| (alias.alias.clone(), number(&alias.version)))
                .collect(),
            updated_ms: sent.last_updated_timestamp,
            name: sent.name,
        }
    }
}

impl From<SentVersion> for ModelVersion {
    fn from(sent: SentVersion) -> Self {
        let tag = |key: &str| {
            let tag = sent.tags.iter().find(|tag| tag.key == key)?;
            Some(tag.value.clone())
        };
        Self {
            number: number(&sent.version),
            run: tag(RUN_UUID),
            artifact: tag(ARTIFACT),
            mlflow_run: Some(sent.run_id).filter(|run| !run.is_empty()),
            aliases: sent.aliases,
            source: sent.source,
            status: sent.status,
            created_ms: sent.creation_timestamp,
            name: sent.name,
        }
    }
}

/// Versions are numbers, sent as text.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}
