//! Opens a plugin and calls it.
//!
//! libtorch comes first, by absolute path and with its symbols global, so the
//! plugin's needed libraries are already there: neither `LD_LIBRARY_PATH` nor
//! an rpath plays a part, and CUDA isn't lost to the linker's `--as-needed`.

use super::host::Host;
use explr_protocol::Device;
use explr_protocol::abi::{
    ABI_VERSION, Bytes, ENTRY_SYMBOL, EntryPoint, PluginFunction, PluginTable,
};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};
use object::read::elf::{Dyn, ElfFile64, FileHeader};
use std::ffi::{CStr, c_char};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// Why a plugin can't be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    #[error("the plugin {} can't be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not a shared library of this machine: {why}", path.display())]
    NotALibrary { path: PathBuf, why: String },
    #[error(
        "the plugin {} needs libtorch, and none was found\n\
         help: run `make setup`, or point LIBTORCH at a folder with libtorch's `lib`, \
         for example the `torch` folder of a virtual environment with torch 2.10.0",
        path.display()
    )]
    NoLibtorch { path: PathBuf },
    #[error(
        "libtorch can't be opened: {why}\n\
         help: the libtorch in {} is incomplete or built for another machine; install it again \
         (`make setup`), or point LIBTORCH at another",
        folder.display()
    )]
    Libtorch { folder: PathBuf, why: String },
    #[error("the plugin {} can't be opened: {why}", path.display())]
    Open { path: PathBuf, why: String },
    #[error(
        "{} is not a plugin: it doesn't export `explr_plugin`\n\
         help: its crate needs `crate-type = [\"cdylib\"]` and `explr_sdk::export!(...)`",
        path.display()
    )]
    NoEntry { path: PathBuf },
    #[error(
        "the plugin {} speaks version {theirs} of the plugin interface, this explr ({}) speaks \
         version {ABI_VERSION}\n\
         help: build the plugin again with `explr-sdk` {}: `cargo update -p explr-sdk && \
         cargo build --release`",
        path.display(),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION")
    )]
    Abi { path: PathBuf, theirs: u32 },
    #[error(
        "the plugin {} was built against libtorch {theirs}, and the libtorch in {} is {ours}\n\
         help: build the plugin again against it: \
         `LIBTORCH={} cargo build --release` in the plugin's folder",
        path.display(), folder.display(), folder.display()
    )]
    TorchVersion {
        path: PathBuf,
        folder: PathBuf,
        theirs: String,
        ours: String,
    },
    #[error(
        "the plugin {} has no train function `{name}`\nhelp: it has {}{}",
        path.display(),
        list(known),
        suggest(name, known)
    )]
    NoFunction {
        path: PathBuf,
        name: String,
        known: Vec<String>,
    },
    #[error(
        "this program serves no train function `{name}`\n\
         help: pass it to `explr::worker::serve` at the beginning of `main`"
    )]
    NotServed { name: String },
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "none".to_owned()
    } else {
        quoted.join(", ")
    }
}

fn suggest(name: &str, known: &[String]) -> String {
    known
        .iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= other.len().max(3) / 3)
        .min()
        .map(|(_, other)| format!("; did you mean `{other}`?"))
        .unwrap_or_default()
}

/// A plugin that is open, for the rest of the process's life: libtorch does
/// not survive being closed.
pub(crate) struct Plugin {
    path: PathBuf,
    table: &'static PluginTable,
}

/// A train function of a plugin.
pub(crate) struct Function<'p>(&'p PluginFunction);

impl Plugin {
    /// The train function of this name.
    pub(crate) fn function(&self, name: &str) -> Result<Function<'_>, PluginError> {
        let functions = if self.table.function_count == 0 {
            &[]
        } else {
            // SAFETY: the ABI: `functions` points to `function_count` entries
            // that live as long as the plugin is open.
            unsafe { std::slice::from_raw_parts(self.table.functions, self.table.function_count) }
        };
        functions
            .iter()
            .find(|function| c_text(function.name) == name)
            .map(Function)
            .ok_or_else(|| PluginError::NoFunction {
                path: self.path.clone(),
                name: name.to_owned(),
                known: functions.iter().map(|f| c_text(f.name)).collect(),
            })
    }
}

impl Function<'_> {
    /// Calls it.
    pub(crate) fn call(&self, host: &Host, context: &[u8]) {
        let table = host.table();
        // SAFETY: the function is part of a table whose ABI version is ours,
        // its library stays open, and `table` and `context` outlive the call.
        unsafe { (self.0.call)(&raw const table, Bytes::new(context)) }
    }
}

