use super::TrackingError;
use super::client::Client;
use super::retry;
use super::server::OwnServer;
use super::session::Session;
use super::settings::{Settings, Target};
use super::ship::{RunShip, Step, Trouble};
use std::time::{Duration, Instant};

/// Shortest pause after a server that could not be started.
const START: Duration = Duration::from_secs(10);

/// Ships runs to one server: finds it, starts it, and gets over its troubles.
#[derive(Debug)]
pub(super) struct Engine {
    settings: Settings,
    session: Option<Session>,
    /// Failed attempts in a row.
    failures: u32,
    /// Since when the server has been out of reach.
    down_since: Option<Instant>,
}

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Something was sent; there is more.
    Sent,
    /// The last of what the journal held was sent.
    CaughtUp,
    /// The journal has no more.
    Idle,
    /// To be tried again after a pause.
    Later { pause: Duration, reason: String },
    /// The run, or the server, can't be used at all.
    Broken(TrackingError),
}

impl Engine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            session: None,
            failures: 0,
            down_since: None,
        }
    }

    /// The address of the server that is in use.
    pub(super) fn base(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.client.base())
    }

    /// How long the server has been out of reach.
    pub(super) fn down_for(&self) -> Option<Duration> {
        self.down_since.map(|since| since.elapsed())
    }

    /// One step of shipping a run, in whatever state the server is.
    pub(super) async fn step(&mut self, ship: &mut RunShip) -> Outcome {
        let mut session = match self.connect().await {
            Ok(session) => session,
            Err(error) if error.is_lasting() => return Outcome::Broken(error),
            Err(error) => {
                // A start costs seconds of the training's time.
                let patience = START.saturating_mul(1 << self.failures.min(5));
                return self.later(Some(patience), error.to_string());
            }
        };
        let step = ship.step(&mut session).await;
        self.session = Some(session);
        match step {
            Ok(step) => {
                self.failures = 0;
                self.down_since = None;
                match step {
                    Step::Sent => Outcome::Sent,
                    Step::CaughtUp => Outcome::CaughtUp,
                    Step::Idle => Outcome::Idle,
                }
            }
            Err(Trouble::Broken(error)) => Outcome::Broken(error),
            Err(Trouble::Wait { asked, reason }) => {
                // It may be another process, on another port, next time.
                if matches!(self.settings.target, Target::Own(_)) {
                    self.session = None;
                }
                let outcome = self.later(asked, reason);
                if asked.is_some() {
                    // It is there: it said when to come back.
                    self.down_since = None;
                }
                outcome
            }
        }
    }

    fn later(&mut self, asked: Option<Duration>, reason: String) -> Outcome {
        self.failures += 1;
        self.down_since.get_or_insert_with(Instant::now);
        Outcome::Later {
            pause: retry::pause(self.failures, asked, retry::jitter()),
            reason,
        }
    }

    async fn connect(&mut self) -> Result<Session, TrackingError> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let url = match &self.settings.target {
            Target::Remote(base) => base.clone(),
            Target::Own(server) => ensure(server).await?.url,
        };
        Ok(Session::new(Client::new(&url, &self.settings.options)?))
    }
}

async fn ensure(server: &OwnServer) -> Result<super::Running, TrackingError> {
    server.ensure().await
}
