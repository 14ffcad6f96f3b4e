use super::host::Host;
use explr_protocol::control::{Assignment, FD_VARIABLE, FromWorker, ToWorker};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

/// The worker's end of the control socket.
pub(crate) struct Control {
    writer: Mutex<UnixStream>,
    reader: Mutex<BufReader<UnixStream>>,
}

impl Control {
    /// Takes over the descriptor that the runner left to this process.
    pub(crate) fn from_environment() -> io::Result<Self> {
        inherited(FD_VARIABLE).and_then(Self::new)
    }

    /// Talks over `socket`.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        let stream = UnixStream::from(socket);
        Ok(Self {
            reader: Mutex::new(BufReader::new(stream.try_clone()?)),
            writer: Mutex::new(stream),
        })
    }

    /// Sends a message. An orchestrator that is gone is the watchdog's
    /// business, so errors end here.
    pub(crate) fn send(&self, message: &FromWorker) {
        let Ok(mut line) = serde_json::to_vec(message) else {
            return;
        };
        line.push(b'\n');
        if let Ok(mut writer) = self.writer.lock() {
            let _ = writer.write_all(&line);
        }
    }

    /// The next message; none when the orchestrator is gone.
    pub(crate) fn receive(&self) -> Option<ToWorker> {
        let mut line = String::new();
        let mut reader = self.reader.lock().ok()?;
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => match serde_json::from_str(&line) {
                    Ok(message) => return Some(message),
                    Err(error) => eprintln!("explr worker: unknown message: {error}"),
                },
            }
        }
    }

    /// Waits for the first message.
    pub(crate) fn receive_assignment(&self) -> Option<Box<Assignment>> {
        match self.receive()? {
            ToWorker::Start(assignment) => Some(assignment),
            ToWorker::Stop | ToWorker::Answer(_) | ToWorker::Sample { .. } => None,
        }
    }

    /// Passes answers and requests to stop on to the train function until the
    /// orchestrator is gone.
    pub(crate) fn listen(&self, host: &Host) {
        while let Some(message) = self.receive() {
            match message {
                ToWorker::Stop => host.request_stop(),
                ToWorker::Answer(answer) => host.answer(answer),
                // This worker looks at the machine itself.
                ToWorker::Start(_) | ToWorker::Sample { .. } => {}
            }
        }
    }
}

/// The descriptor that the runner left to this process under the name
/// `variable`, kept from the processes that the train function starts.
pub(super) fn inherited(variable: &str) -> io::Result<OwnedFd> {
    let fd = std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other(format!("{variable} is not a number")))?;
    // SAFETY: the runner made this descriptor for this process alone, and
    // nothing else in it has been told of the number. A wrong number is
    // found by the call below, which then fails.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// Ends the process without running destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    let _ = io::stdout().flush();
    // SAFETY: both functions may be called at any time; a null stream means
    // every stream of C's stdio, which the train function may have filled.
    unsafe {
        nix::libc::fflush(std::ptr::null_mut());
        nix::libc::_exit(code)
    }
}
