//! `docs/reference/cli.md` shows every command's `--help`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use assert_cmd::Command;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
const MARK: &str = "<!-- What follows is what `--help` prints; a test keeps it so. -->\n";

#[test]
fn the_reference_shows_the_help_of_every_command() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (by_hand, shown) = page.split_once(MARK).expect("the mark is gone");
    let mut real = String::new();
    describe(&mut real, &[]);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PAGE, format!("{by_hand}{MARK}{real}")).unwrap();
        return;
    }
    assert!(
        shown == real,
        "docs/reference/cli.md is out of date; renew it with\n    \
         UPDATE=1 cargo test -p explr --test cli_reference"
    );
}

/// Writes about a command, then about its subcommands.
fn describe(page: &mut String, command: &[&str]) {
    let help = help(command);
    let level = "#".repeat(command.len().min(1) + 1);
    let name = [&["explr"], command].concat().join(" ");
    writeln!(page, "\n{level}# `{name}`\n\n```text\n{}\n```", help.trim()).unwrap();
    for subcommand in subcommands(&help) {
        describe(page, &[command, &[subcommand]].concat());
    }
}

fn help(command: &[&str]) -> String {
    let output = Command::cargo_bin("explr")
        .unwrap()
        .env_clear()
        .env("COLUMNS", "100")
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "explr {command:?} --help");
    let help = String::from_utf8(output.stdout).unwrap();
    // Lines that only separate paragraphs are indented.
    help.lines()
        .fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn subcommands(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}
