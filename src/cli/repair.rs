use super::runs::{StoreArgs, emit};
use super::study;
use explr::Exit;
use explr::report::text::printable;
use explr::store::{RepairReport, RunDir};
use explr_study::Repair;
use std::fmt::Write;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct Args {
    /// The runs: ids, unique starts of them, short forms, or `last`.
    #[arg(group = "which", value_name = "RUN")]
    runs: Vec<String>,
    /// The journal of a study.
    #[arg(long, group = "which", value_name = "NAME")]
    study: Option<String>,
    /// Every run and every study of the store.
    #[arg(long, group = "which")]
    all: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open()?;
    let (runs, studies) = if args.all {
        (store.runs()?, store.studies()?)
    } else if let Some(name) = &args.study {
        (Vec::new(), vec![study::find(&store, Some(name))?])
    } else {
        let named: Result<_, _> = args.runs.iter().map(|name| store.run(name)).collect();
        (named?, Vec::new())
    };
    let runs_done = runs.iter().map(|run| {
        let report = store.repair(run)?;
        Ok((report.original.is_some(), describe(run, &report)))
    });
    let studies_done = studies.iter().map(|(name, journal)| {
        let report = explr_study::repair(journal)?;
        Ok((report.original.is_some(), describe_study(name, &report)))
    });
    let mut first_error = None;
    for done in runs_done.chain(studies_done) {
        match done {
            Ok((false, _)) if args.all => {}
            Ok((_, text)) => emit(&text)?,
            Err(error) => {
                let error: explr::Error = error;
                eprintln!("error: {error}");
                first_error.get_or_insert(error.exit());
            }
        }
    }
    if args.all {
        eprintln!(
            "looked at {} runs and {} studies",
            runs.len(),
            studies.len()
        );
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
    let dropped = report.dropped.iter();
    text += &lines(dropped.map(|dropped| (dropped.line, dropped.bytes, dropped.why.as_str())));
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
    text += &saved(original);
    text
}

fn describe_study(name: &str, report: &Repair) -> String {
    let name = printable(name);
    let Some(original) = &report.original else {
        return format!(
            "study {name}: nothing to repair, {} whole\n",
            records(report.kept)
        );
    };
    let mut text = format!("study {name}: kept {}\n", records(report.kept));
    let dropped = report.dropped.iter();
    text += &lines(dropped.map(|dropped| (dropped.line, dropped.bytes, dropped.why.as_str())));
    if report.lost_trials > 0 {
        let _ = writeln!(
            text,
            "  trials whose parameters are lost, and which count as failed: {}",
            report.lost_trials
        );
    }
    text += &saved(original);
    text
}

/// Lines that were dropped: number, length, and what was wrong.
fn lines<'a>(dropped: impl ExactSizeIterator<Item = (u64, u64, &'a str)>) -> String {
    let mut text = String::new();
    let more = dropped.len().saturating_sub(NAMED);
    for (line, bytes, why) in dropped.take(NAMED) {
        let why = printable(why);
        let _ = writeln!(text, "  dropped line {line} ({bytes} bytes): {why}");
    }
    if more > 0 {
        let _ = writeln!(text, "  dropped {more} more lines");
    }
    text
}

fn saved(original: &Path) -> String {
    format!(
        "  the original is {}\n",
        printable(&original.display().to_string())
    )
}

fn records(count: u64) -> String {
    match count {
        1 => "1 record".to_owned(),
        many => format!("{many} records"),
    }
}
