//! The hidden `explr tensor`: a tensor operation, for `explr verify`.

use clap::ValueEnum;
use explr::worker::{Trial, try_tensors};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the libtorch.
    libtorch: PathBuf,
    /// What to try.
    trial: Choice,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    Cpu,
    Cuda,
    OpenCuda,
}

pub(crate) fn execute(args: &Args) -> ! {
    let trial = match args.trial {
        Choice::Cpu => Trial::Cpu,
        Choice::Cuda => Trial::Cuda,
        Choice::OpenCuda => Trial::OpenCuda,
    };
    try_tensors(&args.libtorch, trial)
}