/// Opens `path`, and libtorch from `folder` before it if the plugin needs it.
pub(crate) fn open(
    path: &Path,
    folder: Option<&Path>,
    device: Device,
) -> Result<Plugin, PluginError> {
    let with_torch = needs_libtorch(path)?;
    if with_torch {
        let folder = folder.ok_or_else(|| PluginError::NoLibtorch { path: path.into() })?;
        open_libtorch(folder, device)?;
    }
    let library = open_library(path, RTLD_NOW | RTLD_LOCAL).map_err(|why| PluginError::Open {
        path: path.into(),
        why,
    })?;
    // SAFETY: the symbol has this type in every plugin, by the ABI.
    let entry = unsafe { library.get::<EntryPoint>(ENTRY_SYMBOL.to_bytes_with_nul()) }
        .map_err(|_| PluginError::NoEntry { path: path.into() })?;
    // SAFETY: the ABI: it takes nothing and returns a table or null.
    let table = unsafe { entry() };
    // SAFETY: the version is the table's first field in every version.
    let theirs = if table.is_null() {
        0
    } else {
        unsafe { (*table).abi_version }
    };
    if theirs != ABI_VERSION {
        return Err(PluginError::Abi {
            path: path.into(),
            theirs,
        });
    }
    // SAFETY: the version says that the rest of the table is as we know it,
    // and its library is never closed.
    let table = unsafe { &*table };
    if let (true, Some(folder)) = (with_torch, folder) {
        check_torch(path, folder, table)?;
    }
    Ok(Plugin {
        path: path.into(),
        table,
    })
}

fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the ABI: NUL-terminated text that lives as long as the plugin.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

fn check_torch(path: &Path, folder: &Path, table: &PluginTable) -> Result<(), PluginError> {
    let theirs = c_text(table.torch_version);
    match libtorch_version(folder) {
        Some(ours) if !theirs.is_empty() && ours != theirs => Err(PluginError::TorchVersion {
            path: path.into(),
            folder: folder.into(),
            theirs,
            ours,
        }),
        _ => Ok(()),
    }
}

/// The version that libtorch's own header states, as in `2.10.0`.
pub(crate) fn libtorch_version(folder: &Path) -> Option<String> {
    let header = folder.join("include/torch/csrc/api/include/torch/version.h");
    let moved = folder.join("include/torch/headeronly/version.h");
    [header, moved].iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let part = |name: &str| {
            text.lines()
                .filter_map(|line| line.strip_prefix("#define TORCH_VERSION_"))
                .find_map(|line| line.strip_prefix(name))
                .and_then(|value| value.trim().parse::<u32>().ok())
        };
        Some(format!(
            "{}.{}.{}",
            part("MAJOR")?,
            part("MINOR")?,
            part("PATCH")?
        ))
    })
}

/// Opens libtorch, with its CUDA part for a GPU.
pub(super) fn open_libtorch(folder: &Path, device: Device) -> Result<(), PluginError> {
    open_part(folder, "libc10.so")?;
    open_part(folder, "libtorch_cpu.so")?;
    // It costs the better part of a second, so only who asks for it gets it.
    if matches!(device, Device::Cuda(_)) && folder.join("lib").join(CUDA).exists() {
        open_cuda(folder)?;
    }
    Ok(())
}

const CUDA: &str = "libtorch_cuda.so";

/// Opens the CUDA part of libtorch, after the rest.
pub(super) fn open_cuda(folder: &Path) -> Result<(), PluginError> {
    open_part(folder, CUDA)
}

fn open_part(folder: &Path, name: &str) -> Result<(), PluginError> {
    let path = folder.join("lib").join(name);
    let opened = open_library(&path, RTLD_NOW | RTLD_GLOBAL);
    opened.map(drop).map_err(|why| PluginError::Libtorch {
        folder: folder.into(),
        why,
    })
}

/// Opens a library that is never closed again.
fn open_library(path: &Path, flags: i32) -> Result<ManuallyDrop<Library>, String> {
    // SAFETY: this runs the library's initialisers. A plugin is code that the
    // user asked to run, and this process exists to run it.
    let opened = unsafe { Library::open(Some(path), flags) };
    opened.map(ManuallyDrop::new).map_err(|error| {
        // The loader's own words are in the source of libloading's error.
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })
}

/// Whether a plugin is linked against libtorch, read from its headers without
/// opening it.
fn needs_libtorch(path: &Path) -> Result<bool, PluginError> {
    let bytes = std::fs::read(path).map_err(|source| PluginError::Unreadable {
        path: path.into(),
        source,
    })?;
    needed(&bytes)
        .map(|names| {
            names
                .iter()
                .any(|name| name.starts_with(b"libtorch") || name.starts_with(b"libc10"))
        })
        .map_err(|error| PluginError::NotALibrary {
            path: path.into(),
            why: error.to_string(),
        })
}

fn needed(bytes: &[u8]) -> object::Result<Vec<&[u8]>> {
    let file = ElfFile64::<object::Endianness>::parse(bytes)?;
    let endian = file.endian();
    let sections = file.elf_header().sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, bytes, link)?;
    entries
        .iter()
        .filter(|entry| object::elf::DT_NEEDED == entry.tag(endian))
        .map(|entry| entry.string(endian, strings))
        .collect()
}
