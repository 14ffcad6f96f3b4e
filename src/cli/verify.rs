//! `explr verify`: what runs need of this machine.

use super::runs::output::Style;
use super::runs::text::printable;
use super::runs::{StoreArgs, emit};
use anyhow::Context;
use explr::Exit;
use explr::verify::{Check, Page, Place, Verdict, verify};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let folder = std::env::current_dir().context("the current folder can't be found")?;
    let place = Place {
        program: std::env::current_exe().context("the explr program can't be found")?,
        store: folder.join(args.store.path(&folder)),
        folder,
    };
    let page = verify(&place);
    if args.json {
        super::runs::output::emit_json(&as_json(&page))?;
    } else {
        emit(&as_text(&page, Style::of_stdout()))?;
    }
    Ok(page.exit())
}

/// The word for a verdict, and what to do.
fn word(check: &Check) -> (&'static str, Option<&str>) {
    match &check.verdict {
        Verdict::Ok => ("ok", None),
        Verdict::Warning { fix } => ("warning", Some(fix)),
        Verdict::Failure { fix } => ("failure", Some(fix)),
        Verdict::NotApplicable => ("not_applicable", None),
    }
}

fn as_json(page: &Page) -> Value {
    let checks = page.checks().map(|(section, check)| {
        let (status, fix) = word(check);
        json!({
            "section": section,
            "name": check.name,
            "status": status,
            "seen": check.seen,
            "fix": fix,
        })
    });
    json!({
        "exit_code": page.exit() as u8,
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn as_text(page: &Page, style: Style) -> String {
    let width = page.checks().map(|(_, check)| check.name.chars().count());
    let width = width.max().unwrap_or(0);
    let mut text = String::new();
    for section in &page.sections {
        let _ = writeln!(text, "{}", section.name);
        for check in &section.checks {
            let (word, fix) = word(check);
            // The words are padded before they are coloured.
            let word = style.verdict(check, &format!("{:7}", word.replace("not_applicable", "-")));
            let (name, seen) = (printable(&check.name), printable(&check.seen));
            let seen = seen.replace('\n', " ");
            let _ = writeln!(text, "  {word}  {name:width$}  {seen}");
            if let Some(fix) = fix {
                let _ = writeln!(text, "           {:width$}  fix: {}", "", printable(fix));
            }
        }
    }
    let _ = writeln!(text, "\n{}", summary(page));
    text
}

impl Style {
    fn verdict(self, check: &Check, word: &str) -> String {
        let colour = match check.verdict {
            _ if self == Self::Plain => return word.to_owned(),
            Verdict::Ok => 32,
            Verdict::Warning { .. } => 33,
            Verdict::Failure { .. } => 31,
            Verdict::NotApplicable => 2,
        };
        format!("\u{1b}[{colour}m{word}\u{1b}[0m")
    }
}

fn summary(page: &Page) -> String {
    let count = |wanted| {
        let of_word = |(_, check)| word(check).0 == wanted;
        page.checks().filter(|found| of_word(*found)).count()
    };
    let many = |count, one: &str| match count {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    format!(
        "{} ok, {}, {}; - means that there is nothing to check",
        count("ok"),
        many(count("warning"), "warning"),
        many(count("failure"), "failure")
    )
}

#[cfg(test)]
mod tests {
    use super::{Style, as_json, as_text};
    use explr::Exit;
    use explr::verify::{Check, Page, Section, Verdict};

    fn page() -> Page {
        let check = |name: &str, seen: &str, verdict| Check {
            name: name.to_owned(),
            seen: seen.to_owned(),
            verdict,
        };
        let fix = "sudo reboot".to_owned();
        let old = "13.0, which needs driver 580 or newer; this driver is 570.195.03";
        let install = "pip install torch==2.10.0".to_owned();
        Page {
            sections: vec![
                Section {
                    name: "GPU",
                    exit: Exit::Resources,
                    checks: vec![
                        check("driver", "updated", Verdict::Warning { fix }),
                        check("CUDA of libtorch", old, Verdict::Failure { fix: install }),
                    ],
                },
                Section {
                    name: "machine",
                    exit: Exit::Resources,
                    checks: vec![
                        check("clock", "2026-11-25 10:00:00 UTC", Verdict::Ok),
                        check("container", "not in one", Verdict::NotApplicable),
                    ],
                },
            ],
        }
    }

    #[test]
    fn people_see_what_is_wrong_and_the_command_that_helps() {
        insta::assert_snapshot!(as_text(&page(), Style::Plain), @r"
        GPU
          warning  driver            updated
                                     fix: sudo reboot
          failure  CUDA of libtorch  13.0, which needs driver 580 or newer; this driver is 570.195.03
                                     fix: pip install torch==2.10.0
        machine
          ok       clock             2026-11-25 10:00:00 UTC
          -        container         not in one

        1 ok, 1 warning, 1 failure; - means that there is nothing to check
        ");
    }

    #[test]
    fn colours_change_no_widths() {
        let coloured = as_text(&page(), Style::Coloured);
        assert!(
            coloured.contains("\u{1b}[31mfailure\u{1b}[0m  CUDA"),
            "{coloured}"
        );
        assert!(
            coloured.contains("\u{1b}[32mok     \u{1b}[0m  clock"),
            "{coloured}"
        );
    }

    #[test]
    fn programs_see_the_same() {
        let json = as_json(&page());
        assert_eq!(json["exit_code"], 7);
        assert_eq!(json["checks"][1]["status"], "failure");
        assert_eq!(json["checks"][1]["fix"], "pip install torch==2.10.0");
        assert_eq!(json["checks"][3]["fix"], serde_json::Value::Null);
    }
}
