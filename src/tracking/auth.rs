//! Who explr is to an MLflow server: the usual `MLFLOW_*` variables.

use super::TrackingError;
use reqwest::{Certificate, ClientBuilder, Identity, RequestBuilder};
use std::fmt;
use std::path::{Path, PathBuf};

/// What is sent with each request. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// User and password.
    Basic(String, String),
    /// A bearer token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(..) => "Basic(***)",
            Self::Token(_) => "Token(***)",
        })
    }
}

impl Credentials {
    /// The user and password of the address, else of the variables, else of
    /// `~/.mlflow/credentials`; a token only where there is neither, as in
    /// MLflow's own client.
    pub(super) fn find(
        user_info: Option<(String, String)>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let both = |user: Option<String>, password: Option<String>| Some((user?, password?));
        let pair = user_info
            .or_else(|| {
                both(
                    env("MLFLOW_TRACKING_USERNAME"),
                    env("MLFLOW_TRACKING_PASSWORD"),
                )
            })
            .or_else(|| {
                let file = Path::new(&env("HOME")?).join(".mlflow/credentials");
                let text = std::fs::read_to_string(file).ok()?;
                both(
                    ini_value(&text, "mlflow_tracking_username"),
                    ini_value(&text, "mlflow_tracking_password"),
                )
            });
        match (pair, env("MLFLOW_TRACKING_TOKEN")) {
            (Some((user, password)), _) => Self::Basic(user, password),
            (None, Some(token)) => Self::Token(token),
            (None, None) => Self::None,
        }
    }

    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic(user, password) => request.basic_auth(user, Some(password)),
            Self::Token(token) => request.bearer_auth(token),
        }
    }
}

/// The value of a key in the `[mlflow]` section of an ini file.
fn ini_value(text: &str, wanted: &str) -> Option<String> {
    let mut in_section = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_section = line == "[mlflow]";
        } else if in_section
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == wanted
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

/// How the server's certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    accept_any: bool,
    server_certificate: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
}

impl Tls {
    pub(super) fn find(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let path = |name| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self {
            accept_any: env("MLFLOW_TRACKING_INSECURE_TLS")
                .is_some_and(|value| matches!(value.to_lowercase().as_str(), "true" | "1")),
            server_certificate: path(SERVER_CERTIFICATE),
            client_certificate: path(CLIENT_CERTIFICATE),
        }
    }

    pub(super) fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, TrackingError> {
        if self.accept_any {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(path) = &self.server_certificate {
            let pem = read(SERVER_CERTIFICATE, path)?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(SERVER_CERTIFICATE, path, &error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(path) = &self.client_certificate {
            let pem = read(CLIENT_CERTIFICATE, path)?;
            let identity = Identity::from_pem(&pem)
                .map_err(|error| unusable(CLIENT_CERTIFICATE, path, &error))?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

const SERVER_CERTIFICATE: &str = "MLFLOW_TRACKING_SERVER_CERT_PATH";
const CLIENT_CERTIFICATE: &str = "MLFLOW_TRACKING_CLIENT_CERT_PATH";

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, TrackingError> {
    std::fs::read(path).map_err(|error| unusable(variable, path, &error))
}

fn unusable(variable: &'static str, path: &Path, reason: &dyn fmt::Display) -> TrackingError {
    TrackingError::Certificate {
        variable,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, ini_value};

    fn from(variables: &[(&str, &str)]) -> Credentials {
        Credentials::find(None, &|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn user_and_password_win_over_a_token() {
        let found = from(&[
            ("MLFLOW_TRACKING_USERNAME", "ada"),
            ("MLFLOW_TRACKING_PASSWORD", "secret"),
            ("MLFLOW_TRACKING_TOKEN", "token"),
        ]);
        assert_eq!(found, Credentials::Basic("ada".into(), "secret".into()));
        assert_eq!(
            from(&[("MLFLOW_TRACKING_TOKEN", "token")]),
            Credentials::Token("token".into())
        );
        assert_eq!(from(&[]), Credentials::None);
    }

    #[test]
    fn credentials_are_never_printed() {
        let basic = Credentials::Basic("ada".into(), "secret".into());
        let token = Credentials::Token("secret".into());
        assert!(!format!("{basic:?} {token:?}").contains("secret"));
    }

    #[test]
    fn the_credentials_file_is_read_by_section() {
        let text =
            "[other]\nmlflow_tracking_username = eve\n[mlflow]\nmlflow_tracking_username = ada\n";
        assert_eq!(
            ini_value(text, "mlflow_tracking_username").as_deref(),
            Some("ada")
        );
        assert_eq!(ini_value(text, "mlflow_tracking_password"), None);
    }
}
