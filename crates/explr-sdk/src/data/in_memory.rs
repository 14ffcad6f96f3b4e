use super::shared::{Index, common_len};
use super::{DataError, Dataset, SharedTensor, Tensors};
use crate::Result;
use std::borrow::Cow;
use tch::{Device, Kind, Tensor};

/// A data set whose tensors are in memory, on the CPU or a GPU.
///
/// The first dimension of each tensor is the sample. A batch is gathered by
/// one `index_select` a tensor. Pictures may stay bytes, a quarter of the
/// memory, and be served as numbers:
///
/// ```
/// use explr_sdk::data::{Dataset, InMemory};
/// use explr_sdk::tch::{Device, Kind, Tensor};
///
/// # fn example() -> explr_sdk::Result<()> {
/// let pictures = Tensor::f_full([10, 1, 28, 28], 51, (Kind::Uint8, Device::Cpu))?;
/// let labels = Tensor::f_zeros([10], (Kind::Int64, Device::Cpu))?;
/// let data = InMemory::pair(&pictures, &labels)?.scaled("input", 255.0)?;
/// let sample = data.get(0)?;
/// assert!((sample.get("input")?.f_double_value(&[0, 0, 0])? - 0.2).abs() < 1e-6);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Debug)]
pub struct InMemory {
    fields: Vec<Field>,
    len: usize,
}

#[derive(Debug)]
struct Field {
    name: Cow<'static, str>,
    tensor: SharedTensor,
    serve: Serve,
}

/// What is done to the gathered samples.
#[derive(Debug)]
enum Serve {
    AsItIs,
    Scaled {
        divisor: f64,
    },
    /// Mean and standard deviation, shaped to fit a batch.
    Normalised {
        divisor: f64,
        mean: SharedTensor,
        std: SharedTensor,
    },
}

impl InMemory {
    /// A data set of named tensors of the same first dimension.
    pub fn new(tensors: &Tensors) -> Result<Self, DataError> {
        let fields: Vec<Field> = tensors
            .0
            .iter()
            .map(|(name, tensor)| {
                Ok(Field {
                    name: name.clone(),
                    tensor: SharedTensor::new(tensor)?,
                    serve: Serve::AsItIs,
                })
            })
            .collect::<Result<_, DataError>>()?;
        let len = common_len(fields.iter().map(|field| (&*field.name, &field.tensor)))?;
        Ok(Self { fields, len })
    }

    /// A data set of `input` and `target`.
    pub fn pair(input: &Tensor, target: &Tensor) -> Result<Self, DataError> {
        Self::new(&(input.shallow_clone(), target.shallow_clone()).into())
    }

    /// Serves a tensor as `f32`, divided by `divisor`: 255 makes bytes
    /// numbers from 0 to 1.
    pub fn scaled(self, name: &str, divisor: f64) -> Result<Self, DataError> {
        self.serve(name, |_| Ok(Serve::Scaled { divisor }))
    }

    /// Serves a tensor `[samples, channels, ...]` as `f32`, divided by
    /// `divisor`, less the mean, over the standard deviation of its channel.
    pub fn normalised(
        self,
        name: &str,
        divisor: f64,
        mean: &[f32],
        std: &[f32],
    ) -> Result<Self, DataError> {
        self.serve(name, |tensor| {
            let size = tensor.size();
            let channels = size.get(1).copied().unwrap_or(1);
            for (what, values) in [("means", mean), ("standard deviations", std)] {
                if i64::try_from(values.len()) != Ok(channels) {
                    return Err(DataError::invalid(format!(
                        "`{name}` has {channels} channels (shape {size:?}) and {} {what}",
                        values.len()
                    )));
                }
            }
            if let Some(bad) = std.iter().find(|std| std.is_nan() || **std <= 0.0) {
                return Err(DataError::invalid(format!(
                    "`{name}` has the standard deviation {bad}: it must be more than 0"
                )));
            }
            let mut shape = vec![1; size.len()];
            if let Some(second) = shape.get_mut(1) {
                *second = channels;
            }
            let fit = |values: &[f32]| -> Result<SharedTensor, DataError> {
                let values = Tensor::f_from_slice(values)?.f_view(&*shape)?;
                Ok(SharedTensor::new(&values.f_to_device(tensor.device())?)?)
            };
            Ok(Serve::Normalised {
                divisor,
                mean: fit(mean)?,
                std: fit(std)?,
            })
        })
    }

    /// The same with all tensors on a device, where a batch is then gathered.
    pub fn to_device(mut self, device: Device) -> Result<Self, DataError> {
        let on_device =
            |tensor: &SharedTensor| SharedTensor::new(&tensor.tensor().f_to_device(device)?);
        for field in &mut self.fields {
            field.tensor = on_device(&field.tensor)?;
            if let Serve::Normalised { mean, std, .. } = &mut field.serve {
                *mean = on_device(mean)?;
                *std = on_device(std)?;
            }
        }
        Ok(self)
    }

    fn serve(
        mut self,
        name: &str,
        serve: impl FnOnce(&SharedTensor) -> Result<Serve, DataError>,
    ) -> Result<Self, DataError> {
        let names = || self.fields.iter().map(|field| format!("`{}`", field.name));
        let Some(at) = self.fields.iter().position(|field| field.name == name) else {
            return Err(DataError::NoTensor {
                wanted: format!("`{name}`"),
                names: names().collect::<Vec<_>>().join(", "),
            });
        };
        self.fields[at].serve = serve(&self.fields[at].tensor)?;
        Ok(self)
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        let batch = self.gather(&[index])?;
        Ok(batch.map(|tensor| tensor.f_squeeze_dim(0))?)
    }

    fn get_batch(&self, indices: &[usize]) -> Result<Option<Tensors>> {
        self.gather(indices).map(Some)
    }
}

impl InMemory {
    fn gather(&self, indices: &[usize]) -> Result<Tensors> {
        let mut index: Option<Index> = None;
        let mut batch = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let index = match &index {
                Some(index) if index.device() == field.tensor.device() => index,
                _ => index.insert(field.tensor.index(indices)?),
            };
            let served = field.serve.serve(field.tensor.gather(index)?)?;
            batch.push((field.name.clone(), served));
        }
        Ok(Tensors(batch))
    }
}

impl Serve {
    /// The tensor is new, so it may be changed in place.
    fn serve(&self, gathered: Tensor) -> Result<Tensor> {
        let divided = |divisor: f64| -> Result<Tensor> {
            let mut numbers = gathered.f_to_kind(Kind::Float)?;
            Ok(numbers.f_div_scalar_(divisor)?)
        };
        match self {
            Self::AsItIs => Ok(gathered),
            Self::Scaled { divisor } => divided(*divisor),
            Self::Normalised { divisor, mean, std } => {
                Ok(divided(*divisor)?.f_sub_(&mean.0)?.f_div_(&std.0)?)
            }
        }
    }
}
