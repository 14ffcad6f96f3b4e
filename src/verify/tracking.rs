//! Python, MLflow, and the server that runs are shipped to.

use super::version::Version;
use super::{Check, Place, command};
use crate::config::Mlflow;
use crate::store::Store;
use crate::tracking::{Health, Settings, TrackingError, Unwell, find_python, health, settings_of};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The first version without a known hole: before it, anyone who reached the
/// server read its files (CVE-2026-2614).
const FLOOR: Version = Version(3, 10, 0);
/// Python that MLflow runs on.
const PYTHON: Version = Version(3, 10, 0);
/// Longest time for Python to tell versions.
const LIMIT: Duration = Duration::from_secs(30);
/// Prints the versions without importing MLflow, which takes seconds.
const ASK: &str = "import sys, importlib.metadata as m
print(*sys.version_info[:3], sep='.')
print(m.version('mlflow'))";

pub(super) struct Facts {
    python: Option<Python>,
    server: Server,
}

/// A Python with MLflow.
struct Python {
    program: PathBuf,
    /// Of Python and of MLflow.
    versions: Result<(String, String), String>,
}

/// What runs are shipped to.
enum Server {
    /// Nothing.
    Off,
    /// What config or environment give is no address of one.
    NoAddress(String),
    /// The store's own, which does not run.
    Own,
    /// One that answers.
    Well {
        health: Health,
        /// explr looks after it.
        own: bool,
    },
    Unwell {
        url: String,
        why: Unwell,
    },
}

pub(super) fn gather(place: &Place) -> Facts {
    let store = Store::existing(&place.store).ok();
    let near = [place.folder.clone(), place.store.clone()];
    Facts {
        python: find_python(&near).ok().map(|program| Python {
            versions: versions(&program),
            program,
        }),
        server: server(&place.folder, store.as_ref())
            .unwrap_or_else(|error| Server::NoAddress(error.to_string())),
    }
}

impl Facts {
    /// By how many seconds the server's clock is ahead.
    pub(super) fn clock_ahead(&self) -> Option<i64> {
        match &self.server {
            Server::Well { health, .. } => health.ahead_s,
            _ => None,
        }
    }
}

fn versions(python: &Path) -> Result<(String, String), String> {
    let mut command = Command::new(python);
    command.args(["-c", ASK]);
    let output = command::output(command, LIMIT)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    match stdout.lines().collect::<Vec<_>>()[..] {
        [python, mlflow] => Ok((python.to_owned(), mlflow.to_owned())),
        _ => Err(match stderr.lines().last() {
            Some(line) => line.to_owned(),
            None => command::describe_end(&output),
        }),
    }
}

/// The server that the newest run was meant for; without one, what the
/// environment says.
fn server(folder: &Path, store: Option<&Store>) -> Result<Server, TrackingError> {
    let newest = store.and_then(|store| store.runs().ok()?.pop()?.manifest().ok());
    let config = newest.as_ref().map_or_else(Mlflow::default, settings_of);
    let settings = match store {
        Some(store) => Settings::resolve(&config, folder, store)?,
        None => match Settings::named(&config)? {
            Some(settings) => Some(settings),
            None => return Ok(Server::Own),
        },
    };
    let Some(settings) = settings else {
        return Ok(Server::Off);
    };
    // Asking for a server of its own would make that folder.
    let never_had = store.is_some_and(|store| !store.mlflow_dir().is_dir());
    if settings.remote().is_none() && never_had {
        return Ok(Server::Own);
    }
    Ok(match health(&settings) {
        Ok(None) => Server::Own,
        Ok(Some(health)) => Server::Well {
            health,
            own: settings.remote().is_none(),
        },
        Err(why) => Server::Unwell {
            url: settings.describe(),
            why,
        },
    })
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = match &facts.python {
        None => vec![missing()],
        Some(python) => installed(python),
    };
    checks.push(server_check(&facts.server));
    checks
}

fn missing() -> Check {
    Check::warning(
        "MLflow",
        "none found in `.venv`, VIRTUAL_ENV or on the PATH; runs are kept in the store alone, or \
         shipped to a server of somebody else's",
        "python3 -m venv .venv && .venv/bin/pip install mlflow",
    )
}

fn installed(python: &Python) -> Vec<Check> {
    let program = python.program.display();
    let (of_python, of_mlflow) = match &python.versions {
        Ok((of_python, of_mlflow)) => (of_python, of_mlflow),
        Err(why) => {
            return vec![Check::failure(
                "Python",
                format!("{program}: {why}"),
                "python3 -m venv --clear .venv && .venv/bin/pip install mlflow",
            )];
        }
    };
    let seen = format!("{of_python} ({program})");
    let python = if Version::find(of_python) < Some(PYTHON) {
        let fix = "python3.12 -m venv --clear .venv && .venv/bin/pip install mlflow";
        Check::failure(
            "Python",
            format!("{seen}; MLflow needs {PYTHON} or newer"),
            fix,
        )
    } else {
        Check::ok("Python", seen)
    };
    let mlflow = if is_old(of_mlflow) {
        Check::failure(
            "MLflow",
            format!("{of_mlflow}, which lets others read the machine's files (CVE-2026-2614)"),
            format!("{program} -m pip install 'mlflow>={FLOOR}'"),
        )
    } else {
        Check::ok("MLflow", of_mlflow)
    };
    vec![python, mlflow]
}

