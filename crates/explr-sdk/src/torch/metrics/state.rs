use super::MetricError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// What a metric has gathered, on the CPU.
///
/// With serde it becomes text and back to the same bits. For a file of
/// tensors, such as safetensors, take it apart with
/// [`tensors`](State::tensors) and put it together with [`new`](State::new).
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    metric: String,
    #[serde(with = "as_text")]
    tensors: BTreeMap<String, Tensor>,
}

impl State {
    /// Of the metrics with this [`state_name`](super::Metric::state_name).
    pub fn new(metric: String, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { metric, tensors }
    }

    /// Which metrics it fits: those with this
    /// [`state_name`](super::Metric::state_name).
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// What was gathered, by the name of the field.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Its tensors, if it is the state of that metric.
    pub(super) fn of(&self, metric: &str) -> Result<&BTreeMap<String, Tensor>, MetricError> {
        if self.metric != metric {
            return Err(MetricError::OtherState {
                wanted: metric.to_owned(),
                found: self.metric.clone(),
            });
        }
        Ok(&self.tensors)
    }
}

/// A tensor as text: the bits of its elements, in base64.
#[derive(Serialize, Deserialize)]
struct Text {
    kind: String,
    shape: Vec<i64>,
    data: String,
}

/// The kinds that a state may hold, with their names in safetensors.
const KINDS: [(Kind, &str); 11] = [
    (Kind::Bool, "BOOL"),
    (Kind::Uint8, "U8"),
    (Kind::Int8, "I8"),
    (Kind::Int16, "I16"),
    (Kind::Int, "I32"),
    (Kind::Int64, "I64"),
    (Kind::Half, "F16"),
    (Kind::BFloat16, "BF16"),
    (Kind::Float, "F32"),
    (Kind::Double, "F64"),
    (Kind::ComplexFloat, "C64"),
];

impl Text {
    fn from_tensor(tensor: &Tensor) -> Result<Self, String> {
        let kind = tensor.kind();
        let (_, name) = KINDS
            .iter()
            .find(|(known, _)| *known == kind)
            .ok_or_else(|| format!("a state can't hold {kind:?}"))?;
        let mut data = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor
            .f_contiguous()
            .and_then(|tensor| tensor.f_copy_data_u8(&mut data, tensor.numel()))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            kind: (*name).to_owned(),
            shape: tensor.size(),
            data: STANDARD.encode(data),
        })
    }

    fn into_tensor(self) -> Result<Tensor, String> {
        let (kind, _) = KINDS
            .iter()
            .find(|(_, name)| *name == self.kind)
            .ok_or_else(|| format!("unknown kind `{}` of a tensor", self.kind))?;
        let data = STANDARD
            .decode(&self.data)
            .map_err(|error| error.to_string())?;
        let wanted = self
            .shape
            .iter()
            .try_fold(kind.elt_size_in_bytes(), |size, dim| {
                size.checked_mul(usize::try_from(*dim).ok()?)
            });
        if wanted != Some(data.len()) {
            return Err(format!(
                "{} bytes are no tensor of the shape {:?} of {}",
                data.len(),
                self.shape,
                self.kind
            ));
        }
        Tensor::f_from_data_size(&data, &self.shape, *kind).map_err(|error| error.to_string())
    }
}

mod as_text {
    use super::{BTreeMap, Tensor, Text};
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        tensors: &BTreeMap<String, Tensor>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts = tensors
            .iter()
            .map(|(name, tensor)| Ok((name, Text::from_tensor(tensor)?)))
            .collect::<Result<Vec<_>, String>>()
            .map_err(S::Error::custom)?;
        serializer.collect_map(texts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Tensor>, D::Error> {
        BTreeMap::<String, Text>::deserialize(deserializer)?
            .into_iter()
            .map(|(name, text)| Ok((name, text.into_tensor().map_err(D::Error::custom)?)))
            .collect()
    }
}
