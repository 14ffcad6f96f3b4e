//! With the feature `torch`: compiles the C++ of `shim/` against the libtorch
//! that torch-sys found, and tells which version that is.

#[cfg(not(feature = "torch"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=EXPLR_TORCH_VERSION=");
}

#[cfg(feature = "torch")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    torch::build()
}

#[cfg(feature = "torch")]
mod torch {
    use std::env;
    use std::error::Error;
    use std::fs;
    use std::path::{Path, PathBuf};

    pub(super) fn build() -> Result<(), Box<dyn Error>> {
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rerun-if-changed=shim");
        let lib = env::var("DEP_TCH_LIBTORCH_LIB")
            .map_err(|_| "torch-sys did not say where libtorch is; set LIBTORCH")?;
        let lib = Path::new(&lib);
        let root = env::var("LIBTORCH_INCLUDE").map_or_else(|_| lib.join(".."), PathBuf::from);
        println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
        println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
        let include = root.join("include");
        let api = include.join("torch/csrc/api/include");

        let version = torch_version(&include, &api)?;
        println!("cargo::rustc-env=EXPLR_TORCH_VERSION={version}");
        let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .warnings(false)
            .include(&include)
            .include(&api)
            .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
            .define("GLOG_USE_GLOG_EXPORT", None)
            .file("shim/quantize.cpp")
            .file("shim/state.cpp")
            .compile("explr_shim");

        // For this crate's own tests. A plugin needs no rpath: the worker has
        // opened libtorch before it.
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
        Ok(())
    }

    /// `2.10.0`, from the header that says so.
    fn torch_version(include: &Path, api: &Path) -> Result<String, Box<dyn Error>> {
        let header = [
            include.join("torch/headeronly/version.h"),
            api.join("torch/version.h"),
        ]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| format!("`{}` has no version.h of libtorch", include.display()))?;
        let text = fs::read_to_string(&header)?;
        let part = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("#define {name} ")))
                .map(str::trim)
                .ok_or_else(|| format!("`{}` does not define {name}", header.display()))
        };
        Ok(format!(
            "{}.{}.{}",
            part("TORCH_VERSION_MAJOR")?,
            part("TORCH_VERSION_MINOR")?,
            part("TORCH_VERSION_PATCH")?
        ))
    }
}
