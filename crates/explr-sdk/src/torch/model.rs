//! Models: saved whole or not at all, in formats that other tools read.

use super::stored;
use crate::{LogError, Tracker};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tch::nn::VarStore;
use tch::{CModule, TchError, Tensor};

/// Why a model could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file can't be written.
    #[error("can't write the model `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// libtorch or safetensors can't read or write it.
    #[error("the model `{}`: {source}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What they say.
        source: TchError,
    },
    /// It is another model.
    #[error("`{}` holds another model: {problem}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// The first difference.
        problem: String,
    },
    /// It could not be logged.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Saves all variables as safetensors, which Python reads with
/// `safetensors.torch.load_file`. The file is complete or not there.
pub fn save(vs: &VarStore, path: impl AsRef<Path>) -> Result<(), ModelError> {
    let path = path.as_ref();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let temporary = path.with_file_name(name);
    let written = variables(vs)
        .and_then(|tensors| write_tensors(&tensors, &temporary))
        .map_err(|source| ModelError::Tensors {
            path: path.to_owned(),
            source,
        });
    written.and_then(|()| {
        fs::rename(&temporary, path).map_err(|source| ModelError::Write {
            path: path.to_owned(),
            source,
        })
    })
}

/// Loads variables that [`save`] saved, onto the device of `vs`. Names and
/// shapes must be the same on both sides; else nothing is changed.
pub fn load(vs: &mut VarStore, path: impl AsRef<Path>) -> Result<(), ModelError> {
    let path = path.as_ref();
    let tensors = Tensor::read_safetensors(path).map_err(|source| ModelError::Tensors {
        path: path.to_owned(),
        source,
    })?;
    assign(vs, tensors, path)
}

/// Writes all variables to the run's artifacts, as safetensors. `dest` is the
/// file's name there, such as `model.safetensors`.
pub fn log(tracker: &Tracker, vs: &VarStore, dest: &str) -> Result<(), ModelError> {
    let tensors = variables(vs).map_err(|source| ModelError::Tensors {
        path: dest.into(),
        source,
    })?;
    tracker.log_file(dest, |target| {
        write_tensors(&tensors, target).map_err(io::Error::other)
    })?;
    Ok(())
}

/// Writes a `TorchScript` model to the run's artifacts, as a folder that
/// `mlflow.pytorch.load_model("runs:/<run>/<dest>")` loads in Python.
///
/// A module comes from [`CModule::create_by_tracing`] on the device and with
/// the example input that is to be served, or from a file.
pub fn log_torchscript(tracker: &Tracker, module: &CModule, dest: &str) -> Result<(), ModelError> {
    let torch = env!("EXPLR_TORCH_VERSION");
    tracker.write_file(&format!("{dest}/data/model.pth"), |target| {
        module.save(target).map_err(io::Error::other)?;
        File::open(target)?.sync_all()
    })?;
    // Names the module that reads the file; without it, MLflow refuses.
    let pickle_module = "mlflow.pytorch.pickle_module";
    for (name, text) in [
        ("data/pickle_module_info.txt", pickle_module.to_owned()),
        ("requirements.txt", format!("mlflow\ntorch=={torch}\n")),
        // Last, as it makes the folder a model.
        ("MLmodel", mlmodel(dest, torch)),
    ] {
        tracker.write_file(&format!("{dest}/{name}"), |target| {
            fs::write(target, &text)?;
            File::open(target)?.sync_all()
        })?;
    }
    Ok(tracker.record_artifact(dest)?)
}

/// What MLflow needs to know of a model.
fn mlmodel(dest: &str, torch: &str) -> String {
    format!(
        "artifact_path: {dest}\n\
         flavors:\n\
         \x20 python_function:\n\
         \x20   data: data\n\
         \x20   loader_module: mlflow.pytorch\n\
         \x20   python_version: '3.11'\n\
         \x20 pytorch:\n\
         \x20   model_data: data\n\
         \x20   pytorch_version: {torch}\n"
    )
}

/// All variables by name, sorted, on the CPU.
pub(crate) fn variables(vs: &VarStore) -> Result<Vec<(String, Tensor)>, TchError> {
    let mut tensors = vs
        .variables()
        .into_iter()
        .map(|(name, tensor)| Ok((name, stored(&tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()?;
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

/// Copies tensors into the variables of the same names.
pub(crate) fn assign(
    vs: &mut VarStore,
    tensors: Vec<(String, Tensor)>,
    path: &Path,
) -> Result<(), ModelError> {
    let misfit = |problem| ModelError::Misfit {
        path: path.to_owned(),
        problem,
    };
    let variables = vs.variables();
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    let mut pairs = Vec::with_capacity(variables.len());
    for (name, variable) in variables {
        let tensor = tensors
            .remove(&name)
            .ok_or_else(|| misfit(format!("it has no variable `{name}`")))?;
        let (saved, wanted) = (tensor.size(), variable.size());
        if saved != wanted {
            return Err(misfit(format!(
                "its `{name}` has the shape {saved:?}, not {wanted:?}"
            )));
        }
        pairs.push((variable, tensor));
    }
    if let Some(name) = tensors.keys().min() {
        return Err(misfit(format!("it has a further variable `{name}`")));
    }
    let _guard = tch::no_grad_guard();
    for (mut variable, tensor) in pairs {
        variable
            .f_copy_(&tensor)
            .map_err(|source| ModelError::Tensors {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// Writes a safetensors file and syncs it.
pub(crate) fn write_tensors(tensors: &[(String, Tensor)], path: &Path) -> Result<(), TchError> {
    Tensor::write_safetensors(tensors, path)?;
    Ok(File::open(path)?.sync_all()?)
}
