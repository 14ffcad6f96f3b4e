use super::DataError;
use std::borrow::Cow;
use tch::{Device, TchError, Tensor};

/// The tensors of a sample or of a batch, in an order and with names.
///
/// ```
/// use explr_sdk::data::Tensors;
/// use explr_sdk::tch::Tensor;
///
/// # fn example() -> explr_sdk::Result<()> {
/// // A pair is `input` and `target`.
/// let sample = Tensors::from((Tensor::from_slice(&[0.5_f32, 1.0]), Tensor::from(3_i64)));
/// let [input, target] = sample.all()?;
/// assert_eq!(input.size(), [2]);
/// assert_eq!(sample.get("target")?.size(), target.size());
///
/// let pair = Tensors::new().with("left", Tensor::from(1)).with("right", Tensor::from(2));
/// assert_eq!(pair.len(), 2);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Tensors(pub(super) Vec<(Cow<'static, str>, Tensor)>);

impl Tensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor at the end, or replaces the one of this name.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, tensor: Tensor) -> Self {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = tensor,
            None => self.0.push((name, tensor)),
        }
        self
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Result<&Tensor, DataError> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, tensor)| tensor)
            .ok_or_else(|| DataError::NoTensor {
                wanted: format!("`{name}`"),
                names: self.names(),
            })
    }

    /// All tensors, when there are exactly `N`.
    pub fn all<const N: usize>(&self) -> Result<[&Tensor; N], DataError> {
        let all: &[_; N] = (&*self.0).try_into().map_err(|_| {
            DataError::invalid(format!(
                "{N} tensors are wanted, and there are {}: {}",
                self.len(),
                self.names()
            ))
        })?;
        Ok(all.each_ref().map(|(_, tensor)| tensor))
    }

    /// Names and tensors in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (&**name, tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes every tensor, and keeps the names.
    pub fn map<E>(self, mut change: impl FnMut(Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
        self.0
            .into_iter()
            .map(|(name, tensor)| Ok((name, change(tensor)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same on a device. From pinned memory the copy runs beside what
    /// the host does next, and before what the device is given next.
    pub fn to_device(self, device: Device) -> Result<Self, TchError> {
        self.map(|tensor| {
            if tensor.device() == device {
                return Ok(tensor);
            }
            // The host would not wait for what comes from a GPU.
            tensor.f_to_device_(device, tensor.f_kind()?, device.is_cuda(), false)
        })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("`{name}`")).collect();
        match &*names {
            [] => "none".to_owned(),
            names => names.join(", "),
        }
    }
}

/// One tensor is the `input`.
impl From<Tensor> for Tensors {
    fn from(input: Tensor) -> Self {
        Self::new().with("input", input)
    }
}

/// Two are the `input` and the `target`.
impl From<(Tensor, Tensor)> for Tensors {
    fn from((input, target): (Tensor, Tensor)) -> Self {
        Self(vec![("input".into(), input), ("target".into(), target)])
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(named: I) -> Self {
        named
            .into_iter()
            .fold(Self::new(), |tensors, (name, tensor)| {
                tensors.with(name, tensor)
            })
    }
}
