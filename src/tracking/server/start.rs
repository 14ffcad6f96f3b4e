use super::find::{ask, running};
use super::log::{Log, last_lines};
use super::places::Places;
use super::state::{State, start_ticks};
use super::{OwnServer, PORT, Running, identity, python};
use crate::store::now_ms;
use crate::tracking::TrackingError;
use crate::tracking::client::{Client, Options};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const LAUNCHER: &str = include_str!("launch.py");
/// Longest time from the start to the first answer. It takes 4 s on an idle
/// machine, 15 s without byte code.
const START: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// Starts that end for a reason that may not come again.
const TRIES: usize = 5;

/// Why a server ended at its start, read from its log: the exit code of one
/// whose port is busy is 0.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    PortBusy,
    /// Another one made the tables at the same time.
    Race,
    /// The database is of another version of MLflow.
    Schema,
    Other,
}

fn reason(log: &str) -> Reason {
    let says = |text| log.contains(text);
    if says("ddress already in use") {
        Reason::PortBusy
    } else if says("out-of-date database schema") || says("Can't locate revision") {
        Reason::Schema
    } else if says("duplicate column name") || says("already exists") {
        Reason::Race
    } else {
        Reason::Other
    }
}

impl OwnServer {
    /// The running server of this store, started if there is none.
    pub(in crate::tracking) async fn ensure(&self) -> Result<Running, TrackingError> {
        if let Some(running) = self.find().await? {
            return Ok(running);
        }
        if !self.auto_start {
            return Err(TrackingError::NotStarted);
        }
        // Held while a server starts, released by the kernel with its holder.
        let lock = self.open_lock()?;
        let patience = Instant::now() + START;
        while lock.try_lock().is_err() {
            if Instant::now() > patience {
                return Err(self.slow());
            }
            tokio::time::sleep(POLL).await;
        }
        if let Some(running) = self.find().await? {
            return Ok(running);
        }
        // One whose starter died before it answered.
        if let Some(state) = State::read(&self.dir).filter(State::is_alive) {
            return match self.wait(&state, patience).await? {
                Some(running) => Ok(running),
                None => Err(self.slow()),
            };
        }
        self.start().await
    }

    pub(super) fn open_lock(&self) -> Result<File, TrackingError> {
        let path = self.dir.join("server.lock");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(TrackingError::io(path))
    }

    fn slow(&self) -> TrackingError {
        TrackingError::Slow {
            seconds: START.as_secs(),
            log: Log::new(&self.dir).path,
        }
    }

    async fn start(&self) -> Result<Running, TrackingError> {
        let python = python::find(&self.near)?;
        let mut log = Log::new(&self.dir);
        let mut upgraded = false;
        let mut first = self.port;
        for _ in 0..TRIES {
            let port = free_port(first.unwrap_or(PORT));
            let state = self.spawn(&python, port, &mut log)?;
            match self.wait(&state, Instant::now() + START).await? {
                Some(running) => {
                    self.mark(&running).await;
                    let artifacts = self.artifacts.clone();
                    Places { artifacts, port }.write(&self.dir)?;
                    return Ok(running);
                }
                None if state.is_alive() => {
                    self.stop_process(&state).await;
                    return Err(self.slow());
                }
                None => State::remove(&self.dir),
            }
            match reason(&log.tail()) {
                Reason::PortBusy => first = port.checked_add(1),
                Reason::Race => {}
                Reason::Schema if !upgraded => {
                    self.upgrade(&python).await?;
                    upgraded = true;
                }
                Reason::Schema | Reason::Other => break,
            }
        }
        Err(TrackingError::Died {
            tail: last_lines(&log.tail(), 8),
            log: log.path,
        })
    }

