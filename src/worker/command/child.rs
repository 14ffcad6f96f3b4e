use super::{environment, failed, refused};
use explr_protocol::{FailureClass, TrainError};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// The command, as a child of the worker and in its process group.
pub(super) struct Child {
    process: std::process::Child,
    program: String,
    asked: Option<Instant>,
    has_asked_all: bool,
    /// The kernel's count of processes killed for want of memory.
    oom_kills: u64,
}

impl Child {
    /// Starts it. What it prints goes into `printed`, or where the worker's
    /// own output goes.
    pub(super) fn start(
        words: &[String],
        folder: &Path,
        variables: &[(String, String)],
        printed: Option<OwnedFd>,
    ) -> Result<Self, TrainError> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| refused("the command is empty".to_owned()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null());
        for variable in environment::foreign() {
            command.env_remove(variable);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        if let Some(printed) = printed {
            let both = printed.try_clone().map(|copy| (copy, printed));
            let (out, err) = both.map_err(|error| broken(&error))?;
            command.stdout(out).stderr(err);
        }
        // SAFETY: between fork and exec only async-signal-safe calls are made.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                // What the worker ignores, its child would ignore too.
                for ignored in [Signal::SIGINT, Signal::SIGXFSZ] {
                    signal(ignored, SigHandler::SigDfl)?;
                }
                Ok(())
            });
        }
        let oom_kills = crate::runner::oom_kills();
        let process = command
            .spawn()
            .map_err(|error| refused(explain(program, folder, &error)))?;
        Ok(Self {
            process,
            program: program.clone(),
            asked: None,
            has_asked_all: false,
            oom_kills,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// What was started, for messages.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Its exit status, once it has ended.
    pub(super) fn try_wait(&mut self) -> Result<Option<ExitStatus>, TrainError> {
        self.process.try_wait().map_err(|error| broken(&error))
    }

    /// When it was first asked to end.
    pub(super) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Asks it to end.
    pub(super) fn ask(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
        let _ = kill(self.pid(), Signal::SIGTERM);
    }

    /// Asks it, and what it started, to end; once.
    pub(super) fn ask_all(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
        if !std::mem::replace(&mut self.has_asked_all, true) {
            // The worker is in the group too, and takes it for a request to
            // stop.
            let _ = kill(Pid::from_raw(0), Signal::SIGTERM);
        }
    }

    /// Ends it at once. What it started ends with the worker.
    pub(super) fn kill(&mut self) {
        let _ = self.process.kill();
    }

    /// Whether the kernel has killed a process for want of memory meanwhile.
    pub(super) fn saw_oom_kill(&self) -> bool {
        crate::runner::oom_kills() > self.oom_kills
    }
}

/// A worker that can't go on leaves no command behind.
impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.process.wait();
        }
    }
}

fn broken(error: &io::Error) -> TrainError {
    failed(
        FailureClass::Error,
        format!("the command can't be followed: {error}"),
    )
}

/// Why a program can't be started, and what helps.
fn explain(program: &str, folder: &Path, error: &io::Error) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_path = program.contains('/');
    let shown = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound if !folder.is_dir() => {
            format!("the folder {shown} of the command is gone")
        }
        io::ErrorKind::NotFound if is_path && folder.join(program).exists() => format!(
            "`{program}` can't be started: the interpreter that its first line names is not there"
        ),
        io::ErrorKind::NotFound if is_path => format!(
            "there is no program `{program}`\n\
             help: paths are relative to the folder of the configuration, {shown}"
        ),
        io::ErrorKind::NotFound => format!(
            "there is no program `{program}`\n\
             help: install it, or correct `train.command`; PATH is {path}"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "`{program}` can't be executed\n\
             help: `chmod +x {program}`, or name its interpreter first, as in \
             `command: [bash, {program}]`; PATH is {path}"
        ),
        _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => format!(
            "`{program}` is no program of this machine\n\
             help: begin a script with a line such as `#!/bin/sh`"
        ),
        _ => format!("`{program}` can't be started: {error}"),
    }
}
