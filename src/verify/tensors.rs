//! Tensor operations, each in a process of its own.

use super::libtorch::Found;
use super::{Check, command, gpu};
use crate::worker::Tried;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Longest time for one. libtorch opens in a second, from a cold disk in
/// several; the first use of a GPU takes as long.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Facts {
    /// None where there is no libtorch.
    cpu: Option<Attempt>,
    /// Whether the CUDA libraries open, where a libtorch has them and no GPU
    /// shows it.
    libraries: Option<Attempt>,
    /// Each GPU by its name.
    gpus: Vec<(String, Attempt)>,
    /// How to get another libtorch.
    replace: String,
}

/// How a process got on; what keeps it from telling.
type Attempt = Result<Tried, String>;

pub(super) fn gather(program: &Path, libtorch: Option<&Found>, gpus: &gpu::Facts) -> Facts {
    let attempt = |trial: &str, gpu: Option<&str>| {
        libtorch.map(|libtorch| {
            let mut command = Command::new(program);
            command.arg("tensor").arg(&libtorch.folder).arg(trial);
            // As in a worker: threads that spin at a barrier may take long.
            command.env("OMP_NUM_THREADS", "1");
            if let Some(uuid) = gpu {
                command.env("CUDA_VISIBLE_DEVICES", uuid);
            }
            heard(&command::output(command, LIMIT)?)
        })
    };
    let with_cuda = libtorch.is_some_and(|libtorch| libtorch.has_cuda);
    let gpus = if with_cuda { gpus.gpus() } else { &[] };
    Facts {
        replace: libtorch.map_or_else(String::new, |libtorch| libtorch.replace.clone()),
        cpu: attempt("cpu", None),
        libraries: (with_cuda && gpus.is_empty())
            .then(|| attempt("open-cuda", None))
            .flatten(),
        gpus: gpus
            .iter()
            .filter_map(|gpu| Some((gpu.name.clone(), attempt("cuda", Some(&gpu.uuid))?)))
            .collect(),
    }
}

/// What a process said, with libtorch's own words about a failure.
fn heard(output: &Output) -> Attempt {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout);
    match (told, exception(&stderr)) {
        (Ok(Tried::Failed(what)), Some(why)) => Ok(Tried::Failed(format!("{what}: {why}"))),
        (Ok(tried), _) => Ok(tried),
        (Err(_), _) => {
            let end = command::describe_end(output);
            let last = stderr.lines().rfind(|line| !line.trim().is_empty());
            Err(match last {
                Some(line) => format!("the process {end}: {line}"),
                None => format!("the process {end}"),
            })
        }
    }
}

/// The message of an exception, which libtorch writes to standard error.
fn exception(stderr: &str) -> Option<&str> {
    let (_, message) = stderr.split_once("Exception in aoti_torch: ")?;
    message.lines().next()
}

pub(super) fn on_cpu(facts: &Facts) -> Vec<Check> {
    let cpu = facts.cpu.iter();
    let libraries = facts.libraries.iter();
    let fix = &facts.replace;
    cpu.map(|attempt| check("matrix product on the CPU", attempt, fix))
        .chain(libraries.map(|attempt| libraries_check(attempt, fix)))
        .collect()
}

pub(super) fn on_gpus(facts: &Facts) -> Vec<Check> {
    let fix = format!("nvidia-smi    # if it shows the GPU: {}", facts.replace);
    let gpus = facts.gpus.iter();
    gpus.map(|(name, attempt)| check(&format!("matrix product on {name}"), attempt, &fix))
        .collect()
}

fn check(name: &str, attempt: &Attempt, fix: &str) -> Check {
    match attempt {
        Ok(Tried::Worked) => Check::ok(name, "worked, in a process of its own"),
        Ok(Tried::NotExported(function)) => Check::warning(
            name,
            format!("not tried: this libtorch exports no `{function}`"),
            fix,
        ),
        Ok(Tried::NotOpened(why) | Tried::Failed(why)) | Err(why) => Check::failure(name, why, fix),
    }
}

/// Without a GPU nobody opens them, so it is no failure.
fn libraries_check(attempt: &Attempt, fix: &str) -> Check {
    let name = "CUDA libraries";
    match attempt {
        Ok(Tried::NotOpened(why) | Tried::Failed(why)) | Err(why) => Check::warning(
            name,
            format!("{why}; it matters on a machine with a GPU"),
            fix,
        ),
        Ok(Tried::Worked | Tried::NotExported(_)) => {
            Check::ok(name, "open, in a process of its own")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check, heard, libraries_check};
    use crate::verify::Verdict;
    use crate::worker::Tried;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ExitStatus, Output};

    fn ended(wait_status: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            status: ExitStatus::from_raw(wait_status),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn the_exception_is_told_without_its_frames() {
        let stderr = "[E1125 shim_common.cpp:460] Exception in aoti_torch: CUDA error: no kernel \
                      image is available for execution on the device\nframe #0: c10::Error\n";
        let tried = heard(&ended(
            0,
            "{\"result\":\"failed\",\"why\":\"copying\"}\n",
            stderr,
        ));
        let why = "copying: CUDA error: no kernel image is available for execution on the device";
        assert_eq!(tried, Ok(Tried::Failed(why.to_owned())));
        assert!(matches!(
            check("", &tried, "").verdict,
            Verdict::Failure { .. }
        ));
        assert!(matches!(
            libraries_check(&tried, "").verdict,
            Verdict::Warning { .. }
        ));
    }

    #[test]
    fn a_process_that_dies_leaves_its_signal_and_its_last_line() {
        let tried = heard(&ended(11, "", "loading\nillegal instruction at 0x0\n\n"));
        let why = "the process was ended by SIGSEGV: illegal instruction at 0x0";
        assert_eq!(tried, Err(why.to_owned()));
        assert_eq!(check("", &tried, "").seen, why);
    }

    #[test]
    fn what_worked_is_ok() {
        let tried = heard(&ended(0, "{\"result\":\"worked\"}\n", "a warning\n"));
        assert_eq!(check("", &tried, "").verdict, Verdict::Ok);
    }
}
