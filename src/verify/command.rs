//! Runs a program to its end, for a limited time.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What it printed and how it ended; else why it can't be said.
pub(super) fn output(mut command: Command, limit: Duration) -> Result<Output, String> {
    command.stdin(Stdio::null());
    let run = || -> io::Result<Option<Output>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut command = tokio::process::Command::from(command);
        // Gives the process up, and with it what it holds.
        command.kill_on_drop(true);
        runtime.block_on(async {
            match tokio::time::timeout(limit, command.output()).await {
                Ok(output) => output.map(Some),
                Err(_) => Ok(None),
            }
        })
    };
    match run() {
        Ok(Some(output)) => Ok(output),
        Ok(None) => Err(format!("did not end within {} s", limit.as_secs())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("not found".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// How a process ended that did not end well.
pub(super) fn describe_end(output: &Output) -> String {
    use std::os::unix::process::ExitStatusExt;
    let signal = output.status.signal();
    match signal.map(nix::sys::signal::Signal::try_from) {
        Some(Ok(signal)) => format!("was ended by {signal}"),
        _ => format!("ended with {}", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::{describe_end, output};
    use std::process::Command;
    use std::time::Duration;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let mut sleep = Command::new("sleep");
        sleep.arg("1000");
        let given_up = output(sleep, Duration::from_millis(50)).unwrap_err();
        assert_eq!(given_up, "did not end within 0 s");
    }

    #[test]
    fn a_crash_has_the_name_of_its_signal() {
        let ended = output(shell("kill -SEGV $$"), Duration::from_secs(60)).unwrap();
        assert_eq!(describe_end(&ended), "was ended by SIGSEGV");
        let ended = output(shell("exit 3"), Duration::from_secs(60)).unwrap();
        assert_eq!(describe_end(&ended), "ended with exit status: 3");
    }

    #[test]
    fn a_program_that_is_not_there_is_no_error_of_ours() {
        let missing = output(Command::new("/no/such"), Duration::from_secs(60));
        assert_eq!(missing.unwrap_err(), "not found");
    }
}
