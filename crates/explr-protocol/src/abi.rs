//! The C table between a worker and a plugin.
//!
//! A plugin exports one symbol, [`ENTRY_SYMBOL`], of type [`EntryPoint`]. The
//! worker reads [`PluginTable::abi_version`] first and touches nothing else
//! of a table whose version is not [`ABI_VERSION`]. Only plain data crosses:
//! numbers, UTF-8 bytes with a length, and function pointers. No Rust type,
//! no allocation and no unwinding crosses, so plugin and worker may be built
//! by different compilers.
//!
//! Every pointer is valid for the duration of the call that passes it, except
//! those of the [`PluginTable`], which live as long as the plugin is loaded.

use std::ffi::{c_char, c_void};

/// Version of this table. Any change to a type in this module raises it.
pub const ABI_VERSION: u32 = 2;

/// Name of the symbol that every plugin exports, with its final NUL.
pub const ENTRY_SYMBOL: &std::ffi::CStr = c"explr_plugin";

/// Type of the function behind [`ENTRY_SYMBOL`].
pub type EntryPoint = unsafe extern "C" fn() -> *const PluginTable;

/// What a plugin says of itself.
#[repr(C)]
#[derive(Debug)]
pub struct PluginTable {
    /// [`ABI_VERSION`] of the SDK that the plugin was built with. The one
    /// field whose place never changes.
    pub abi_version: u32,
    /// Version of `explr-sdk`, NUL-terminated.
    pub sdk_version: *const c_char,
    /// Version of the libtorch it was built against, NUL-terminated; empty
    /// when it was built without.
    pub torch_version: *const c_char,
    /// Number of train functions.
    pub function_count: usize,
    /// The train functions.
    pub functions: *const PluginFunction,
}

// SAFETY: a table is immutable, and what its pointers point to is static.
unsafe impl Sync for PluginTable {}

/// One train function of a plugin.
#[repr(C)]
#[derive(Debug)]
pub struct PluginFunction {
    /// Its name, NUL-terminated.
    pub name: *const c_char,
    /// Calls it with a [`RunContext`](crate::RunContext) as JSON. The outcome
    /// has been given to [`HostTable::finish`] when this returns.
    pub call: unsafe extern "C" fn(host: *const HostTable, context: Bytes),
}

// SAFETY: as for `PluginTable`.
unsafe impl Sync for PluginFunction {}

/// Borrowed UTF-8 text or JSON.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// First byte; may dangle when `len` is 0.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl Bytes {
    /// Borrows `bytes`. The caller keeps them alive while the value is used.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `data` points to `len` bytes that live and do not change during `'a`.
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            &[]
        } else {
            // SAFETY: the caller's promise.
            unsafe { std::slice::from_raw_parts(self.data, self.len) }
        }
    }
}

/// A metric on its way to the journal.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RawMetric {
    /// Name of the metric.
    pub key: Bytes,
    /// Value, finite or not.
    pub value: f64,
}

/// Takes the answer to [`HostTable::ask`] on the plugin's side.
pub type TakeAnswer = unsafe extern "C" fn(sink: *mut c_void, answer: Bytes);

/// Result of a [`HostTable`] call: 0 is success; anything else means that
/// [`HostTable::last_error`] has a message.
pub type Status = i32;

/// What a worker offers to a plugin. Every function may be called from any
/// thread.
#[repr(C)]
#[derive(Debug)]
pub struct HostTable {
    /// [`ABI_VERSION`] of the worker.
    pub abi_version: u32,
    /// Passed back as the first argument of every call.
    pub host: *const c_void,
    /// Appends `count` metrics of one step to the journal, in one write. When
    /// it returns 0 they survive the death of every process.
    pub log_metrics: unsafe extern "C" fn(
        host: *const c_void,
        metrics: *const RawMetric,
        count: usize,
        step: i64,
    ) -> Status,
    /// Appends an [`Event`](crate::Event), given as JSON, to the journal.
    pub log_event: unsafe extern "C" fn(host: *const c_void, event: Bytes) -> Status,
    /// Tells how far the function is, as a
    /// [`Progress`](crate::control::Progress) in JSON. For the display only.
    pub progress: unsafe extern "C" fn(host: *const c_void, progress: Bytes) -> Status,
    /// Takes the [`Outcome`](crate::Outcome), as JSON. The first call counts.
    pub finish: unsafe extern "C" fn(host: *const c_void, outcome: Bytes) -> Status,
    /// Asks the study an [`Ask`](crate::Ask), given as JSON, and waits. When it
    /// returns 0, `take` has been called once, with `sink` and the
    /// [`Answer`](crate::Answer) as JSON.
    pub ask: unsafe extern "C" fn(
        host: *const c_void,
        question: Bytes,
        take: TakeAnswer,
        sink: *mut c_void,
    ) -> Status,
    /// 1 when the function was asked to stop, else 0.
    pub stop_requested: unsafe extern "C" fn(host: *const c_void) -> i32,
    /// Number of records in the journal.
    pub journal_len: unsafe extern "C" fn(host: *const c_void) -> u64,
    /// Copies the calling thread's last error message, at most `capacity`
    /// bytes of it, and returns its whole length.
    pub last_error:
        unsafe extern "C" fn(host: *const c_void, buffer: *mut u8, capacity: usize) -> usize,
}

// SAFETY: the functions may be called from any thread, see above; `host` is
// only ever passed back to them.
unsafe impl Send for HostTable {}
// SAFETY: as for `Send`.
unsafe impl Sync for HostTable {}
