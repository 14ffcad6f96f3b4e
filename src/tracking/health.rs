//! Whether a server can be used, for `explr verify`.

use super::client::{CallError, Client, Options};
use super::settings::{Settings, Target};
use super::shipper::runtime;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Longest time for one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that answered through its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its address.
    pub url: String,
    /// The version of MLflow.
    pub version: String,
    /// By how many seconds its clock is ahead of this machine's, if it is
    /// another's and tells.
    pub ahead_s: Option<i64>,
}

/// Why a server can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwell {
    /// It does not take requests that call it by this name.
    #[error("it refuses the name that it is called by (its check of the Host header)")]
    Host,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Asks the server for something that only its API knows: `/health` answers
/// even to those whom the API refuses. None where the store's own server does
/// not run.
pub fn health(settings: &Settings) -> Result<Option<Health>, Unwell> {
    let other = |error: &dyn std::error::Error| Unwell::Other(error.to_string());
    let runtime = runtime().map_err(|error| other(&error))?;
    match &settings.target {
        Target::Own(server) => {
            let found = runtime.block_on(server.find());
            let running = found.map_err(|error| other(&error))?;
            Ok(running.map(|running| Health {
                url: running.url,
                version: running.version,
                ahead_s: None,
            }))
        }
        Target::Remote(url) => {
            let options = Options {
                timeout: Some(settings.options.timeout.unwrap_or(PATIENCE)),
                ..settings.options.clone()
            };
            let client = Client::new(url, &options).map_err(|error| other(&error))?;
            runtime
                .block_on(ask(&client))
                .map(Some)
                .map_err(|error| unwell(&error))
        }
    }
}

async fn ask(client: &Client) -> Result<Health, CallError> {
    let default = [("experiment_id", "0")];
    let asked = client
        .get_with_header::<Value>("experiments/get", &default, "date")
        .await;
    let date = match asked {
        Ok((date, _)) => date,
        // Someone removed the default experiment: it is the API that says so.
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error),
    };
    let time = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok());
    let ahead_s = time.map(|time| time.timestamp().as_second() - Timestamp::now().as_second());
    Ok(Health {
        url: client.base().to_owned(),
        version: client.version().await?,
        ahead_s,
    })
}

fn unwell(error: &CallError) -> Unwell {
    match error {
        CallError::Status {
            status, message, ..
        } if status.as_u16() == 403 && message.contains("Host header") => Unwell::Host,
        _ => Unwell::Other(error.to_string()),
    }
}
