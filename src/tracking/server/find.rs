use super::log::Log;
use super::state::State;
use super::{OwnServer, PORT, Process, Running, identity};
use crate::tracking::TrackingError;
use crate::tracking::client::{CallError, Client, Options};
use std::sync::PoisonError;
use std::time::Duration;

/// Longest time for the question who a server is.
const ASK: Duration = Duration::from_secs(3);

impl OwnServer {
    /// The running server of this store: the one that explr started, or one
    /// that someone else started on the same database.
    pub(in crate::tracking) async fn find(&self) -> Result<Option<Running>, TrackingError> {
        self.reap();
        let identity = self.identity()?;
        let state = State::read(&self.dir).filter(State::is_alive);
        if let Some(state) = &state {
            Log::new(&self.dir).cap();
            if let Some(version) = ask(&state.url(), &identity).await? {
                return Ok(Some(running(state, version)));
            }
        }
        let url = format!("http://127.0.0.1:{}", self.port.unwrap_or(PORT));
        if state.is_some_and(|state| state.url() == url) || !self.database().exists() {
            return Ok(None);
        }
        Ok(ask(&url, &identity).await?.map(|version| Running {
            url,
            version,
            process: None,
        }))
    }

    /// Takes note of the end of the server that this process started: until
    /// then it is a zombie.
    pub(super) fn reap(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(started) = child.as_mut()
            && !matches!(started.try_wait(), Ok(None))
        {
            *child = None;
        }
    }
}

pub(super) fn running(state: &State, version: String) -> Running {
    Running {
        url: state.url(),
        version,
        process: Some(Process {
            pid: state.pid,
            started_ms: state.started_ms,
        }),
    }
}

/// The version of the server at `url`, if it is the one with this identity.
pub(super) async fn ask(url: &str, identity: &str) -> Result<Option<String>, TrackingError> {
    let options = Options {
        timeout: Some(ASK),
        ..Options::default()
    };
    let client = Client::new(url, &options)?;
    let check = async {
        // A call that asks the database: `/health` answers without it.
        let (header, experiment) = client.experiment_and_header("0", identity::NAME).await?;
        let ours =
            header.as_deref() == Some(identity) || experiment.tag(identity::NAME) == Some(identity);
        Ok::<_, CallError>(if ours {
            Some(client.version().await?)
        } else {
            None
        })
    };
    // No answer, another program's answer: not the one.
    Ok(check.await.unwrap_or_default())
}
