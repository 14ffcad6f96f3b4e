//! The orchestrator's side of a template: the process that loads the code of
//! a study once and forks its workers.

#[cfg(test)]
mod tests;

use super::spawn::{Pipes, Process, Spawn, Worker};
use explr_protocol::Device;
use explr_protocol::control::Code;
use explr_protocol::template::{FD_VARIABLE, FromTemplate, NO_RUN, ToTemplate};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The longest message of a template, with a loader's words in it.
const PACKET: usize = 64 << 10;

/// Variables that libraries read once, as they are opened (measured with
/// libtorch 2.10): in a fork it is too late for another value.
const READ_WHEN_OPENED: [&str; 4] = [
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
];

/// Workers can't be forked; each has to be started afresh.
#[derive(Debug, thiserror::Error)]
#[error("workers can't be forked: {why}")]
pub(crate) struct NotForkable {
    pub(crate) why: String,
}

/// What a template loads.
#[derive(Debug, Clone)]
pub(crate) struct Loads {
    pub(crate) code: Code,
    pub(crate) device: Device,
}

/// A running template. When it is dropped, the template is ended, and so are
/// its workers.
#[derive(Debug)]
pub(crate) struct Template {
    socket: Arc<Socket>,
    state: Arc<Mutex<State>>,
    listener: JoinHandle<()>,
    environment: Vec<(String, String)>,
    _process: Child,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct State {
    /// By run, those whose worker is being forked.
    forks: HashMap<String, oneshot::Sender<Result<Forked, String>>>,
    /// By process id, those whose worker runs.
    exits: HashMap<i32, oneshot::Sender<ExitStatus>>,
    /// The template is gone: it answers nothing more.
    gone: bool,
}

/// A worker that was forked.
#[derive(Debug)]
struct Forked {
    pid: Pid,
    exit: oneshot::Receiver<ExitStatus>,
}

impl Template {
    /// Starts a template and waits until it has loaded the code. `spawn` says
    /// how; its log takes what is printed meanwhile.
    ///
    /// Like a worker, the template is tied to the calling thread. To be called
    /// in an event loop that lives as long as the template.
    pub(crate) async fn start(spawn: &Spawn, loads: Loads) -> Result<Self, NotForkable> {
        let broken = |error: io::Error| NotForkable {
            why: error.to_string(),
        };
        let (socket, mut process) = Socket::open(spawn).map_err(broken)?;
        let load = ToTemplate::Load {
            code: loads.code,
            device: loads.device,
        };
        socket.send(&load, &[]).await.map_err(broken)?;
        match socket.receive().await.map_err(broken)? {
            Some(FromTemplate::Ready) => {}
            Some(FromTemplate::NotForkable { why }) => return Err(NotForkable { why }),
            Some(message) => {
                return Err(NotForkable {
                    why: format!("the template said {message:?} before it was ready"),
                });
            }
            None => {
                let status = process.wait().await.map_err(broken)?;
                return Err(NotForkable {
                    why: format!(
                        "the template ended while it loaded the code ({status}); see {}",
                        spawn.log.display()
                    ),
                });
            }
        }
        let socket = Arc::new(socket);
        let state = Arc::default();
        Ok(Self {
            listener: tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&state))),
            socket,
            state,
            environment: spawn.environment.clone(),
            _process: process,
        })
    }

    /// Whether the template has ended. Another one has to be started then.
    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    /// Whether a worker with this environment can be forked.
    pub(super) fn suits(&self, environment: &[(String, String)]) -> bool {
        self.differs(environment).is_none()
    }

    /// Forks a worker, with `environment` on top of the template's own. What
    /// libraries read as they are opened must be the same in both.
    pub(super) async fn fork(
        &self,
        run_id: &str,
        environment: &[(String, String)],
    ) -> io::Result<Worker> {
        if let Some(name) = self.differs(environment) {
            return Err(io::Error::other(format!(
                "`{name}` is read when the code is loaded, so a worker can't have another than \
                 its template"
            )));
        }
        let Pipes {
            control: (ours, theirs),
            output: (read, write),
        } = Pipes::open()?;
        let (forked, answer) = oneshot::channel();
        lock(&self.state).wait_for_fork(run_id, forked)?;
        let message = ToTemplate::Fork {
            run_id: run_id.to_owned(),
            environment: environment.to_vec(),
        };
        let descriptors = [theirs.as_raw_fd(), write.as_raw_fd()];
        self.socket.send(&message, &descriptors).await?;
        drop((theirs, write));
        let Forked { pid, exit } = answer
            .await
            .map_err(|_| gone())?
            .map_err(io::Error::other)?;
        Worker::new(Process::Forked(exit), pid, ours, read)
    }

    /// The first variable of a worker that comes too late.
    fn differs<'e>(&self, environment: &'e [(String, String)]) -> Option<&'e str> {
        let own = |name: &str| {
            let mut all = self.environment.iter().rev();
            all.find(|(own, _)| own == name).map(|(_, value)| value)
        };
        environment
            .iter()
            .filter(|(name, _)| READ_WHEN_OPENED.contains(&name.as_str()))
            .find(|(name, value)| own(name) != Some(value))
            .map(|(name, _)| name.as_str())
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl State {
    fn wait_for_fork(
        &mut self,
        run_id: &str,
        forked: oneshot::Sender<Result<Forked, String>>,
    ) -> io::Result<()> {
        if self.gone {
            return Err(gone());
        }
        self.forks.insert(run_id.to_owned(), forked);
        Ok(())
    }

    fn hear(&mut self, message: FromTemplate) {
        match message {
            FromTemplate::Forked { run_id, pid } => {
                let (exited, exit) = oneshot::channel();
                self.exits.insert(pid, exited);
                let pid = Pid::from_raw(pid);
                if let Some(waiting) = self.forks.remove(&run_id) {
                    let _ = waiting.send(Ok(Forked { pid, exit }));
                }
            }
            FromTemplate::NotForked { run_id, why } => {
                if let Some(waiting) = self.forks.remove(&run_id) {
                    let _ = waiting.send(Err(why));
                }
            }
            FromTemplate::Exited { pid, status } => {
                if let Some(waiting) = self.exits.remove(&pid) {
                    let _ = waiting.send(ExitStatus::from_raw(status));
                }
            }
            FromTemplate::Ready | FromTemplate::NotForkable { .. } => {}
        }
    }
}

