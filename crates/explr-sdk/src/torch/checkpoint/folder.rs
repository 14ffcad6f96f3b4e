//! One checkpoint on the disk.

use super::CheckpointError;
use crate::torch::model::{variables, write_tensors};
use crate::torch::optimizer::{Optimizer, OptimizerState};
use crate::torch::shim;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tch::nn::VarStore;
use tch::{Device, TchError, Tensor};

/// Version of the format; a newer one is refused.
const FORMAT: u32 = 1;
pub(super) const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const GENERATORS: &str = "generators.safetensors";
const DESCRIPTION: &str = "checkpoint.json";
const SUMS: &str = "SHA256SUMS";

/// A checkpoint's folder, and what is known of it without its tensors.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) epoch: u64,
    pub(super) step: u64,
    pub(super) metric: Option<f64>,
}

/// Everything that is in a checkpoint.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) model: Vec<(String, Tensor)>,
    pub(super) optimizer: Vec<(String, Tensor)>,
    pub(super) generators: Vec<(String, Tensor)>,
    pub(super) description: Description,
}

/// What a checkpoint holds besides tensors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    format: u32,
    pub(super) run_id: String,
    epoch: u64,
    step: u64,
    #[serde(with = "explr_protocol::number::option")]
    metric: Option<f64>,
    /// The journal's length: what it has after this is lived again.
    pub(super) journal_len: u64,
    sdk_version: String,
    torch_version: String,
    /// Of the optimiser, where there is one without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimizer: Option<OptimizerState>,
    /// Of several, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    optimizers: BTreeMap<String, OptimizerState>,
    /// The train function's own.
    pub(super) state: Value,
}

impl Content {
    /// Copies the state of a training.
    pub(super) fn take(
        run_id: &str,
        journal_len: u64,
        models: &[(&str, &VarStore)],
        optimizers: &[(&str, &Optimizer)],
        device: Device,
        state: &impl Serialize,
    ) -> Result<Self, TchError> {
        let mut generators = vec![("cpu".to_owned(), shim::generator_state(Device::Cpu)?)];
        if device.is_cuda() {
            generators.push(("cuda".to_owned(), shim::generator_state(device)?));
        }
        let mut model = Vec::new();
        for (name, vs) in models {
            model.extend(prefixed(name, variables(vs)?));
        }
        let mut optimizer = None;
        let mut named = BTreeMap::new();
        let mut tensors = Vec::new();
        for (name, each) in optimizers {
            let (state, own) = each.snapshot()?;
            tensors.extend(prefixed(name, own));
            if name.is_empty() {
                optimizer = Some(state);
            } else {
                named.insert((*name).to_owned(), state);
            }
        }
        Ok(Self {
            model,
            optimizer: tensors,
            generators,
            description: Description {
                format: FORMAT,
                run_id: run_id.to_owned(),
                epoch: 0,
                step: 0,
                metric: None,
                journal_len,
                sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
                torch_version: env!("EXPLR_TORCH_VERSION").to_owned(),
                optimizer,
                optimizers: named,
                state: serde_json::to_value(state)
                    .map_err(|error| TchError::Io(io::Error::other(error)))?,
            },
        })
    }
}

impl Description {
    /// The states of the optimisers by name, if they are those of these names.
    pub(super) fn optimizers(&self, names: &[&str]) -> Result<Vec<&OptimizerState>, String> {
        let unnamed = self.optimizer.as_ref().map(|state| ("", state));
        let named = self.optimizers.iter().map(|(name, s)| (name.as_str(), s));
        let saved: BTreeMap<_, _> = unnamed.into_iter().chain(named).collect();
        let found = names.iter().filter_map(|name| saved.get(name).copied());
        let found: Vec<_> = found.collect();
        if found.len() == names.len() && names.len() == saved.len() {
            return Ok(found);
        }
        let saved: Vec<_> = saved.into_keys().collect();
        Err(format!(
            "it is of {}, this training has {}",
            optimizers_in_words(&saved),
            optimizers_in_words(names)
        ))
    }
}

fn optimizers_in_words(names: &[&str]) -> String {
    match names {
        [] => "no optimiser".to_owned(),
        [""] => "one optimiser".to_owned(),
        _ => format!("the optimisers {}", names.join(", ")),
    }
}

/// Tensors under the name of what they belong to, if that has one.
fn prefixed(name: &str, tensors: Vec<(String, Tensor)>) -> Vec<(String, Tensor)> {
    if name.is_empty() {
        return tensors;
    }
    let tensors = tensors.into_iter();
    tensors
        .map(|(key, tensor)| (format!("{name}/{key}"), tensor))
        .collect()
}

/// Takes those out that belong to a name, under their own names.
pub(super) fn take_prefixed(
    name: &str,
    tensors: &mut Vec<(String, Tensor)>,
) -> Vec<(String, Tensor)> {
    if name.is_empty() {
        return std::mem::take(tensors);
    }
    let prefix = format!("{name}/");
    let (own, others): (Vec<_>, Vec<_>) = std::mem::take(tensors)
        .into_iter()
        .partition(|(key, _)| key.starts_with(&prefix));
    *tensors = others;
    own.into_iter()
        .map(|(key, tensor)| (key[prefix.len()..].to_owned(), tensor))
        .collect()
}

