//! MLflow's registry of models: names, and versions that come from runs.

mod api;
mod choose;
mod model;
mod register;

pub use model::{ModelVersion, RegisteredModel};
pub use register::Registered;

use super::client::{CallError, Client, Remedy};
use super::settings::Target;
use super::shipper::runtime;
use super::{Settings, TrackingError};

/// The registry of one server.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    /// What the cursors of its runs belong to.
    server: String,
    runtime: tokio::runtime::Runtime,
}

/// Which version of a model is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one made last.
    Newest,
    /// A certain one.
    Number(u64),
    /// The one with this alias.
    Alias(String),
}

impl Registry {
    /// The registry of the server that the settings name. The store's own
    /// server is started if need be.
    pub fn open(settings: &Settings) -> Result<Self, TrackingError> {
        let runtime = runtime()?;
        let url = match &settings.target {
            Target::Remote(base) => base.clone(),
            Target::Own(server) => runtime.block_on(server.ensure())?.url,
        };
        Ok(Self {
            client: Client::new(&url, &settings.options)?,
            server: settings.identity()?,
            runtime,
        })
    }

    /// All models, by name.
    pub fn models(&self) -> Result<Vec<RegisteredModel>, TrackingError> {
        let models = self.runtime.block_on(self.client.registered_models());
        models.map_err(self.trouble())
    }

    /// The versions of a model, the newest first.
    pub fn versions(&self, name: &str) -> Result<Vec<ModelVersion>, TrackingError> {
        self.runtime.block_on(async {
            let model = self.model(name).await?;
            let mut versions = (self.client.versions_of(name).await).map_err(self.trouble())?;
            // A list of versions leaves the aliases out.
            for version in &mut versions {
                version.aliases = model.aliases_of(version.number);
            }
            versions.sort_by_key(|version| std::cmp::Reverse(version.number));
            Ok(versions)
        })
    }

    /// A version of a model.
    pub fn version(&self, name: &str, which: &Which) -> Result<ModelVersion, TrackingError> {
        self.runtime.block_on(async {
            let model = self.model(name).await?;
            let number = match which {
                Which::Newest => model.newest,
                Which::Number(number) => Some(*number),
                Which::Alias(alias) => model.aliases.get(alias).copied(),
            };
            let found = match number {
                Some(number) => self
                    .client
                    .version_of(name, number)
                    .await
                    .map_err(self.trouble())?,
                None => None,
            };
            found.ok_or_else(|| TrackingError::NoModelVersion {
                model: name.to_owned(),
                wanted: which.to_string(),
                newest: model.newest,
                aliases: model.aliases.keys().cloned().collect(),
            })
        })
    }

    async fn model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        if let Some(model) = (self.client.registered_model(name).await).map_err(self.trouble())? {
            return Ok(model);
        }
        let known = self
            .client
            .registered_models()
            .await
            .map_err(self.trouble())?;
        Err(TrackingError::NoModel {
            name: name.to_owned(),
            known: known.into_iter().map(|model| model.name).collect(),
        })
    }

    /// What a call's failure means for a command.
    fn trouble(&self) -> impl Fn(CallError) -> TrackingError {
        |error| match error.remedy() {
            Remedy::SetAside => TrackingError::RefusedModel(error.to_string()),
            Remedy::Wait(_) | Remedy::WaitBriefly => {
                TrackingError::Unreachable(format!("{}: {error}", self.client.base()))
            }
        }
    }

    /// The page of a version.
    pub fn url(&self, version: &ModelVersion) -> String {
        let name = super::artifacts::encode(&version.name, "");
        format!(
            "{}/#/models/{name}/versions/{}",
            self.client.base(),
            version.number
        )
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest => f.write_str("version"),
            Self::Number(number) => write!(f, "version {number}"),
            Self::Alias(alias) => write!(f, "alias `{alias}`"),
        }
    }
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(alias) = text.strip_prefix('@') {
            return Ok(Self::Alias(alias.to_owned()));
        }
        let number = text.strip_prefix('v').unwrap_or(text);
        (number.parse().map(Self::Number))
            .map_err(|_| format!("`{text}` is no version: write a number, or @ and an alias"))
    }
}

#[cfg(test)]
mod tests {
    use super::Which;

    #[test]
    fn a_version_is_a_number_or_an_alias() {
        assert_eq!("3".parse(), Ok(Which::Number(3)));
        assert_eq!("v3".parse(), Ok(Which::Number(3)));
        assert_eq!("@champion".parse(), Ok(Which::Alias("champion".into())));
        let error = "champion".parse::<Which>().unwrap_err();
        assert_eq!(
            error,
            "`champion` is no version: write a number, or @ and an alias"
        );
    }
}
