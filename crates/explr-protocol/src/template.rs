//! Messages between the orchestrator and a template: the process that loads
//! the train function's code once and forks a worker for each run.
//!
//! One JSON object a packet, over a socket pair of type `SOCK_SEQPACKET`
//! whose template end is the file descriptor named by [`FD_VARIABLE`]. A
//! template that reads end of file ends, and its workers end with it.

use crate::Device;
use crate::control::Code;
use serde::{Deserialize, Serialize};

/// Environment variable that holds the number of the template's descriptor.
pub const FD_VARIABLE: &str = "EXPLR_TEMPLATE_FD";

/// Stands for the run's id in a template's
/// [`RUN_VARIABLE`](crate::control::RUN_VARIABLE). A forked worker writes its
/// own over it, in place, so that the system shows it. Run ids are as long.
pub const NO_RUN: &str = "00000000-0000-0000-0000-000000000000";

/// From the orchestrator to a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToTemplate {
    /// Load this code. Sent once, first.
    Load {
        /// The code.
        code: Code,
        /// Where tensors will live.
        device: Device,
    },
    /// Fork a worker. Two descriptors come with the packet: the worker's end
    /// of its control socket, and the write end of the pipe for its output.
    Fork {
        /// The run's id.
        run_id: String,
        /// Environment variables of this worker alone.
        environment: Vec<(String, String)>,
    },
}

/// From a template to the orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromTemplate {
    /// The code is loaded, and this process can be forked.
    Ready,
    /// Workers can't be forked from this process.
    NotForkable {
        /// Why not.
        why: String,
    },
    /// A worker runs.
    Forked {
        /// Its run.
        run_id: String,
        /// Its process id, which is also that of its group.
        pid: i32,
    },
    /// A worker could not be forked.
    NotForked {
        /// Its run.
        run_id: String,
        /// Why not.
        why: String,
    },
    /// A worker has ended.
    Exited {
        /// Its process id.
        pid: i32,
        /// Its status as `wait(2)` gives it.
        status: i32,
    },
}
