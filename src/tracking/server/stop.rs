use super::OwnServer;
use super::state::State;
use crate::tracking::TrackingError;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

impl OwnServer {
    /// Stops the server, if explr started it. Returns the address at which it
    /// was; none where none ran.
    pub(in crate::tracking) async fn stop(&self) -> Result<Option<String>, TrackingError> {
        if !self.dir.is_dir() {
            return Ok(None);
        }
        let lock = self.open_lock()?;
        let patience = Instant::now() + GRACE;
        // Not while one starts; but a starter that hangs is no reason to wait.
        while lock.try_lock().is_err() && Instant::now() < patience {
            tokio::time::sleep(POLL).await;
        }
        let Some(state) = State::read(&self.dir).filter(State::is_alive) else {
            return match self.find().await? {
                Some(running) => Err(TrackingError::NotOurs { url: running.url }),
                None => Ok(None),
            };
        };
        self.stop_process(&state).await;
        State::remove(&self.dir);
        Ok(Some(state.url()))
    }

    pub(super) async fn stop_process(&self, state: &State) {
        for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            send(state.pid, signal);
            let until = Instant::now() + patience;
            while Instant::now() < until {
                self.reap();
                if !state.is_alive() {
                    // What may be left of its group.
                    send_to_group(state.pid, Signal::SIGKILL);
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

fn send(pid: u32, signal: Signal) {
    if !send_to_group(pid, signal)
        && let Ok(pid) = i32::try_from(pid)
    {
        // In its first moments it has no group of its own.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Never with 0 or 1, which mean this process's group and every process.
fn send_to_group(pid: u32, signal: Signal) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 1 && killpg(Pid::from_raw(pid), signal).is_ok())
}
