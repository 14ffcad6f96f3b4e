use super::TrackingError;
use super::auth::{Credentials, Tls};
use super::client::Options;
use super::server::OwnServer;
use crate::config::{Mlflow, interpolate};
use crate::store::Store;
use reqwest::Url;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where runs are shipped to, with all decisions made: config, environment and
/// defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) target: Target,
    pub(super) options: Options,
    /// The address as the config gave it, to tell which runs belong to it.
    configured: Option<String>,
}

/// The server to ship to.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// One that somebody else looks after; an address without credentials.
    Remote(String),
    /// The store's own.
    Own(Arc<OwnServer>),
}

/// What config and environment ask for.
enum Named {
    /// The journal alone.
    Journal,
    /// No server in particular.
    None,
    Remote(Settings),
}

/// What a tracking address means.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// The journal alone.
    Journal,
    Http {
        base: String,
        user_info: Option<(String, String)>,
    },
}

impl Settings {
    /// What the config, the `MLFLOW_*` variables and the defaults add up to.
    /// None where runs stay in the journal: MLflow is off, or its address is a
    /// folder.
    pub fn resolve(
        config: &Mlflow,
        base_dir: &Path,
        store: &Store,
    ) -> Result<Option<Self>, TrackingError> {
        Self::resolve_with(config, base_dir, store, &variable)
    }

    /// The server that somebody else looks after, if config or environment
    /// name one.
    pub fn named(config: &Mlflow) -> Result<Option<Self>, TrackingError> {
        Ok(match Self::named_with(config, &variable)? {
            Named::Remote(settings) => Some(settings),
            Named::Journal | Named::None => None,
        })
    }

