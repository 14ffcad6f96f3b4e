//! explr itself, and what builds plugins.

use super::version::Version;
use super::{Check, Place, command};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longest time for a tool to tell its version.
const LIMIT: Duration = Duration::from_secs(20);
/// The Rust that explr and its SDK need.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// What the tools say of themselves.
pub(super) struct Facts {
    program: PathBuf,
    cargo: Result<String, String>,
    rustc: Result<String, String>,
    cxx: Result<String, String>,
}

pub(super) fn gather(place: &Place) -> Facts {
    let version = |program: PathBuf| {
        let mut command = Command::new(program);
        command.arg("--version").current_dir(&place.folder);
        let output = command::output(command, LIMIT)?;
        if !output.status.success() {
            return Err(command::describe_end(&output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    let cxx = std::env::var_os("CXX").filter(|cxx| !cxx.is_empty());
    Facts {
        program: place.program.clone(),
        cargo: version("cargo".into()),
        rustc: version("rustc".into()),
        cxx: version(cxx.map_or_else(|| "c++".into(), PathBuf::from)),
    }
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let explr = format!(
        "{} ({})",
        env!("CARGO_PKG_VERSION"),
        facts.program.display()
    );
    vec![
        Check::ok("explr", explr),
        rust("cargo", &facts.cargo),
        rust("rustc", &facts.rustc),
        cxx(&facts.cxx),
    ]
}

fn rust(name: &str, said: &Result<String, String>) -> Check {
    let needed = Version::find(RUST);
    match said {
        Err(why) => Check::warning(
            name,
            format!("{why}; plugins that are built already run without"),
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
        ),
        Ok(text) if Version::find(text) < needed => Check::failure(
            name,
            format!("{text}; building a plugin needs {RUST} or newer"),
            "rustup update stable",
        ),
        Ok(text) => Check::ok(name, text),
    }
}

fn cxx(said: &Result<String, String>) -> Check {
    match said {
        Ok(text) => Check::ok("C++ compiler", text),
        Err(why) => Check::warning(
            "C++ compiler",
            format!("{why}; building a plugin with tch needs one"),
            "sudo apt install build-essential    # Fedora: sudo dnf install gcc-c++",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{cxx, rust};
    use crate::verify::Verdict;

    #[test]
    fn rust_may_be_missing_but_not_old() {
        let verdict = |said: Result<&str, &str>| {
            rust("rustc", &said.map(str::to_owned).map_err(str::to_owned)).verdict
        };
        assert_eq!(
            verdict(Ok("rustc 1.95.0 (59807616e 2026-04-14)")),
            Verdict::Ok
        );
        assert_eq!(verdict(Ok("rustc 2.0.0")), Verdict::Ok);
        let fix = "rustup update stable".to_owned();
        assert_eq!(verdict(Ok("rustc 1.9.0")), Verdict::Failure { fix });
        assert!(matches!(verdict(Err("not found")), Verdict::Warning { .. }));
    }

    #[test]
    fn a_missing_compiler_has_a_remedy() {
        let check = cxx(&Err("not found".to_owned()));
        let Verdict::Warning { fix } = check.verdict else {
            panic!("{check:?}");
        };
        assert!(fix.contains("build-essential"), "{fix}");
    }
}
