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

    /// Element `index` of the first dimension. It shares the memory, so what
    /// is to be changed in place must be copied first.
    pub fn get(&self, index: usize) -> Result<Tensor, TchError> {
        self.0.f_select(0, int(index))
    }

    /// A new tensor of some elements of the first dimension.
    pub fn select(&self, indices: &[usize]) -> Result<Tensor, TchError> {
        self.gather(&self.index(indices)?)
    }

    /// Indices for [`gather`](Self::gather), where this tensor is.
    pub(super) fn index(&self, indices: &[usize]) -> Result<Index, TchError> {
        Index::new(indices, self.0.device())
    }

    pub(super) fn gather(&self, index: &Index) -> Result<Tensor, TchError> {
        self.0.f_index_select(0, &index.tensor)
    }

    pub(super) fn device(&self) -> Device {
        self.0.device()
    }

    pub(super) fn tensor(&self) -> Tensor {
        self.0.shallow_clone()
    }
}

/// Indices as libtorch takes them, on a device.
#[derive(Debug)]
pub(super) struct Index {
    tensor: Tensor,
    /// What the tensor is a view of, on the CPU: dropped after it.
    _numbers: Vec<i64>,
}

impl Index {
    fn new(indices: &[usize], device: Device) -> Result<Self, TchError> {
        let numbers: Vec<i64> = indices.iter().map(|index| int(*index)).collect();
        let (data, size) = (numbers.as_ptr().cast(), [int(numbers.len())]);
        // SAFETY: `numbers` has that many elements of this type. It lives as
        // long as the tensor, which is only read, and never leaves `self`.
        let view = unsafe { Tensor::f_from_blob(data, &size, &[1], Kind::Int64, Device::Cpu) }?;
        let tensor = match device {
            Device::Cpu => view,
            device => pinned(&view, device)?.f_to_device_(device, Kind::Int64, true, false)?,
        };
        Ok(Self {
            tensor,
            _numbers: numbers,
        })
    }

    pub(super) fn device(&self) -> Device {
        self.tensor.device()
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
