//! Whether a machine can do what explr needs, for `explr verify`.
//!
//! Each file looks at one part of the machine: it gathers facts, and its
//! checks are pure functions of them. A [`Check`] says what was seen and,
//! where it is not well, what to do. No plugin and no libtorch is opened here:
//! a process of its own does that ([`worker::try_tensors`](crate::worker::try_tensors)),
//! so one that crashes or hangs is a failed check.

mod check;
mod clock;
mod command;
mod container;
mod gpu;
mod libtorch;
mod machine;
mod store;
mod tensors;
mod tools;
mod tracking;
mod version;

pub use check::{Check, Page, Section, Verdict};

use crate::Exit;
use std::path::PathBuf;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Place {
    /// The `explr` program, which is started to try libtorch.
    pub program: PathBuf,
    /// The folder of the project.
    pub folder: PathBuf,
    /// The store, which may not exist yet.
    pub store: PathBuf,
}

/// Makes every check. Changes nothing but for a file that comes and goes in
/// the store.
pub fn verify(place: &Place) -> Page {
    let libtorch = libtorch::gather(&place.folder);
    let gpus = gpu::gather();
    let tensors = tensors::gather(&place.program, libtorch.found.as_ref(), &gpus);
    let store = store::gather(&place.store);
    let tracking = tracking::gather(place);
    let machine = machine::gather(&gpus, &store, &tracking);
    let section = |name, exit, checks| Section { name, exit, checks };
    Page {
        sections: vec![
            section("explr", Exit::Plugin, tools::checks(&tools::gather(place))),
            section("libtorch", Exit::Plugin, {
                let mut checks = libtorch::checks(&libtorch);
                checks.extend(tensors::on_cpu(&tensors));
                checks
            }),
            section("GPU", Exit::Resources, {
                let mut checks = gpu::checks(&gpus, libtorch.found.as_ref());
                checks.extend(tensors::on_gpus(&tensors));
                checks
            }),
            section("MLflow", Exit::Tracking, tracking::checks(&tracking)),
            section("store", Exit::Store, store::checks(&store)),
            section("machine", Exit::Resources, machine::checks(&machine)),
        ],
    }
}
