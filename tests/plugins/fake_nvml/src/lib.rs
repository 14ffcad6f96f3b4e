//! As much of NVIDIA's management library as explr asks for. Its GPUs are the
//! files in the folder `FAKE_GPUS`, each named by a UUID; who removes one has
//! lost that GPU.
#![expect(
    clippy::missing_safety_doc,
    reason = "the library that is imitated says it"
)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;

const OK: c_int = 0;
const INVALID_ARGUMENT: c_int = 2;
const GPU_IS_LOST: c_int = 15;

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("FAKE_GPUS").unwrap_or_default())
}

fn gpus() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_int {
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_int {
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_int {
    unsafe { count.write(gpus().len() as c_uint) };
    OK
}

/// A handle is a UUID that is never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut *mut c_void,
) -> c_int {
    let Some(uuid) = gpus().into_iter().nth(index as usize) else {
        return INVALID_ARGUMENT;
    };
    unsafe { device.write(Box::into_raw(Box::new(uuid)).cast()) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    device: *mut *mut c_void,
) -> c_int {
    let uuid = unsafe { CStr::from_ptr(uuid) }
        .to_string_lossy()
        .into_owned();
    if !folder().join(&uuid).exists() {
        return GPU_IS_LOST;
    }
    unsafe { device.write(Box::into_raw(Box::new(uuid)).cast()) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: *mut c_void,
    text: *mut c_char,
    length: c_uint,
) -> c_int {
    let uuid = unsafe { &*device.cast::<String>() };
    if uuid.len() >= length as usize {
        return INVALID_ARGUMENT;
    }
    unsafe {
        text.copy_from_nonoverlapping(uuid.as_ptr().cast(), uuid.len());
        text.add(uuid.len()).write(0);
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(_: *mut c_void, memory: *mut Memory) -> c_int {
    unsafe {
        (*memory).total = 80 << 30;
        (*memory).free = 80 << 30;
    }
    OK
}
