use crate::tracking::TrackingError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// `server.json`: the server that explr started last.
///
/// Written right after the process began, before it answers, so that whoever
/// comes next waits for it even if its starter has died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Process id; also that of its group and session.
    pub(super) pid: u32,
    /// When the kernel says that the process began. A process id alone may
    /// have become another's.
    pub(super) start_ticks: u64,
    /// Its port on 127.0.0.1.
    pub(super) port: u16,
    /// When it was started, in Unix milliseconds.
    pub(super) started_ms: u64,
    /// The interpreter.
    pub(super) python: String,
}

impl State {
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// None where there is no such file, or no sense in it.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read(dir.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), TrackingError> {
        let path = dir.join(FILE);
        let draft = dir.join(format!("{FILE}.{}", std::process::id()));
        serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&draft, text))
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(TrackingError::io(path))
    }

    pub(super) fn remove(dir: &Path) {
        let _ = fs::remove_file(dir.join(FILE));
    }

    /// Whether this very process still runs.
    pub(super) fn is_alive(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }
}

const FILE: &str = "server.json";

/// When a process began, in clock ticks since the machine did; none for one
/// that has ended, a zombie included.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Field 22 of the file; the state was field 3.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{State, start_ticks};

    fn this_process() -> State {
        State {
            pid: std::process::id(),
            start_ticks: start_ticks(std::process::id()).unwrap(),
            port: 5000,
            started_ms: 1,
            python: "python".into(),
        }
    }

    #[test]
    fn a_process_id_that_became_another_s_is_not_alive() {
        let mut state = this_process();
        assert!(state.is_alive());
        state.start_ticks -= 1;
        assert!(!state.is_alive());
    }

    #[test]
    fn an_ended_child_is_not_alive_before_it_is_reaped() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(start_ticks(pid).is_some());
        child.kill().unwrap();
        while start_ticks(pid).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn nonsense_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::read(folder.path()), None);
        let state = this_process();
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path()), Some(state));
        std::fs::write(folder.path().join("server.json"), "{\"pid\":").unwrap();
        assert_eq!(State::read(folder.path()), None);
    }
}
