//! Finds out which libtorch this is built against.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=EXPLR_TORCH_VERSION=");
}