    fn resolve_with(
        config: &Mlflow,
        base_dir: &Path,
        store: &Store,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TrackingError> {
        Ok(match Self::named_with(config, env)? {
            Named::Journal => None,
            Named::Remote(settings) => Some(settings),
            Named::None => Some(Self {
                target: Target::Own(Arc::new(own(config, base_dir, store))),
                // Credentials are for others' servers.
                options: Options::default(),
                configured: None,
            }),
        })
    }

    fn named_with(
        config: &Mlflow,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Named, TrackingError> {
        if !config.enabled {
            return Ok(Named::Journal);
        }
        let uri = match &config.tracking_uri {
            Some(uri) => Some(interpolate::text(uri)?),
            None => env("MLFLOW_TRACKING_URI"),
        };
        let (base, user_info) = match uri.as_deref().map(address).transpose()? {
            None => return Ok(Named::None),
            Some(Address::Journal) => return Ok(Named::Journal),
            Some(Address::Http { base, user_info }) => (base, user_info),
        };
        Ok(Named::Remote(Self {
            target: Target::Remote(base),
            options: Options {
                credentials: Credentials::find(user_info, env),
                tls: Tls::find(env),
                timeout: env("MLFLOW_HTTP_REQUEST_TIMEOUT")
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
                workspace: env("MLFLOW_WORKSPACE"),
            },
            configured: config.tracking_uri.clone(),
        }))
    }

    /// Where runs are shipped to, for people: an address, or the store's own
    /// server.
    pub fn describe(&self) -> String {
        match &self.target {
            Target::Remote(base) => base.clone(),
            Target::Own(_) => "the store's own MLflow server".to_owned(),
        }
    }

    /// The address of the server, if somebody else looks after it.
    pub fn remote(&self) -> Option<&str> {
        match &self.target {
            Target::Remote(base) => Some(base),
            Target::Own(_) => None,
        }
    }

    /// What a cursor belongs to. The store's own server may change its port,
    /// and a new database is a new server.
    pub fn identity(&self) -> Result<String, TrackingError> {
        match &self.target {
            Target::Remote(base) => Ok(base.clone()),
            Target::Own(server) => Ok(format!("explr:{}", server.identity()?)),
        }
    }

    /// Whether a run with this config was meant for the same server.
    pub(super) fn fits(&self, config: &Mlflow) -> bool {
        // What is stored of an address has its credentials masked.
        let plain = |uri: &Option<String>| uri.as_deref().map(without_credentials);
        config.enabled && plain(&config.tracking_uri) == plain(&self.configured)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The store's own server, as the config wants it.
pub(super) fn own(config: &Mlflow, base_dir: &Path, store: &Store) -> OwnServer {
    let artifacts = config
        .artifact_root
        .as_ref()
        .map(|root| base_dir.join(root));
    OwnServer::new(
        store.mlflow_dir(),
        artifacts,
        config.port,
        config.auto_start,
        near(base_dir, store),
    )
}

/// Where a virtual environment is looked for, nearest first.
fn near(base_dir: &Path, store: &Store) -> Vec<PathBuf> {
    let base = std::path::absolute(base_dir).unwrap_or_else(|_| base_dir.to_owned());
    let mut near = vec![base, store.root().to_owned()];
    near.extend(std::env::current_dir());
    near.dedup();
    near
}

fn address(uri: &str) -> Result<Address, TrackingError> {
    let bad = |reason: &str| TrackingError::BadUri {
        uri: without_credentials(uri),
        reason: reason.to_owned(),
    };
    let scheme = match uri.split_once(':') {
        None if uri == "databricks" => {
            return Err(TrackingError::NotHttp {
                uri: uri.to_owned(),
            });
        }
        // `./mlruns` and `C:\mlruns` are folders to MLflow.
        None => return Ok(Address::Journal),
        Some((drive, _)) if drive.len() == 1 => return Ok(Address::Journal),
        Some((scheme, _)) => scheme.to_lowercase(),
    };
    match scheme.as_str() {
        "file" => Ok(Address::Journal),
        "http" | "https" => {
            let mut url = Url::parse(uri).map_err(|error| bad(&error.to_string()))?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(bad("it must end before `?` and `#`"));
            }
            let user_info = user_info(&url);
            let _ = url.set_username("");
            let _ = url.set_password(None);
            Ok(Address::Http {
                base: url.as_str().trim_end_matches('/').to_owned(),
                user_info,
            })
        }
        _ if uri.contains("://") || scheme == "databricks" => Err(TrackingError::NotHttp {
            uri: without_credentials(uri),
        }),
        _ => Err(bad("it has to begin with http:// or https://")),
    }
}

fn user_info(url: &Url) -> Option<(String, String)> {
    if url.username().is_empty() {
        return None;
    }
    Some((
        percent_decode(url.username()),
        percent_decode(url.password().unwrap_or_default()),
    ))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let decoded = (*first == b'%')
            .then(|| others.get(..2))
            .flatten()
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            &others[2..]
        } else {
            others
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address as it may be printed.
pub(super) fn without_credentials(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Settings, Target, address, without_credentials};
    use crate::config::Mlflow;
    use crate::store::Store;
    use crate::tracking::auth::Credentials;

    fn resolve(config: &Mlflow, variables: &[(&str, &str)]) -> Option<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Settings::resolve_with(config, folder.path(), &store, &|name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
        .unwrap()
    }

    fn with_uri(uri: &str) -> Mlflow {
        Mlflow {
            tracking_uri: Some(uri.into()),
            ..Mlflow::default()
        }
    }

    fn base(settings: Option<Settings>) -> String {
        match settings.unwrap().target {
            Target::Remote(base) => base,
            Target::Own(_) => "own".to_owned(),
        }
    }

    #[test]
    fn the_config_wins_over_the_environment() {
        let env = [("MLFLOW_TRACKING_URI", "http://env:1")];
        assert_eq!(
            base(resolve(&with_uri("http://file:1/"), &env)),
            "http://file:1"
        );
        assert_eq!(base(resolve(&Mlflow::default(), &env)), "http://env:1");
        assert_eq!(base(resolve(&Mlflow::default(), &[])), "own");
    }

    #[test]
    fn off_and_folders_mean_the_journal_alone() {
        let off = Mlflow {
            enabled: false,
            ..Mlflow::default()
        };
        assert!(resolve(&off, &[]).is_none());
        for uri in ["file:///tmp/mlruns", "./mlruns", "mlruns"] {
            assert!(resolve(&with_uri(uri), &[]).is_none(), "{uri}");
        }
    }

    #[test]
    fn user_and_password_leave_the_address() {
        let settings = resolve(&with_uri("https://ada:p%40ss@example.com/mlflow"), &[]).unwrap();
        assert_eq!(
            settings.options.credentials,
            Credentials::Basic("ada".into(), "p@ss".into())
        );
        assert!(
            !format!("{settings:?}")
                .replace("p%40ss", "")
                .contains("p@ss")
        );
        assert_eq!(base(Some(settings)), "https://example.com/mlflow");
        assert_eq!(
            without_credentials("postgresql://ada:pw@host/db"),
            "postgresql://host/db"
        );
    }

    #[test]
    fn what_only_python_understands_is_refused_with_a_remedy() {
        for uri in [
            "sqlite:///mlflow.db",
            "postgresql://u:secret@h/d",
            "databricks",
        ] {
            let text = address(uri).unwrap_err().to_string();
            assert!(text.contains("mlflow server --backend-store-uri"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        let text = address("localhost:5000").unwrap_err().to_string();
        assert!(text.contains("http://"), "{text}");
        assert_eq!(address("file:/tmp/x").unwrap(), Address::Journal);
    }
}
