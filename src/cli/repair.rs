use super::runs::{StoreArgs, emit};
use explr::Exit;
use explr::report::text::printable;
use explr::store::{RepairReport, RunDir};
use std::fmt::Write;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct Args {
    /// The runs: ids, unique starts of them, short forms, or `last`.
    #[arg(group = "which", value_name = "RUN")]
    runs: Vec<String>,
    /// Every run of the store.
    #[arg(long, group = "which")]
    all: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open()?;
    let runs = if args.all {
        store.runs()?
    } else {
        let named: Result<_, _> = args.runs.iter().map(|name| store.run(name)).collect();
        named?
    };
    let mut first_error = None;
    for run in &runs {
        match store.repair(run) {
            Ok(report) if args.all && report.original.is_none() => {}
            Ok(report) => emit(&describe(run, &report))?,
            Err(error) => {
                eprintln!("error: {error}");
                first_error.get_or_insert(error.exit());
            }
        }
    }
    if args.all {
        eprintln!("looked at {} runs", runs.len());
    }
    // A repaired run may be one that a crash left without an end.
    explr::runner::reconcile(&store)?;
    Ok(first_error.unwrap_or(Exit::Ok))
}

/// Most dropped lines that are named one by one.
const NAMED: usize = 20;

fn describe(run: &RunDir, report: &RepairReport) -> String {
    let id = run.id().short();
    let Some(original) = &report.original else {
        return format!("{id}: nothing to repair, {} whole\n", records(report.kept));
    };
    let mut text = format!("{id}: kept {}\n", records(report.kept));
    for dropped in report.dropped.iter().take(NAMED) {
        let _ = writeln!(
            text,
            "  dropped line {} ({} bytes): {}",
            dropped.line,
            dropped.bytes,
            printable(&dropped.why)
        );
    }
    if report.dropped.len() > NAMED {
        let _ = writeln!(
            text,
            "  dropped {} more lines",
            report.dropped.len() - NAMED
        );
    }
    if report.missing > 0 {
        let _ = writeln!(
            text,
            "  lost: {}; a warning stands in the place of each",
            records(report.missing)
        );
    }
    if report.renumbered > 0 {
        let _ = writeln!(text, "  numbered anew: {}", records(report.renumbered));
    }
    let _ = writeln!(
        text,
        "  the original is {}",
        printable(&original.display().to_string())
    );
    text
}

fn records(count: u64) -> String {
    match count {
        1 => "1 record".to_owned(),
        many => format!("{many} records"),
    }
}
