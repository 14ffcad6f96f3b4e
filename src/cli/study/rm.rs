use crate::cli::confirm::confirmed;
use crate::cli::runs::StoreArgs;
use explr::Exit;
use explr::store::RunDir;
use explr::tuning::export;
use explr_study::StudyLock;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The study's name.
    study: String,
    #[command(flatten)]
    store: StoreArgs,
    /// Keep the runs of its trials.
    #[arg(long)]
    keep_runs: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let store = args.store.open_reconciled()?;
    let (name, journal) = super::find(&store, Some(&args.study))?;
    let lock = StudyLock::take(&journal).map_err(explr::Error::from)?;
    let history = super::load(&journal, &name)?;
    let own = history
        .user_attrs()
        .get(explr::tuning::RUN_ATTR)
        .and_then(|run| run.as_str());
    let runs: Vec<RunDir> = history
        .trials()
        .iter()
        .filter_map(export::run_of)
        .chain(own)
        .filter(|_| !args.keep_runs)
        .filter_map(|run| store.run(run).ok())
        .collect();
    let what = format!(
        "study {name} with {} trials and {} runs",
        history.trials().len(),
        runs.len()
    );
    if !args.yes && !confirmed(&what)? {
        eprintln!("nothing removed");
        return Ok(Exit::NothingToDo);
    }
    for run in &runs {
        store.remove(run)?;
    }
    store.remove_study(&journal)?;
    drop(lock);
    eprintln!("removed {what}; what MLflow holds of them stays there");
    Ok(Exit::Ok)
}
