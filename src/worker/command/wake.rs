use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::Pid;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How often is looked where the kernel tells nothing.
const SHORT: Duration = Duration::from_millis(10);

/// Waits until there is something to do for a command.
pub(super) struct Wake {
    /// Tells that the inbox has grown.
    inbox: Option<Inotify>,
    /// Tells that the command has ended.
    child: Option<OwnedFd>,
}

impl Wake {
    pub(super) fn new(inbox: &Path, child: Pid) -> Self {
        let watch = || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            inotify.add_watch(inbox, AddWatchFlags::IN_MODIFY)?;
            Ok::<_, nix::Error>(inotify)
        };
        Self {
            inbox: watch().ok(),
            child: pidfd(child),
        }
    }

    /// Waits until the inbox has grown, the command has ended or printed, or
    /// `limit` is over.
    pub(super) fn wait(&self, output: Option<BorrowedFd<'_>>, limit: Duration) {
        // The kernel gives each user a limited number of watches.
        let is_told = self.inbox.is_some() && self.child.is_some();
        let limit = if is_told { limit } else { SHORT };
        let told = self.inbox.as_ref().map(AsFd::as_fd);
        let ended = self.child.as_ref().map(AsFd::as_fd);
        let mut fds: Vec<PollFd> = [told, ended, output]
            .into_iter()
            .flatten()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO);
        // A signal ends the wait early, which does no harm.
        let _ = poll(&mut fds, limit);
        if let Some(inbox) = &self.inbox {
            let _ = inbox.read_events();
        }
    }
}

/// A descriptor that is readable once the process has ended.
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers; what it returns is a new descriptor
    // of this process alone.
    unsafe {
        let fd = nix::libc::syscall(nix::libc::SYS_pidfd_open, pid.as_raw(), 0);
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}
