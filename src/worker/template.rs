//! The template: opens a plugin once, and forks a worker for each run.
//!
//! A forked worker has libtorch and the plugin in its memory from the first
//! instant, and shares what it doesn't change. Only a process with one thread
//! may be forked this way: a lock that another thread held would stay closed
//! in the child. So the template starts no thread, checks that the plugin's
//! initialisers started none, and refuses otherwise. It calls nothing of the
//! plugin, so CUDA, which does not survive a fork either, is opened but never
//! initialised before the fork.

use super::control::{Control, exit_now, inherited};
use super::plugin::{self, Plugin};
use super::{AtHand, PARENT_DEATH_SIGNAL};
use explr_protocol::control::{Code, RUN_VARIABLE};
pub(super) use explr_protocol::template::FD_VARIABLE;
use explr_protocol::template::{FromTemplate, NO_RUN, ToTemplate};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdout, fork, getpid, getppid, setpgid};
use std::ffi::CStr;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Room for one packet: more than the kernel lets through by default.
const PACKET: usize = 256 << 10;

/// Serves until the orchestrator is gone, and returns the code to exit with.
pub(super) fn run() -> i32 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("explr worker: the template ends: {error}");
            1
        }
    }
}

fn serve() -> io::Result<()> {
    leave_signals_to_the_orchestrator();
    let socket = Socket(inherited(FD_VARIABLE)?);
    let mark = Mark::find();
    // SAFETY: this process has no other thread, see above. What the train
    // functions start shall not take itself for a template.
    unsafe { std::env::remove_var(FD_VARIABLE) };
    let Some((first, _)) = socket.receive()? else {
        return Ok(());
    };
    let ToTemplate::Load {
        code: Code::Plugin { path, libtorch },
        device,
    } = first
    else {
        return Err(io::Error::other(
            "the first message is not to load a plugin",
        ));
    };
    let opened = plugin::open(&path, libtorch.as_deref(), device)
        .map_err(|error| error.to_string())
        .and_then(|plugin| only_one_thread().map(|()| plugin))
        .and_then(|plugin| Ok((plugin, mark.ok_or("the template has no mark to change")?)));
    let (plugin, mark) = match opened {
        Ok(opened) => opened,
        Err(why) => return socket.send(&FromTemplate::NotForkable { why }),
    };
    flush();
    let template = Template {
        children: Children::watch()?,
        socket,
        plugin,
        mark,
    };
    template.socket.send(&FromTemplate::Ready)?;
    template.serve()
}

/// A process that can be forked.
struct Template {
    socket: Socket,
    children: Children,
    plugin: Plugin,
    mark: Mark,
}

impl Template {
    fn serve(&self) -> io::Result<()> {
        loop {
            let mut ready = [
                PollFd::new(self.socket.0.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [asked, ended] = ready.map(|fd| fd.any().unwrap_or(true));
            if ended {
                self.children
                    .reap(|pid, status| self.socket.send(&FromTemplate::Exited { pid, status }))?;
            }
            if asked {
                match self.socket.receive()? {
                    None => return Ok(()),
                    Some((message, descriptors)) => self.answer(message, descriptors)?,
                }
            }
        }
    }

    fn answer(&self, message: ToTemplate, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let ToTemplate::Fork {
            run_id,
            environment,
        } = message
        else {
            return Err(io::Error::other("a plugin is open already"));
        };
        let answer = match self.fork(&run_id, &environment, descriptors) {
            Ok(pid) => FromTemplate::Forked {
                run_id,
                pid: pid.as_raw(),
            },
            Err(error) => FromTemplate::NotForked {
                run_id,
                why: error.to_string(),
            },
        };
        self.socket.send(&answer)
    }

    fn fork(
        &self,
        run_id: &str,
        environment: &[(String, String)],
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<Pid> {
        let Ok([control, output]) = <[OwnedFd; 2]>::try_from(descriptors) else {
            return Err(io::Error::other("two descriptors must come with `fork`"));
        };
        if run_id.len() != NO_RUN.len() {
            return Err(io::Error::other(format!("`{run_id}` is no run id")));
        }
        let template = getpid();
        // SAFETY: this process has one thread, so the child's memory, locks
        // included, is as if it had come here by itself.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                // The child does the same: whoever comes first, the group is
                // there when the orchestrator learns its number.
                let _ = setpgid(child, child);
                Ok(child)
            }
            ForkResult::Child => {
                let work = || self.work(template, control, output, run_id, environment);
                // A panic must not get back into the template's own loop.
                exit_now(catch_unwind(AssertUnwindSafe(work)).unwrap_or(1))
            }
        }
    }

    /// The child's life, up to its exit code.
    fn work(
        &self,
        template: Pid,
        control: OwnedFd,
        output: OwnedFd,
        run_id: &str,
        environment: &[(String, String)],
    ) -> i32 {
        let control = self
            .leave(template, output, run_id, environment)
            .and_then(|()| Control::new(control));
        super::run(control, &AtHand::Plugin(&self.plugin))
    }

    /// Makes of the fork a worker like one that was started afresh.
    fn leave(
        &self,
        template: Pid,
        output: OwnedFd,
        run_id: &str,
        environment: &[(String, String)],
    ) -> io::Result<()> {
        dup2_stdout(&output)?;
        dup2_stderr(&output)?;
        drop(output);
        let zero = Pid::from_raw(0);
        setpgid(zero, zero)?;
        nix::sys::prctl::set_pdeathsig(PARENT_DEATH_SIGNAL)?;
        if getppid() != template {
            return Err(io::Error::other("the template is gone"));
        }
        self.children.forget()?;
        // SAFETY: nothing uses the template's socket after this; its owner
        // never drops it, because this process ends by `exit_now`.
        unsafe { libc::close(self.socket.0.as_raw_fd()) };
        self.mark.change(run_id);
        for (name, value) in environment {
            // SAFETY: the child has one thread, as the template has.
            unsafe { std::env::set_var(name, value) };
        }
        Ok(())
    }
}

/// The template's end of its socket.
struct Socket(OwnedFd);

impl Socket {
    fn send(&self, message: &FromTemplate) -> io::Result<()> {
        let packet = serde_json::to_vec(message)?;
        send(self.0.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }

    /// The next message, with the descriptors that came with it; none when
    /// the orchestrator is gone.
    fn receive(&self) -> io::Result<Option<(ToTemplate, Vec<OwnedFd>)>> {
        let mut packet = vec![0; PACKET];
        let mut space = cmsg_space!([libc::c_int; 2]);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let received = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                received => break received?,
            }
        };
        let mut descriptors = Vec::new();
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = message {
                // SAFETY: the kernel has just made these for this process.
                descriptors.extend(fds.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
            }
        }
        let length = received.bytes;
        if length == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(&packet[..length])?;
        Ok(Some((message, descriptors)))
    }
}

