use super::RunId;
use explr_protocol::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a run is, written once before it begins: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::FORMAT`] of the explr that wrote it.
    pub format: u32,
    /// The run.
    pub run_id: RunId,
    /// When it was created, in Unix milliseconds.
    pub created_ms: u64,
    /// Name of the experiment.
    pub experiment: String,
    /// What the experiment is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags of the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its place in a study, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyRef>,
    /// Name of the train function; the words of a command.
    pub function: String,
    /// Where the function comes from, as given: a plugin, a crate folder, the
    /// program itself, or [`Manifest::COMMAND`].
    pub code: String,
    /// Hyperparameters, nested ones included.
    pub hyperparameters: Map<String, Value>,
    /// Seed of every random generator.
    pub seed: u64,
    /// Where it trains, `auto` resolved.
    pub device: Device,
    /// The resolved config: `${env:NAME}` as written, secrets masked.
    pub config: Value,
    /// The configuration file, from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<PathBuf>,
    /// Equal for runs of the same function, code, hyperparameters and seed:
    /// finds what a rerun continues. See [`Manifest::fingerprint_of`].
    pub fingerprint: String,
    /// The command line.
    pub command: Vec<String>,
    /// The folder it was given in.
    pub cwd: PathBuf,
    /// The state of the code, when the config lies in a git work tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitInfo>,
    /// The machine.
    pub host: HostInfo,
    /// Versions of what took part, such as `explr` and `torch`.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
}

/// A run's place in a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRef {
    /// Name of the study.
    pub study: String,
    /// What the run is in it.
    #[serde(flatten)]
    pub role: StudyRole,
}

/// What a run is in a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum StudyRole {
    /// The study as a whole: what its trials have in common, and its outcome.
    Study,
    /// One trial.
    Trial {
        /// Its number in the study.
        number: u64,
        /// The run of the study.
        parent: RunId,
    },
}

/// Where a git work tree stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitInfo {
    /// Hash of the commit.
    pub commit: String,
    /// Name of the branch; none for a detached head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// There are changes that no commit holds.
    pub dirty: bool,
    /// Address of `origin`, without user info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Its name.
    pub name: String,
    /// Who ran it.
    pub user: String,
    /// Its system.
    pub os: String,
    /// Number of its cores.
    pub cpus: u32,
}

impl Manifest {
    /// Version of the file's format.
    pub const FORMAT: u32 = 1;

    /// The [`code`](Self::code) of an experiment that is a command.
    pub const COMMAND: &str = "command";

    /// The run of the study that this run is a trial of.
    pub fn parent(&self) -> Option<&RunId> {
        match &self.study.as_ref()?.role {
            StudyRole::Study => None,
            StudyRole::Trial { parent, .. } => Some(parent),
        }
    }

    /// The fingerprint of what decides a run's outcome.
    pub fn fingerprint_of(
        function: &str,
        code: &str,
        hyperparameters: &Map<String, Value>,
        seed: u64,
    ) -> String {
        let mut text = serde_json::json!([function, code, seed]).to_string();
        canonical(&Value::Object(hyperparameters.clone()), &mut text);
        format!("{:x}", Sha256::digest(text))
    }
}

/// JSON with sorted keys, whatever order the map keeps.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, RunId, StudyRef, StudyRole};
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_fingerprint_depends_on_values_and_not_on_their_order() {
        let of = |value, seed| Manifest::fingerprint_of("train", "plugin.so", &map(value), seed);
        let one = of(json!({"lr": 0.1, "net": {"a": 1, "b": [1, 2]}}), 1);
        assert_eq!(one, of(json!({"net": {"b": [1, 2], "a": 1}, "lr": 0.1}), 1));
        assert_ne!(one, of(json!({"lr": 0.1, "net": {"a": 1, "b": [2, 1]}}), 1));
        assert_ne!(one, of(json!({"lr": 0.1, "net": {"a": 1, "b": [1, 2]}}), 2));
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn a_place_in_a_study_is_one_flat_object() {
        let parent: RunId = "01932f6e-8a4b-7c1d-9e2f-3a4b5c6d7e8f".parse().unwrap();
        let (study, number) = ("digits".to_owned(), 17);
        let places = [
            (
                StudyRole::Study,
                json!({"study": "digits", "role": "study"}),
            ),
            (
                StudyRole::Trial {
                    number,
                    parent: parent.clone(),
                },
                json!({"study": "digits", "role": "trial", "number": 17, "parent": parent}),
            ),
        ];
        for (role, expected) in places {
            let study = study.clone();
            let place = StudyRef { study, role };
            assert_eq!(json!(place), expected);
            assert_eq!(serde_json::from_value::<StudyRef>(expected).unwrap(), place);
        }
    }
}