/// Passes on what the template says, until it is gone.
async fn listen(socket: Arc<Socket>, state: Arc<Mutex<State>>) {
    while let Ok(Some(message)) = socket.receive().await {
        lock(&state).hear(message);
    }
    // Whoever still waits learns of it by the end of their channel.
    *lock(&state) = State {
        gone: true,
        ..State::default()
    };
}

fn gone() -> io::Error {
    io::Error::other("the template process that forks workers has ended")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The orchestrator's end of the template's socket.
#[derive(Debug)]
struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    /// Starts the process that has the other end.
    fn open(spawn: &Spawn) -> io::Result<(Self, Child)> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let log = log(&spawn.log)?;
        let process = spawn
            .command(FD_VARIABLE, &theirs, NO_RUN)
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()?;
        // SAFETY: an `OwnedFd` is one descriptor for as long as it lives.
        let ours = unsafe { AsyncFd::register(ours) }?;
        Ok((Self(ours), process))
    }

    async fn send(&self, message: &ToTemplate, descriptors: &[RawFd]) -> io::Result<()> {
        let packet = serde_json::to_vec(message)?;
        let rights = [ControlMessage::ScmRights(descriptors)];
        let rights = if descriptors.is_empty() {
            &[][..]
        } else {
            &rights[..]
        };
        let interest = tokio::io::Interest::WRITABLE;
        self.0
            .async_io(interest, |socket| {
                let parts = [IoSlice::new(&packet)];
                let flags = MsgFlags::MSG_NOSIGNAL;
                sendmsg::<()>(socket.as_raw_fd(), &parts, rights, flags, None)?;
                Ok(())
            })
            .await
    }

    /// The next message; none when the template is gone.
    async fn receive(&self) -> io::Result<Option<FromTemplate>> {
        let mut packet = vec![0; PACKET];
        let length = self
            .0
            .async_io(tokio::io::Interest::READABLE, |socket| {
                match recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                    // It died with something of ours unread.
                    Err(Errno::ECONNRESET) => Ok(0),
                    received => Ok(received?),
                }
            })
            .await?;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&packet[..length])?))
    }
}

fn log(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}
