//! From the C table to the train function and back.
//!
//! Nothing unwinds out of here: whatever the function does, the worker is
//! given exactly one outcome that counts.

use crate::host::Host;
use crate::panics::Watch;
use crate::{Pruned, Result, TrainingContext, TrainingResult};
use explr_protocol::abi::{ABI_VERSION, Bytes, HostTable};
use explr_protocol::{FailureClass, Outcome, RunContext, TrainError};
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Version of this crate, for the plugin's table.
pub const SDK_VERSION: &CStr = version(concat!(env!("CARGO_PKG_VERSION"), "\0"));

/// Version of the libtorch that this was built against, or empty.
pub const TORCH_VERSION: &CStr = version(concat!(env!("EXPLR_TORCH_VERSION"), "\0"));

const fn version(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"unknown",
    }
}

/// What the functions of a plugin's table do.
///
/// # Safety
/// `host` is null or points to a table of this [`ABI_VERSION`], and `context`
/// to its bytes, during the call.
pub unsafe fn call(
    host: *const HostTable,
    context: Bytes,
    function: fn(&mut TrainingContext) -> Result<TrainingResult>,
) {
    // SAFETY: the caller's promise.
    let Some(host) = (unsafe { host.as_ref() }) else {
        return;
    };
    // SAFETY: the caller's promise.
    let context = unsafe { context.as_slice() };
    // SAFETY: the caller's promise.
    unsafe { run(host, context, &function) };
}

/// Runs a train function and hands its outcome to the worker.
///
/// # Safety
/// `table.host` is valid during the call.
pub(crate) unsafe fn run(
    table: &HostTable,
    context: &[u8],
    function: &dyn Fn(&mut TrainingContext) -> Result<TrainingResult>,
) {
    if table.abi_version != ABI_VERSION {
        // Not even `finish` is where this crate would look for it.
        eprintln!(
            "explr-sdk: the worker speaks version {} of the plugin table, this plugin version \
             {ABI_VERSION}; build both with the same explr",
            table.abi_version
        );
        return;
    }
    // SAFETY: the caller's promise, and `close` below.
    let host = unsafe { Host::new(table) };
    let watch = Watch::new(&host);
    let caught = catch_unwind(AssertUnwindSafe(|| outcome(&host, context, function)));
    let outcome = caught.unwrap_or_else(|payload| {
        // A payload whose drop panics must not unwind from here.
        std::mem::forget(payload);
        Outcome::Err(Watch::last_panic())
    });
    drop(watch);
    if let Err(error) = host.finish(&outcome) {
        eprintln!("explr-sdk: the outcome could not be handed over: {error}");
    }
    host.close();
}

fn outcome(
    host: &Host,
    context: &[u8],
    function: &dyn Fn(&mut TrainingContext) -> Result<TrainingResult>,
) -> Outcome {
    let run: RunContext = match serde_json::from_slice(context) {
        Ok(run) => run,
        Err(error) => {
            return Outcome::Err(TrainError {
                class: FailureClass::Plugin,
                message: format!("the worker's description of the run can't be read: {error}"),
                location: None,
            });
        }
    };
    let trained = prepare(&run).and_then(|()| {
        let mut context = TrainingContext::new(run, host.clone());
        let result = function(&mut context)?;
        // A second attempt that logged nothing still has to say so.
        context.resume.tell_start(host)?;
        Ok(result)
    });
    match trained {
        Ok(result) => Outcome::Ok(result.into_inner()),
        Err(error) => match error.pruned() {
            Some(&Pruned { step, value }) => Outcome::Pruned { step, value },
            None => Outcome::Err(error.into_train_error()),
        },
    }
}

#[cfg(feature = "torch")]
fn prepare(run: &RunContext) -> Result<()> {
    crate::torch::prepare(run)
}

#[cfg(not(feature = "torch"))]
#[expect(clippy::unnecessary_wraps, reason = "with torch it can fail")]
fn prepare(_run: &RunContext) -> Result<()> {
    Ok(())
}
