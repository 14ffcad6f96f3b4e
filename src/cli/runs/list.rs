use super::output::{Style, emit, emit_json, render, table};
use super::text;
use super::view::{Shown, View};
use comfy_table::{ColumnConstraint, Table};
use explr::Exit;
use explr::store::{RunDir, StoreError};
use jiff::tz::TimeZone;
use std::cmp::Ordering;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: super::StoreArgs,
    /// Only runs of this experiment.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// The trials of studies too.
    #[arg(long)]
    trials: bool,
    /// Only runs in this state. May be repeated.
    #[arg(long, value_enum)]
    state: Vec<Shown>,
    /// Sort by `created`, `duration`, or the final value of a metric; smallest
    /// first. Without it the newest runs come first.
    #[arg(long, value_name = "METRIC|created|duration")]
    sort: Option<String>,
    /// Largest first.
    #[arg(long, requires = "sort")]
    descending: bool,
    /// Show no more than this many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = match args.store.open_reconciled() {
        Ok(store) => store,
        Err(error @ StoreError::Missing { .. }) => {
            eprintln!("{error}");
            if args.json {
                emit("[]\n")?;
            }
            return Ok(Exit::Ok);
        }
        Err(error) => return Err(error.into()),
    };
    let runs = store.runs()?;
    let now = super::now_ms();
    let views = select(args, &runs, now);
    if args.json {
        emit_json(&views)?;
    } else if views.is_empty() {
        eprintln!("{}", nothing(runs.len()));
    } else {
        let table = rows(
            &views,
            args.sort.as_deref(),
            now,
            &TimeZone::system(),
            Style::of_stdout(),
        );
        emit(&render(&table))?;
    }
    let damaged: Vec<_> = views
        .iter()
        .filter_map(|view| view.error.as_ref())
        .collect();
    for error in damaged.iter().take(3) {
        eprintln!("warning: {error}");
    }
    if damaged.len() > 3 {
        eprintln!("warning: {} more runs are damaged", damaged.len() - 3);
    }
    Ok(Exit::Ok)
}

fn nothing(runs: usize) -> String {
    match runs {
        0 => "no runs yet: `explr run` makes the first".to_owned(),
        1 => "the one run of the store does not fit".to_owned(),
        many => format!("none of the {many} runs of the store fits"),
    }
}

/// The runs to show, in order.
fn select(args: &Args, runs: &[RunDir], now: u64) -> Vec<View> {
    let fits = |view: &View| {
        let experiment = args.experiment.as_deref();
        (args.trials || !view.is_trial())
            && (experiment.is_none() || view.experiment.as_deref() == experiment)
            && (args.state.is_empty() || args.state.contains(&view.state))
    };
    let limit = args.limit.unwrap_or(usize::MAX);
    // Newest first; the only order in which a limit saves reading the rest.
    let views = runs.iter().rev().map(|run| View::of(run, now)).filter(fits);
    let Some(sort) = args.sort.as_deref() else {
        return views.take(limit).collect();
    };
    let mut views: Vec<View> = views.collect();
    views.sort_by(|a, b| compare(a, b, sort, args.descending));
    views.truncate(limit);
    views
}

fn compare(a: &View, b: &View, sort: &str, descending: bool) -> Ordering {
    let order = match sort {
        "created" => a.created_ms.cmp(&b.created_ms),
        "duration" => a.duration_ms.cmp(&b.duration_ms),
        metric => {
            let known = |view: &View| view.value(metric).filter(|value| !value.is_nan());
            match (known(a), known(b)) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                // Runs without the metric, or with NaN, come last either way.
                (a, b) => return b.is_some().cmp(&a.is_some()),
            }
        }
    };
    if descending { order.reverse() } else { order }
}

fn rows(views: &[View], sort: Option<&str>, now: u64, zone: &TimeZone, style: Style) -> Table {
    let header = [
        "RUN",
        "EXPERIMENT",
        "STATE",
        "STARTED",
        "DURATION",
        "METRIC",
        "BEST",
    ];
    let mut table = table(&header);
    let by_metric = sort.filter(|sort| !["created", "duration"].contains(sort));
    for view in views {
        let (metric, best) = metric(view, by_metric);
        table.add_row(vec![
            view.short.clone().into(),
            text::one_line(view.experiment.as_deref().unwrap_or("?")).into(),
            style.state(view.state.run_state(), view.state_text()),
            text::started(view.started_ms.unwrap_or(view.created_ms), now, zone).into(),
            duration(view).into(),
            metric.into(),
            comfy_table::Cell::new(best),
        ]);
    }
    // On a narrow terminal the others wrap: an id must stay one word.
    for column in [0, 2, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// The metric sorted by, else the primary one; and the best value of it.
fn metric(view: &View, by_metric: Option<&str>) -> (String, String) {
    let primary = view.primary.as_ref();
    let name = by_metric.or(primary.map(|primary| primary.name.as_str()));
    let Some((name, value)) = name.and_then(|name| Some((name, view.value(name)?))) else {
        return (String::new(), String::new());
    };
    let best = primary
        .filter(|primary| primary.name == name)
        .and_then(|primary| primary.best.as_ref())
        .map_or_else(String::new, |best| {
            best.as_f64()
                .map_or_else(|| text::value(best), text::number)
        });
    (
        format!("{} {}", text::one_line(name), text::number(value)),
        best,
    )
}

/// Blank for a run that never began, or whose journal can't be read.
fn duration(view: &View) -> String {
    view.started_ms.map_or_else(String::new, |_| {
        text::duration(Duration::from_millis(view.duration_ms))
    })
}