/// Sets the generator that has this name in a checkpoint.
pub(super) fn set_generator(name: &str, device: Device, state: &Tensor) -> Result<(), TchError> {
    match name {
        "cpu" => shim::set_generator_state(Device::Cpu, state),
        // A run that moved to the CPU has no use for it.
        _ if device.is_cuda() => shim::set_generator_state(device, state),
        _ => Ok(()),
    }
}

impl Folder {
    pub(super) fn new(dir: &Path, epoch: u64, step: u64, metric: Option<f64>) -> Self {
        Self {
            // Sorted by name is sorted by time.
            path: dir.join(format!("epoch-{epoch:05}-step-{step:08}")),
            epoch,
            step,
            metric,
        }
    }

    /// Its name in the checkpoint folder.
    pub(super) fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

    /// All checkpoints of a folder, from old to new. Of one whose description
    /// can't be read only the name is known.
    pub(super) fn list(dir: &Path) -> Result<Vec<Self>, CheckpointError> {
        let error = |source| CheckpointError::Io {
            path: dir.to_owned(),
            source,
        };
        let mut folders = Vec::new();
        for entry in fs::read_dir(dir).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some((epoch, step)) = name.and_then(parse_name) else {
                continue;
            };
            let metric = fs::read(path.join(DESCRIPTION))
                .ok()
                .and_then(|json| serde_json::from_slice::<Description>(&json).ok())
                .and_then(|description| description.metric);
            folders.push(Self {
                path,
                epoch,
                step,
                metric,
            });
        }
        folders.sort_by_key(|folder| (folder.epoch, folder.step));
        Ok(folders)
    }

    /// Writes it: whole, or not at all.
    pub(super) fn write(&self, mut content: Content) -> Result<(), CheckpointError> {
        content.description.epoch = self.epoch;
        content.description.step = self.step;
        content.description.metric = self.metric;
        let temporary = self.path.with_extension("partial");
        let written = self.write_into(&temporary, &content);
        if written.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        written
    }

    fn write_into(&self, temporary: &Path, content: &Content) -> Result<(), CheckpointError> {
        let io = |source| CheckpointError::Io {
            path: self.path.clone(),
            source,
        };
        let torch = |source| CheckpointError::Torch {
            path: self.path.clone(),
            source,
        };
        // What a killed process left.
        remove(temporary).map_err(io)?;
        fs::create_dir_all(temporary).map_err(io)?;
        write_tensors(&content.model, &temporary.join(MODEL)).map_err(torch)?;
        write_tensors(&content.optimizer, &temporary.join(OPTIMIZER)).map_err(torch)?;
        write_tensors(&content.generators, &temporary.join(GENERATORS)).map_err(torch)?;
        let description = serde_json::to_vec_pretty(&content.description)?;
        write_file(&temporary.join(DESCRIPTION), &description).map_err(io)?;
        let mut sums = String::new();
        for name in [MODEL, OPTIMIZER, GENERATORS, DESCRIPTION] {
            let sum = hash(&temporary.join(name)).map_err(io)?;
            let _ = writeln!(sums, "{sum}  {name}");
        }
        write_file(&temporary.join(SUMS), sums.as_bytes()).map_err(io)?;
        sync_dir(temporary).map_err(io)?;
        // The same epoch lived again: the kernel renames onto an empty folder only.
        remove(&self.path).map_err(io)?;
        fs::rename(temporary, &self.path).map_err(io)?;
        self.path.parent().map_or(Ok(()), sync_dir).map_err(io)
    }

    /// Reads it, if it is whole.
    pub(super) fn read(&self) -> Result<Content, CheckpointError> {
        let damaged = |problem: String| CheckpointError::Damaged {
            path: self.path.clone(),
            problem,
        };
        let sums = fs::read_to_string(self.path.join(SUMS))
            .map_err(|error| damaged(format!("{SUMS}: {error}")))?;
        for name in [MODEL, OPTIMIZER, GENERATORS, DESCRIPTION] {
            let sum =
                hash(&self.path.join(name)).map_err(|error| damaged(format!("{name}: {error}")))?;
            if !sums.lines().any(|line| line == format!("{sum}  {name}")) {
                return Err(damaged(format!("{name} is not what was written")));
            }
        }
        let tensors = |name: &str| {
            Tensor::read_safetensors(self.path.join(name))
                .map_err(|error| damaged(format!("{name}: {error}")))
        };
        let description = fs::read(self.path.join(DESCRIPTION))
            .map_err(|error| damaged(format!("{DESCRIPTION}: {error}")))?;
        let description: Description = serde_json::from_slice(&description)
            .map_err(|error| damaged(format!("{DESCRIPTION}: {error}")))?;
        if description.format > FORMAT {
            return Err(damaged(format!(
                "a newer explr-sdk ({}) wrote it, in format {}; this one reads up to {FORMAT}",
                description.sdk_version, description.format
            )));
        }
        Ok(Content {
            model: tensors(MODEL)?,
            optimizer: tensors(OPTIMIZER)?,
            generators: tensors(GENERATORS)?,
            description,
        })
    }
}

/// Epoch and step of a checkpoint's name.
fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (epoch, step) = name.strip_prefix("epoch-")?.split_once("-step-")?;
    Some((epoch.parse().ok()?, step.parse().ok()?))
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}
