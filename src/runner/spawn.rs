//! Starts worker processes, tied to this one.

use super::classify::Exited;
use super::template::Template;
use crate::worker::PARENT_DEATH_SIGNAL;
use explr_protocol::control::{FD_VARIABLE, RUN_VARIABLE};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, getpid, getppid, pipe2};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// How to start a worker.
#[derive(Debug, Clone)]
pub(crate) struct Spawn {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    pub(crate) run_id: String,
    /// Where its output is kept.
    pub(crate) log: PathBuf,
    /// The process to fork it from; none for a program that is started afresh.
    pub(crate) template: Option<Arc<Template>>,
}

/// A worker process and the ends of its pipes.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) pid: Pid,
    pub(crate) control: UnixStream,
    /// Standard output and standard error, in the order they were written.
    pub(crate) output: pipe::Receiver,
}

/// How to learn of a worker's end.
pub(crate) enum Process {
    /// A child of this process.
    Fresh(Child),
    /// A child of a template, which tells its status; it tells nothing when it
    /// is gone itself.
    Forked(oneshot::Receiver<ExitStatus>),
}

impl Process {
    /// Waits for the end. May be called again after it was given up.
    pub(crate) async fn wait(&mut self) -> io::Result<Exited> {
        Ok(match self {
            Self::Fresh(child) => child.wait().await?.into(),
            Self::Forked(status) => status.await.map_or(Exited::Lost, Exited::from),
        })
    }
}

/// The orchestrator's and the worker's ends of what connects them.
pub(super) struct Pipes {
    pub(super) control: (OwnedFd, OwnedFd),
    pub(super) output: (OwnedFd, OwnedFd),
}

impl Pipes {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            control: socketpair(
                AddressFamily::Unix,
                SockType::Stream,
                None,
                SockFlag::SOCK_CLOEXEC,
            )?,
            output: pipe2(nix::fcntl::OFlag::O_CLOEXEC)?,
        })
    }
}

impl Worker {
    /// A worker that has the other ends of `control` and `output`.
    pub(super) fn new(
        process: Process,
        pid: Pid,
        control: OwnedFd,
        output: OwnedFd,
    ) -> io::Result<Self> {
        Ok(Self {
            process,
            pid,
            control: stream(control)?,
            output: pipe::Receiver::from_owned_fd(output)?,
        })
    }
}

impl Spawn {
    /// Starts the worker in a process group of its own.
    ///
    /// The calling thread must live as long as the worker: the kernel sends
    /// the parent-death signal when the *thread* that forked ends.
    pub(crate) async fn start(&self) -> io::Result<Worker> {
        match &self.template {
            Some(template) if template.suits(&self.environment) => {
                template.fork(&self.run_id, &self.environment).await
            }
            _ => self.start_afresh(),
        }
    }

    fn start_afresh(&self) -> io::Result<Worker> {
        let Pipes {
            control: (ours, theirs),
            output: (read, write),
        } = Pipes::open()?;
        let child = self
            .command(FD_VARIABLE, &theirs, &self.run_id)
            .stdout(Stdio::from(write.try_clone()?))
            .stderr(Stdio::from(write))
            .spawn()?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the worker has no process id"))?;
        Worker::new(Process::Fresh(child), pid, ours, read)
    }

    /// The program with its arguments and environment, in a process group of
    /// its own, tied to this process. It finds `socket` under the name
    /// `variable`.
    pub(super) fn command(&self, variable: &str, socket: &OwnedFd, run_id: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .env(variable, socket.as_raw_fd().to_string())
            .env(RUN_VARIABLE, run_id)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let socket = socket.as_raw_fd();
        let parent = getpid();
        // SAFETY: between fork and exec only async-signal-safe calls are
        // made: prctl, getppid, _exit and fcntl, without allocation.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(PARENT_DEATH_SIGNAL)?;
                // The parent may have died before the call above.
                if getppid() != parent {
                    return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
                }
                keep_over_exec(socket)
            });
        }
        command
    }
}

fn keep_over_exec(fd: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open in the child: it was in the parent when
    // it forked.
    match unsafe { nix::libc::fcntl(fd, nix::libc::F_SETFD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn stream(fd: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The arguments of this process, without the program's name.
pub(crate) fn own_arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// Ends every process that carries the mark of `run_id`, wherever it has
/// gone: what the train function started may have left the process group.
pub(crate) fn end_strays(run_id: &str) {
    // Every process is looked at for every run, so each costs few calls.
    let mut environment = Vec::with_capacity(64 << 10);
    let mark = format!("{RUN_VARIABLE}={run_id}");
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        let Some(pid) = pid_of(&process.file_name()) else {
            continue;
        };
        environment.clear();
        let read = File::open(process.path().join("environ"))
            .and_then(|mut file| file.read_to_end(&mut environment));
        if read.is_err() {
            continue;
        }
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        if marked && pid != getpid() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn pid_of(name: &OsStr) -> Option<Pid> {
    name.to_str()?.parse().ok().map(Pid::from_raw)
}
