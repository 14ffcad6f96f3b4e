//! `explr memory`: how much of the GPUs workers may use, and what they use.

mod page;

use super::runs::StoreArgs;
use super::runs::output::{emit, emit_json};
use anyhow::Context;
use explr::config::Loaded;
use explr::gpu::{self, Driver, Limit, LimitError, Source, stored};
use explr::runner::RunError;
use explr::{Exit, Experiment};
use page::Page;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What gives the limit, the strongest first: the variable EXPLR_GPU_MEMORY_GB, \
    the command line, the configuration, the project's stored limit, the user's stored limit, \
    24 GB.\n\n\
    Exit codes: 0 done, 3 no such limit, 7 more than the GPU has, 9 store."
)]
pub(crate) struct Args {
    /// A configuration, to show what its runs would get.
    #[arg(conflicts_with = "change")]
    config: Option<PathBuf>,
    /// Settings that override the file's, as in `resources.gpus=0.5`.
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Show the limit, and what each GPU and worker holds; this is the default.
    #[arg(long, conflicts_with = "change")]
    show: bool,
    /// Store a limit for this project, in GB (10^9 bytes); 0 for no limit.
    #[arg(long, value_name = "GB", allow_hyphen_values = true, group = "change")]
    limit: Option<String>,
    /// Forget this project's stored limit.
    #[arg(long, group = "change")]
    reset: bool,
    /// Store or forget the user's limit, which is for every project.
    #[arg(long, requires = "change")]
    global: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    fn loaded(&self) -> Result<Option<Loaded>, explr::Error> {
        let settings = self.overrides.iter().cloned();
        let experiment = self.config.as_ref().map(Experiment::from_file);
        experiment
            .map(|experiment| settings.fold(experiment, Experiment::set).loaded())
            .transpose()
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    match &args.limit {
        Some(text) => set(args, text)?,
        None if args.reset => reset(args)?,
        None => show(args)?,
    }
    Ok(Exit::Ok)
}

fn show(args: &Args) -> anyhow::Result<()> {
    let loaded = args.loaded()?;
    let store = match &loaded {
        Some(loaded) => loaded.resolve(&loaded.config.store),
        None => args.store.root(),
    };
    let limit = gpu::limit(loaded.as_ref(), Some(&store))?;
    let gpus = Driver::open().map(|driver| driver.read());
    let trials = loaded.map_or(1, |loaded| loaded.config.resources.trials_per_gpu());
    let page = Page::new(&limit, trials, &gpus);
    if args.json {
        emit_json(&page)
    } else {
        Ok(emit(&page.text())?)
    }
}

fn set(args: &Args, text: &str) -> anyhow::Result<()> {
    let target = target(args)?;
    let given = Source::Argument(format!("--limit {text}"));
    let limit = Limit::choose([(given, text.to_owned())]).map_err(refused)?;
    if let Ok(driver) = Driver::open() {
        let gpus = driver.read();
        let sizes = gpus.units().into_iter().filter_map(|unit| unit.memory);
        if let Some(largest) = sizes.map(|memory| memory.total).max() {
            limit.check(largest).map_err(refused)?;
        }
    }
    stored::write(&target, limit.bytes.unwrap_or(0))?;
    emit(&format!("stored {}: {target}\n", page::amount(&limit)))?;
    warn_if_outweighed(args, &target)
}

fn reset(args: &Args) -> anyhow::Result<()> {
    let target = target(args)?;
    if stored::reset(&target)? {
        emit(&format!("forgotten: {target}\n"))?;
    } else {
        emit(&format!("there was none: {target}\n"))?;
    }
    let limit = gpu::limit(None, Some(&args.store.root()))?;
    Ok(emit(&format!(
        "the limit is {} now, from {}\n",
        page::amount(&limit),
        limit.source
    ))?)
}

/// What is changed.
fn target(args: &Args) -> anyhow::Result<Source> {
    if args.global {
        stored::user().context(
            "there is no place for the user's limit: neither XDG_CONFIG_HOME nor HOME is set",
        )
    } else {
        Ok(stored::project(&args.store.root()))
    }
}

fn warn_if_outweighed(args: &Args, target: &Source) -> anyhow::Result<()> {
    let limit = gpu::limit(None, Some(&args.store.root()))?;
    if limit.source != *target {
        eprintln!(
            "note: {} comes first here: {}",
            limit.source,
            page::amount(&limit)
        );
    }
    Ok(())
}

fn refused(error: LimitError) -> explr::Error {
    RunError::from(error).into()
}
