//! `explr gpu-info`: the GPUs, as the driver tells of them.

mod page;
mod watch;

pub(super) use page::work;

use super::runs::output::{emit, emit_json};
use explr::Exit;
use explr::gpu::{Driver, Gpus, NoGpu};
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 7 no GPU or no driver.")]
pub(crate) struct Args {
    /// Print JSON; with --watch, one object a line.
    #[arg(long)]
    json: bool,
    /// Go on showing, every so many seconds [default: 2], until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(missing) => return none(args, &missing),
    };
    match args.watch {
        Some(every) => watch::watch(&driver, every, args.json)?,
        None if args.json => emit_json(&driver.read())?,
        None => emit(&page::page(&driver.read()))?,
    }
    Ok(Exit::Ok)
}

fn none(args: &Args, missing: &NoGpu) -> anyhow::Result<Exit> {
    if args.json {
        emit_json(&Gpus {
            cuda_visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            notes: vec![missing.to_string()],
            ..Gpus::default()
        })?;
    }
    eprintln!("error: no GPU: {missing}\nhelp: {}", missing.help());
    Ok(Exit::Resources)
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds >= 0.1)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a number of seconds, 0.1 or more".to_owned())
}
