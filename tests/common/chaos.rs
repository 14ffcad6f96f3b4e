//! Random kills: what the soak tests share.

use super::{Project, stderr};
use explr::store::Store;
use explr::tracking::{Running, ui};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The server that explr started for a project.
pub fn server(project: &Project) -> Option<Running> {
    let store = Store::existing(&project.path().join(".explr")).ok()?;
    let config = explr::config::Mlflow::default();
    ui::find(&config, project.path(), &store).ok()?
}

/// Kills it, with its processes.
pub fn kill_server(project: &Project) {
    if let Some(process) = server(project).and_then(|server| server.process) {
        let group = Pid::from_raw(-i32::try_from(process.pid).unwrap());
        let _ = kill(group, Signal::SIGKILL);
    }
}

/// The server that explr started ends with the test.
pub struct Server<'a>(pub &'a Project);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let stopped = self.0.explr().args(["mlflow-ui", "--stop"]).output();
        if let Ok(output) = stopped {
            println!("{}", stderr(&output));
        }
    }
}

/// A number from the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A linear congruential generator (Knuth's MMIX constants): enough to choose
/// victims, and repeatable.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}