/// Tells of children that have ended, without a signal handler.
struct Children {
    signals: SignalFd,
    before: SigSet,
}

impl Children {
    fn watch() -> io::Result<Self> {
        let mut child = SigSet::empty();
        child.add(Signal::SIGCHLD);
        let before = SigSet::thread_get_mask()?;
        child.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self {
            signals: SignalFd::with_flags(&child, flags)?,
            before,
        })
    }

    /// Reaps every child that has ended.
    fn reap(&self, mut tell: impl FnMut(i32, i32) -> io::Result<()>) -> io::Result<()> {
        // One signal may stand for several children.
        while self.signals.read_signal()?.is_some() {}
        loop {
            let mut status = 0;
            // SAFETY: `status` is valid for the call.
            match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
                0 | -1 => return Ok(()),
                pid => tell(pid, status)?,
            }
        }
    }

    /// Undoes [`watch`](Self::watch) in a child.
    fn forget(&self) -> io::Result<()> {
        self.before.thread_set_mask()?;
        // SAFETY: as for the socket in `Template::leave`.
        unsafe { libc::close(self.signals.as_fd().as_raw_fd()) };
        Ok(())
    }
}

/// The run's id in the environment that the kernel shows of this process.
///
/// `setenv` would put the variable elsewhere and leave `/proc/<pid>/environ`,
/// by which the processes of a run are found, as it was.
struct Mark(*mut u8);

impl Mark {
    /// Finds it among what this process was started with.
    fn find() -> Option<Self> {
        let wanted = format!("{RUN_VARIABLE}={NO_RUN}");
        // SAFETY: this process has one thread and has not changed its
        // environment, so `environ` is the kernel's array of pointers to
        // texts, with a null at its end.
        unsafe {
            let mut entry = libc::environ;
            while !(*entry).is_null() {
                if CStr::from_ptr(*entry).to_bytes() == wanted.as_bytes() {
                    return Some(Self((*entry).cast::<u8>().add(RUN_VARIABLE.len() + 1)));
                }
                entry = entry.add(1);
            }
        }
        None
    }

    /// Puts in an id of the same length.
    fn change(&self, run_id: &str) {
        debug_assert_eq!(run_id.len(), NO_RUN.len());
        // SAFETY: the text is on this process's stack, it is as long as
        // `NO_RUN`, whose length the id has, and no other thread reads it.
        unsafe { std::ptr::copy_nonoverlapping(run_id.as_ptr(), self.0, NO_RUN.len()) };
    }
}

/// A SIGTERM to every process of a service would end the workers without
/// their grace period. A worker sets its own handlers.
fn leave_signals_to_the_orchestrator() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: to ignore a signal runs no code.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
    }
}

fn only_one_thread() -> Result<(), String> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    match threads {
        1 => Ok(()),
        _ => Err(format!(
            "the plugin has {threads} threads as soon as it is open, and a process with threads \
             can't be forked safely"
        )),
    }
}

/// What the plugin's initialisers printed is not the workers' to print again.
fn flush() {
    let _ = io::stdout().flush();
    // SAFETY: may be called at any time; null means every stream of C's stdio.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}