    fn spawn(&self, python: &Path, port: u16, log: &mut Log) -> Result<State, TrackingError> {
        identity::make_dir(&self.artifacts)?;
        let launcher = self.dir.join("launch.py");
        fs::write(&launcher, LAUNCHER).map_err(TrackingError::io(&launcher))?;
        let output = log.open().map_err(TrackingError::io(&log.path))?;
        let errors = output.try_clone().map_err(TrackingError::io(&log.path))?;
        let uvicorn = format!(
            "--timeout-keep-alive 75 --log-level warning --no-access-log --header {}:{}",
            identity::NAME,
            self.identity()?
        );
        let mut command = Command::new(python);
        command
            .arg(&launcher)
            .arg(self.database())
            .args(["--host", "127.0.0.1", "--workers", "1"])
            .args(["--port", &port.to_string()])
            .arg("--backend-store-uri")
            .arg(self.database_uri())
            .arg("--artifacts-destination")
            .arg(&self.artifacts)
            .args(["--uvicorn-opts", &uvicorn])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        clean_environment(&mut command);
        let child = command.spawn().map_err(TrackingError::io(python))?;
        let state = State {
            pid: child.id(),
            start_ticks: start_ticks(child.id()).unwrap_or(0),
            port,
            started_ms: now_ms(),
            python: python.display().to_string(),
        };
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        state.write(&self.dir)?;
        Ok(state)
    }

    /// Waits for the first answer; none if the process ends or is too slow.
    async fn wait(&self, state: &State, until: Instant) -> Result<Option<Running>, TrackingError> {
        let identity = self.identity()?;
        while Instant::now() < until {
            if let Some(version) = ask(&state.url(), &identity).await? {
                return Ok(Some(running(state, version)));
            }
            self.reap();
            if !state.is_alive() {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    /// Notes in the database whose it is, so that a server that someone else
    /// starts on it is recognised.
    async fn mark(&self, running: &Running) {
        let mark = async {
            let client = Client::new(&running.url, &Options::default()).ok()?;
            let identity = self.identity().ok()?;
            client
                .set_experiment_tag("0", identity::NAME, &identity)
                .await
                .ok()
        };
        // Without it such a server would only not be recognised.
        let _ = mark.await;
    }

    fn database_uri(&self) -> OsString {
        let mut uri = OsString::from("sqlite:///");
        uri.push(self.database());
        uri
    }

    /// Brings the database to the installed version of MLflow, after a copy.
    async fn upgrade(&self, python: &Path) -> Result<(), TrackingError> {
        let copy = self
            .dir
            .join(format!("mlflow.db.before-upgrade-{}", now_ms()));
        let failed = |reason: String| TrackingError::Schema {
            database: self.database(),
            reason,
        };
        let mut back_up = Command::new(python);
        back_up
            .args(["-c", BACK_UP])
            .arg(self.database())
            .arg(&copy);
        let mut upgrade = Command::new(python);
        upgrade
            .args(["-m", "mlflow", "db", "upgrade"])
            .arg(self.database_uri());
        for mut command in [back_up, upgrade] {
            clean_environment(&mut command);
            command.current_dir(&self.dir).stdin(Stdio::null());
            let output = tokio::process::Command::from(command)
                .output()
                .await
                .map_err(TrackingError::io(python))?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                return Err(failed(last_lines(&text, 4)));
            }
        }
        Ok(())
    }
}

/// A copy that is whole even while someone writes.
const BACK_UP: &str = "import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)";

/// The user's settings of MLflow are for its clients; and byte code is worth a
/// third of the starting time.
fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let foreign = text.starts_with("MLFLOW_") && !text.starts_with("MLFLOW_SERVER_");
        if foreign || text.starts_with("_MLFLOW_") || text == "PYTHONDONTWRITEBYTECODE" {
            command.env_remove(&name);
        }
    }
    command
        .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        .env("MLFLOW_DISABLE_TELEMETRY", "true");
}

/// The first free port from `first` on.
fn free_port(first: u16) -> u16 {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    (first..first.saturating_add(100))
        .find(|port| free(*port).is_some())
        .or_else(|| Some(free(0)?.local_addr().ok()?.port()))
        .unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::{Reason, free_port, reason};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_busy_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free_port(port), port);
    }

    #[test]
    fn the_log_tells_why_a_server_ended() {
        for (log, expected) in [
            (
                "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 5000): \
                 address already in use",
                Reason::PortBusy,
            ),
            (
                "sqlite3.OperationalError: duplicate column name: step",
                Reason::Race,
            ),
            (
                "(sqlite3.OperationalError) table experiments already exists",
                Reason::Race,
            ),
            (
                "Detected out-of-date database schema (found version a, but expected b)",
                Reason::Schema,
            ),
            ("Can't locate revision identified by 'zzz'", Reason::Schema),
            (
                "ModuleNotFoundError: No module named 'flask'",
                Reason::Other,
            ),
        ] {
            assert_eq!(reason(log), expected, "{log}");
        }
    }
}
