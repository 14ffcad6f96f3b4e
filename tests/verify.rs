//! `explr verify`, on this machine and on ones that are broken on purpose.

#![allow(clippy::unwrap_used)]

mod driver;
#[path = "tracking/fake.rs"]
#[allow(dead_code)]
mod fake;

use driver::compile;
use fake::{Fake, Fault};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder in which explr finds the `.libtorch` and `.venv` of the checkout.
fn project() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn verify(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_explr"));
    command
        .arg("verify")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        let ours = ["EXPLR_", "MLFLOW_", "OMP_", "LIBTORCH"];
        if ours.iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

/// The exit code and the checks of `--json`.
fn checks(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let arguments = [&["--json"], arguments].concat();
    let output = verify(folder, &arguments, variables);
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{page:#}");
    let code = output.status.code().unwrap();
    assert_eq!(page["exit_code"], code);
    (code, page["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], section: &str, name: &str) -> &'a Value {
    let mut checks = checks.iter();
    checks
        .find(|check| check["section"] == section && check["name"] == name)
        .unwrap()
}

#[test]
fn a_healthy_machine_passes_and_is_left_as_it_was() {
    let project = project();
    let (code, checks) = checks(project.path(), &[], &[]);
    assert_eq!(code, 0);
    for (section, name) in [
        ("explr", "explr"),
        ("explr", "cargo"),
        ("libtorch", "version"),
        ("libtorch", "C++ ABI"),
        ("libtorch", "matrix product on the CPU"),
        ("MLflow", "MLflow"),
        ("store", "writable"),
        ("store", "locks"),
        ("machine", "clock"),
    ] {
        assert_eq!(check(&checks, section, name)["status"], "ok", "{name}");
    }
    let cuda = check(&checks, "libtorch", "CUDA");
    if cuda["status"] == "ok" {
        let seen = cuda["seen"].as_str().unwrap();
        assert!(seen.contains("code for sm_"), "{seen}");
    }
    for check in &checks {
        let status = check["status"].as_str().unwrap();
        let has_fix = check["fix"].is_string();
        assert_eq!(has_fix, matches!(status, "warning" | "failure"), "{check}");
    }
    assert_eq!(project.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_store_is_left_as_it_was() {
    let project = project();
    let store = explr::store::Store::open(&project.path().join(".explr")).unwrap();
    let files = || {
        let entries = store.root().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let (_, checks) = checks(project.path(), &[], &[]);
    assert_eq!(files(), before);
    let seen = check(&checks, "store", "writable")["seen"].clone();
    assert_eq!(seen, store.root().to_str().unwrap());
}

#[test]
fn people_get_a_page_with_the_fix_below_what_is_wrong() {
    let project = project();
    let output = verify(project.path(), &[], &[("LIBTORCH", "/no/such")]);
    let page = String::from_utf8(output.stdout).unwrap();
    println!("{page}");
    let mut lines = page.lines().skip_while(|line| *line != "libtorch").skip(1);
    let seen = lines.next().unwrap();
    assert!(seen.starts_with("  failure  libtorch "), "{seen}");
    assert!(
        seen.contains("LIBTORCH=/no/such has no lib/libtorch_cpu.so"),
        "{seen}"
    );
    let fix = lines.next().unwrap().trim();
    assert!(fix.starts_with("fix: unset LIBTORCH"), "{fix}");
    assert!(page.contains("1 failure;"));
    assert_eq!(output.status.code(), Some(6));
}

/// A folder that looks like libtorch, with this C code in its libraries.
fn fake_libtorch(folder: &Path, code: &str) {
    let lib = folder.join("lib");
    std::fs::create_dir_all(&lib).unwrap();
    let source = folder.join("code.c");
    std::fs::write(&source, code).unwrap();
    for name in ["libc10.so", "libtorch_cpu.so"] {
        compile(&source, &lib.join(name));
    }
}

#[test]
fn a_libtorch_that_crashes_is_a_failed_check() {
    let project = project();
    let libtorch = project.path().join("libtorch");
    fake_libtorch(
        &libtorch,
        "#include <stdio.h>\n#include <stdlib.h>\n\
         __attribute__((constructor)) void start(void) { fputs(\"bad wheel\\n\", stderr); abort(); }\n",
    );
    let libtorch = libtorch.to_str().unwrap();
    let (code, checks) = checks(project.path(), &[], &[("LIBTORCH", libtorch)]);
    assert_eq!(code, 6);
    let product = check(&checks, "libtorch", "matrix product on the CPU");
    assert_eq!(product["status"], "failure");
    assert_eq!(
        product["seen"],
        "the process was ended by SIGABRT: bad wheel"
    );
    assert_eq!(check(&checks, "libtorch", "version")["status"], "failure");
    // The rest of the page is there all the same.
    assert_eq!(check(&checks, "store", "writable")["status"], "ok");
}

#[test]
fn a_libtorch_without_its_functions_or_that_is_no_library_is_told_apart() {
    let project = project();
    let libtorch = project.path().join("libtorch");
    let product = |folder: &Path| {
        let variables = [("LIBTORCH", folder.to_str().unwrap())];
        let (_, checks) = checks(project.path(), &[], &variables);
        check(&checks, "libtorch", "matrix product on the CPU").clone()
    };
    fake_libtorch(&libtorch, "int nothing;\n");
    let empty = product(&libtorch);
    assert_eq!(empty["status"], "warning");
    let seen = empty["seen"].as_str().unwrap();
    assert!(
        seen.starts_with("not tried: this libtorch exports no `aoti_"),
        "{seen}"
    );
    std::fs::write(libtorch.join("lib/libc10.so"), "text").unwrap();
    let text = product(&libtorch);
    assert_eq!(text["status"], "failure");
    let seen = text["seen"].as_str().unwrap();
    assert!(seen.starts_with("libtorch can't be opened: "), "{seen}");
    assert!(seen.contains("libc10.so"), "{seen}");
}

/// The checks of a machine whose driver has one card of this capability, with
/// the files of the libtorch of the checkout.
fn with_a_card(capability: &str, version_py: &str) -> (i32, Vec<Value>) {
    let project = project();
    driver::put(project.path());
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join(".libtorch");
    let libtorch = project.path().join("libtorch");
    std::fs::create_dir(&libtorch).unwrap();
    for name in ["include", "lib"] {
        std::os::unix::fs::symlink(real.join(name), libtorch.join(name)).unwrap();
    }
    std::fs::write(libtorch.join("version.py"), version_py).unwrap();
    let variables = [
        ("LD_LIBRARY_PATH", project.path().to_str().unwrap()),
        ("LIBTORCH", libtorch.to_str().unwrap()),
        ("DRIVER_CAPABILITY", capability),
    ];
    checks(project.path(), &[], &variables)
}

fn has_cuda() -> bool {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join(".libtorch/lib");
    let cuda = real.join("libtorch_cuda.so").exists();
    if !cuda {
        eprintln!("skipped: the libtorch of the checkout has no CUDA");
    }
    cuda
}

#[test]
fn a_card_that_the_driver_names_and_cuda_cannot_use_is_a_failure() {
    if !has_cuda() {
        return;
    }
    let (code, checks) = with_a_card("12.0", "cuda: Optional[str] = '12.8'\n");
    assert_eq!(code, 7);
    for name in ["driver", "CUDA of libtorch", "code for NVIDIA Test"] {
        assert_eq!(check(&checks, "GPU", name)["status"], "ok", "{name}");
    }
    // The driver is made up, and a matrix product finds that out.
    let product = check(&checks, "GPU", "matrix product on NVIDIA Test");
    assert_eq!(product["status"], "failure");
    let seen = product["seen"].as_str().unwrap();
    assert!(seen.starts_with("making a tensor failed: "), "{seen}");
}

#[test]
fn a_libtorch_for_a_newer_cuda_and_other_cards_is_a_failure() {
    if !has_cuda() {
        return;
    }
    let (code, checks) = with_a_card("99.0", "cuda: Optional[str] = '13.0'\n");
    assert_eq!(code, 7);
    let cuda = check(&checks, "GPU", "CUDA of libtorch");
    assert_eq!(cuda["status"], "failure");
    let seen = "13.0, which needs driver 580 or newer; this driver is 570.195.03";
    assert_eq!(cuda["seen"], seen);
    let fix = cuda["fix"].as_str().unwrap();
    assert!(fix.starts_with("unset LIBTORCH && "), "{fix}");
    let code = check(&checks, "GPU", "code for NVIDIA Test");
    assert_eq!(code["status"], "failure");
    let seen = code["seen"].as_str().unwrap();
    assert!(
        seen.starts_with("the GPU is sm_990; this libtorch has sm_"),
        "{seen}"
    );
}

#[test]
fn a_store_that_is_not_writable_fails_with_the_code_of_the_store() {
    let project = project();
    // Not even root makes files there.
    let (code, checks) = checks(project.path(), &["--store", "/proc/explr"], &[]);
    assert_eq!(code, 9);
    let writable = check(&checks, "store", "writable");
    assert_eq!(writable["status"], "failure");
    assert!(
        writable["seen"]
            .as_str()
            .unwrap()
            .starts_with("/proc/explr: ")
    );
    assert_eq!(check(&checks, "store", "locks")["status"], "not_applicable");
}

#[test]
fn a_server_that_refuses_its_name_is_found_though_its_health_is_ok() {
    let refusal = "Invalid Host header - possible DNS rebinding attack detected";
    let fake = Fake::new(move |request| match request.path.as_str() {
        "/health" => Some(Fault::Answer(200, "", "OK")),
        "/version" => Some(Fault::Answer(200, "", "3.17.2")),
        _ => Some(Fault::Answer(403, "", refusal)),
    });
    let project = project();
    let variables = [("MLFLOW_TRACKING_URI", fake.url.as_str())];
    let (code, checks) = checks(project.path(), &[], &variables);
    assert_eq!(code, 10);
    let server = check(&checks, "MLflow", "server");
    assert_eq!(server["status"], "failure");
    let host = fake.url.strip_prefix("http://").unwrap();
    let fix = server["fix"].as_str().unwrap();
    assert!(fix.contains(&format!("--allowed-hosts '{host},")), "{fix}");
}

#[test]
fn a_server_is_asked_for_its_version_and_its_clock() {
    let long_past = "Date: Wed, 01 Jan 2020 00:00:00 GMT\r\n";
    let fake = Fake::new(move |request| match request.path.as_str() {
        "experiments/get" => Some(Fault::Answer(200, long_past, "{}")),
        "/version" => Some(Fault::Answer(200, "", "2.10.0")),
        _ => Some(Fault::Answer(404, "", "")),
    });
    let project = project();
    let variables = [("MLFLOW_TRACKING_URI", fake.url.as_str())];
    let (code, checks) = checks(project.path(), &[], &variables);
    // Somebody else's server and clock are no reason to fail.
    assert_eq!(code, 0);
    let server = check(&checks, "MLflow", "server");
    assert_eq!(server["status"], "warning");
    assert!(server["seen"].as_str().unwrap().contains("MLflow 2.10.0"));
    let clock = check(&checks, "machine", "clock");
    assert_eq!(clock["status"], "warning");
    assert!(
        clock["seen"]
            .as_str()
            .unwrap()
            .contains("the MLflow server is")
    );
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    let unused = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let uri = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let project = project();
    let (code, checks) = checks(project.path(), &[], &[("MLFLOW_TRACKING_URI", &uri)]);
    assert_eq!(code, 10);
    let seen = check(&checks, "MLflow", "server")["seen"].clone();
    assert!(seen.as_str().unwrap().contains("refused"), "{seen}");
}
