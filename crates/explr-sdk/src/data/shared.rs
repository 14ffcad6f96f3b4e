use super::{DataError, int};
use tch::{Device, Kind, TchError, Tensor};

/// A tensor that several threads may read.
///
/// Who makes one must not change the tensor in place through another handle
/// while it is read, as with every handle of tch that goes to a thread.
#[derive(Debug)]
pub struct SharedTensor(pub(super) Tensor);

// SAFETY: the methods only read. Reading a tensor from several threads is
// safe in libtorch: its reference count is atomic, and no gradient is kept.
unsafe impl Sync for SharedTensor {}

impl SharedTensor {
    /// Shares a tensor, without its gradient.
    pub fn new(tensor: &Tensor) -> Result<Self, TchError> {
        tensor.f_detach().map(Self)
    }

    /// Length of the first dimension: the number of samples. 0 for a scalar.
    pub fn len(&self) -> usize {
        self.size()
            .first()
            .map_or(0, |len| usize::try_from(*len).unwrap_or(0))
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape.
    pub fn size(&self) -> Vec<i64> {
        self.0.size()
    }

    /// The type of the elements.
    pub fn kind(&self) -> Result<Kind, TchError> {
        self.0.f_kind()
    }

    /// Element `index` of the first dimension. It shares the memory.
    pub fn get(&self, index: usize) -> Result<Tensor, TchError> {
        self.0.f_select(0, int(index))
    }

    /// A new tensor of some elements of the first dimension.
    pub fn select(&self, indices: &[usize]) -> Result<Tensor, TchError> {
        self.gather(&self.index(indices)?)
    }

    /// Indices as a tensor for [`gather`](Self::gather), where this one is.
    pub(crate) fn index(&self, indices: &[usize]) -> Result<Tensor, TchError> {
        let indices: Vec<i64> = indices.iter().map(|index| int(*index)).collect();
        let index = Tensor::f_from_slice(&indices)?;
        match self.0.device() {
            Device::Cpu => Ok(index),
            device => pinned(&index, device)?.f_to_device_(device, Kind::Int64, true, false),
        }
    }

    pub(crate) fn gather(&self, index: &Tensor) -> Result<Tensor, TchError> {
        self.0.f_index_select(0, index)
    }

    pub(crate) fn device(&self) -> Device {
        self.0.device()
    }

    pub(crate) fn tensor(&self) -> Tensor {
        self.0.shallow_clone()
    }
}

/// A copy in memory that a GPU can read while the host goes on.
pub(super) fn pinned(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    // `pin_memory` does the same, and warns of its argument, which tch can't
    // leave out.
    tensor.f_internal_pin_memory(device)
}

/// The number of samples of tensors that belong together.
pub(crate) fn common_len<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a SharedTensor)>,
) -> Result<usize, DataError> {
    let mut first: Option<(&str, usize)> = None;
    for (name, tensor) in tensors {
        let len = tensor.len();
        match first {
            None => first = Some((name, len)),
            Some((other, known)) if known != len => {
                return Err(DataError::invalid(format!(
                    "`{other}` has {known} samples and `{name}` has {len}: the first dimension \
                     of all tensors of a data set must be the same"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(first.map_or(0, |(_, len)| len))
}