fn is_old(mlflow: &str) -> bool {
    Version::find(mlflow) < Some(FLOOR)
}

fn server_check(server: &Server) -> Check {
    let name = "server";
    match server {
        Server::Off => Check::not_applicable(name, "the newest run was made with MLflow off"),
        Server::NoAddress(why) => Check::failure(
            name,
            why,
            "export MLFLOW_TRACKING_URI=http://HOST:5000    # or unset it: explr starts a server",
        ),
        Server::Own => Check::not_applicable(name, "does not run; a run starts it where MLflow is"),
        Server::Well { health, own } if is_old(&health.version) => Check::warning(
            name,
            format!(
                "{} runs MLflow {}, which lets others read the machine's files (CVE-2026-2614)",
                health.url, health.version
            ),
            if *own {
                "explr mlflow-ui --stop    # the next run starts the one that is installed"
                    .to_owned()
            } else {
                format!("pip install 'mlflow>={FLOOR}'    # on the machine of the server")
            },
        ),
        Server::Well { health, .. } => Check::ok(
            name,
            format!("{} answers, MLflow {}", health.url, health.version),
        ),
        Server::Unwell { url, why } => {
            Check::failure(name, format!("{url}: {why}"), remedy(url, why))
        }
    }
}

fn remedy(url: &str, why: &Unwell) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    match why {
        Unwell::Host => format!(
            "mlflow server --allowed-hosts '{host},localhost:*,127.0.0.1:*' ...    # where it is \
             started; the list replaces the default one"
        ),
        Unwell::Other(_) => format!(
            "curl -i '{url}/api/2.0/mlflow/experiments/get?experiment_id=0'    # shows the answer; \
             MLFLOW_TRACKING_URI and `mlflow.tracking_uri` give the address"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Python, Server, installed, server_check};
    use crate::tracking::{Health, Unwell};
    use crate::verify::Verdict;

    fn with(versions: Result<(&str, &str), &str>) -> Python {
        Python {
            program: "/venv/bin/python".into(),
            versions: match versions {
                Ok((python, mlflow)) => Ok((python.to_owned(), mlflow.to_owned())),
                Err(why) => Err(why.to_owned()),
            },
        }
    }

    #[test]
    fn an_mlflow_with_a_known_hole_is_a_failure() {
        let verdict = |version| {
            installed(&with(Ok(("3.11.2", version))))
                .pop()
                .unwrap()
                .verdict
        };
        let fix = "/venv/bin/python -m pip install 'mlflow>=3.10.0'".to_owned();
        for old in ["2.22.4", "3.9.0", "3.9.1"] {
            assert_eq!(verdict(old), Verdict::Failure { fix: fix.clone() }, "{old}");
        }
        for good in ["3.10.0", "3.17.2", "4.0.0rc1"] {
            assert_eq!(verdict(good), Verdict::Ok, "{good}");
        }
    }

    #[test]
    fn a_python_that_does_not_work_says_why() {
        let checks = installed(&with(Err("No module named 'encodings'")));
        assert!(checks[0].seen.contains("encodings"), "{checks:?}");
        assert!(matches!(checks[0].verdict, Verdict::Failure { .. }));
        let checks = installed(&with(Ok(("3.9.18", "3.17.2"))));
        assert!(matches!(checks[0].verdict, Verdict::Failure { .. }));
    }

    #[test]
    fn a_server_that_refuses_its_name_gets_a_list_of_names() {
        let check = server_check(&Server::Unwell {
            url: "http://mlflow:5000/base".to_owned(),
            why: Unwell::Host,
        });
        let Verdict::Failure { fix } = &check.verdict else {
            panic!("{check:?}");
        };
        assert!(fix.contains("--allowed-hosts 'mlflow:5000,"), "{fix}");
    }

    #[test]
    fn an_old_server_of_somebody_else_is_a_warning() {
        let check = |version: &str, own| {
            server_check(&Server::Well {
                health: Health {
                    url: "http://mlflow:5000".to_owned(),
                    version: version.to_owned(),
                    ahead_s: None,
                },
                own,
            })
        };
        assert_eq!(check("3.17.2", false).verdict, Verdict::Ok);
        for own in [true, false] {
            let verdict = check("2.10.0", own).verdict;
            assert!(matches!(verdict, Verdict::Warning { .. }), "{verdict:?}");
        }
        assert_eq!(server_check(&Server::Own).verdict, Verdict::NotApplicable);
    }
}
