//! A plugin that can't be loaded is refused before any call, with what to do
//! (exit code 6).

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap)]

mod common;

use common::{Project, build_plugins, fixture, stderr};
use explr_protocol::FailureClass;
use std::path::Path;
use std::process::Output;

fn refused(output: &Output, messages: &[&str]) {
    let shown = stderr(output);
    assert_eq!(output.status.code(), Some(6), "{shown}");
    for message in messages {
        assert!(shown.contains(message), "{message:?} is not in {shown}");
    }
}

#[test]
fn a_plugin_of_another_interface_names_both_versions() {
    let plugin = build_plugins("release").join("libother_abi.so");
    let project = Project::with_plugin(&plugin, "train_model", "");
    refused(
        &project.run(&[]),
        &[
            "version 99",
            "speaks version 2",
            "cargo update -p explr-sdk",
            "libother_abi.so",
        ],
    );
    assert_eq!(project.failure().class, FailureClass::Plugin);
}

#[test]
fn a_library_that_is_no_plugin_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int answer(void) { return 42; }").unwrap();
    let library = folder.path().join("libempty.so");
    let status = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success());
    let project = Project::with_plugin(&library, "train_model", "");
    refused(
        &project.run(&[]),
        &["is not a plugin", "explr_sdk::export!"],
    );
}

#[test]
fn a_file_that_is_no_library_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("text.so");
    std::fs::write(&library, "this is not ELF").unwrap();
    let project = Project::with_plugin(&library, "train_model", "");
    refused(&project.run(&[]), &["is not a shared library"]);
}

#[test]
fn an_unknown_function_gets_a_suggestion() {
    let project = Project::new("descends", "");
    refused(
        &project.run(&[]),
        &["no train function `descends`", "did you mean `descend`?"],
    );
}

#[test]
fn the_train_function_of_the_command_line_wins() {
    let project = Project::new("errors", "");
    let plugin = format!("{}:descend", fixture().display());
    let output = project.run(&["--train-fn", &plugin]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// A library that needs a function of libtorch.
fn needs_libtorch(folder: &Path) -> std::path::PathBuf {
    needs_libtorch_with(
        folder,
        "extern void at_nothing(void); void *p = at_nothing;",
    )
}

/// Compiles `code` against a libtorch of one function.
fn needs_libtorch_with(folder: &Path, code: &str) -> std::path::PathBuf {
    let source = folder.join("torch.c");
    std::fs::write(&source, code).unwrap();
    let stub = folder.join("libtorch_cpu.so");
    let stub_source = folder.join("stub.c");
    std::fs::write(&stub_source, "void at_nothing(void) {}").unwrap();
    let library = folder.join("libneedy.so");
    for (output, input, more) in [
        (&stub, &stub_source, None),
        (&library, &source, Some(&stub)),
    ] {
        let status = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([output, input])
            .args(more)
            .arg("-Wl,-soname,libtorch_cpu.so")
            .status()
            .unwrap();
        assert!(status.success());
    }
    library
}

#[test]
fn a_missing_libtorch_is_translated_into_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let library = needs_libtorch(folder.path());
    let project = Project::with_plugin(&library, "train_model", "");
    let output = project
        .explr()
        .args(["run", "config.yaml"])
        .env_remove("LIBTORCH")
        .env_remove("VIRTUAL_ENV")
        .output()
        .unwrap();
    refused(&output, &["needs libtorch", "none was found", "LIBTORCH"]);
}

#[test]
fn an_incomplete_libtorch_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = needs_libtorch(folder.path());
    let torch = folder.path().join("torch/lib");
    std::fs::create_dir_all(&torch).unwrap();
    std::fs::write(torch.join("libtorch_cpu.so"), "half a download").unwrap();
    let project = Project::with_plugin(&library, "train_model", "");
    let output = project
        .explr()
        .args(["run", "config.yaml"])
        .env("LIBTORCH", folder.path().join("torch"))
        .output()
        .unwrap();
    refused(
        &output,
        &["libtorch can't be opened", "libc10.so", "incomplete"],
    );
}

#[test]
fn a_crate_is_built_and_its_errors_are_cargos_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [workspace]\n",
    );
    write("src/lib.rs", "pub fn f() -> u32 { \"no number\" }\n");
    let project = Project::with_plugin(folder.path(), "train_model", "");
    refused(
        &project.run(&[]),
        &[
            "doesn't build",
            "error[E0308]: mismatched types",
            "src/lib.rs:1:21",
        ],
    );
    assert_eq!(project.store().runs().unwrap().len(), 0);
}

#[test]
fn a_crate_without_a_shared_library_is_told_what_to_add() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    let project = Project::with_plugin(folder.path(), "train_model", "");
    refused(&project.run(&[]), &["crate-type = [\"cdylib\"]"]);
}

#[test]
fn a_plugin_of_another_libtorch_is_refused_before_any_call() {
    let folder = tempfile::tempdir().unwrap();
    let library = needs_libtorch_with(
        folder.path(),
        "#include <stddef.h>
         #include <stdint.h>
         #include <stdlib.h>
         extern void at_nothing(void);
         static void call(const void *host, const void *data, size_t length) {
             at_nothing();
             abort();
         }
         static const struct { const char *name; void *call; } functions[] =
             {{\"train_model\", (void *)call}};
         static const struct {
             uint32_t abi; const char *sdk; const char *torch; size_t count; const void *functions;
         } table = {2, \"0.1.0\", \"2.10.0\", 1, functions};
         const void *explr_plugin(void) { return &table; }",
    );
    let torch = folder.path().join("torch");
    std::fs::create_dir_all(torch.join("lib")).unwrap();
    std::fs::create_dir_all(torch.join("include/torch/headeronly")).unwrap();
    for name in ["libc10.so", "libtorch_cpu.so"] {
        std::fs::copy(
            folder.path().join("libtorch_cpu.so"),
            torch.join("lib").join(name),
        )
        .unwrap();
    }
    std::fs::write(
        torch.join("include/torch/headeronly/version.h"),
        "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
         #define TORCH_VERSION_PATCH 0\n",
    )
    .unwrap();
    let project = Project::with_plugin(&library, "train_model", "");
    let output = project
        .explr()
        .args(["run", "config.yaml"])
        .env("LIBTORCH", &torch)
        .output()
        .unwrap();
    refused(
        &output,
        &[
            "built against libtorch 2.10.0",
            "is 2.11.0",
            "cargo build --release",
        ],
    );
}
