use super::QuantizeError;
use super::packed::Packed;
use tch::nn::{self, Module};
use tch::{Device, Kind, TchError, Tensor};

/// The largest int8 in use; -128 is not, so that zero is in the middle.
const LARGEST: f64 = 127.0;

/// The weight of a linear layer in int8, with a scale for each output.
///
/// To save it, write the three tensors into a safetensors file.
#[derive(Debug)]
pub struct Weight {
    /// The rounded weights, `(outputs, inputs)` of `Int8`.
    pub values: Tensor,
    /// What each row is to be multiplied with, `(outputs)` of `Float`.
    pub scales: Tensor,
    /// The bias, `(outputs)`, not quantised.
    pub bias: Option<Tensor>,
}

/// How a quantised layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The input is quantised too, by the range of each batch, and the
    /// products are of int8: `quantized::linear_dynamic`. The fastest, on the
    /// CPU with `Float` inputs only.
    Dynamic,
    /// The weights become floats of the input's kind for each batch. For every
    /// device and kind of float; it saves memory, not time.
    WeightOnly,
}

/// A linear layer with a weight in int8.
///
/// As a [`Module`] it panics where [`apply`](Linear::apply) gives an error, as
/// tch's layers do.
#[derive(Debug)]
pub struct Linear {
    inputs: i64,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Dynamic(Packed),
    WeightOnly(Weight),
}

impl Weight {
    /// Rounds the weight of a layer: each row to 127 steps on either side of
    /// zero, the largest weight being the last step.
    pub fn of(layer: &nn::Linear) -> Result<Self, QuantizeError> {
        let refuse = |problem: String| Err(QuantizeError::Weight { problem });
        let weight = layer.ws.f_detach()?.f_to_kind(Kind::Float)?;
        if weight.dim() != 2 {
            return refuse(format!(
                "the shape {:?} of its weight is not (outputs, inputs)",
                weight.size()
            ));
        }
        if !bool::try_from(weight.f_isfinite()?.f_all()?)? {
            return refuse("its weight has elements that are infinite or not a number".to_owned());
        }
        let largest = weight.f_abs()?.f_amax([1], true)?;
        // A row of zeros has any scale.
        let scales = largest
            .f_div_scalar(LARGEST)?
            .f_masked_fill(&largest.f_eq(0.0)?, 1.0)?;
        let values = weight
            .f_div(&scales)?
            .f_round()?
            .f_clamp(-LARGEST, LARGEST)?
            .f_to_kind(Kind::Int8)?;
        let bias = layer.bs.as_ref().map(Tensor::f_detach).transpose()?;
        Ok(Self {
            values,
            scales: scales.f_squeeze_dim(1)?,
            bias,
        })
    }

    /// Whether the tensors belong together.
    fn check(&self) -> Result<(i64, i64), QuantizeError> {
        let refuse = |problem: String| Err(QuantizeError::Weight { problem });
        let (shape, kind) = (self.values.size(), self.values.kind());
        let (&[outputs, inputs], Kind::Int8) = (shape.as_slice(), kind) else {
            return refuse(format!(
                "its values are {shape:?} of {kind:?}, not (outputs, inputs) of Int8"
            ));
        };
        for (name, tensor) in [("scales", Some(&self.scales)), ("bias", self.bias.as_ref())] {
            if let Some(shape) = tensor.map(Tensor::size).filter(|shape| *shape != [outputs]) {
                return refuse(format!("its {name} are {shape:?}, not [{outputs}]"));
            }
        }
        Ok((outputs, inputs))
    }

    fn pack(&self) -> Result<Packed, QuantizeError> {
        let on_cpu = |tensor: &Tensor| tensor.f_to_device(Device::Cpu)?.f_contiguous();
        let scales = on_cpu(&self.scales)?.f_to_kind(Kind::Double)?;
        let zeros = scales.f_zeros_like()?.f_to_kind(Kind::Int64)?;
        let weight = on_cpu(&self.values)?
            .f_internal_make_per_channel_quantized_tensor(&scales, &zeros, 0)?;
        let bias = self
            .bias
            .as_ref()
            .map(|bias| on_cpu(bias)?.f_to_kind(Kind::Float))
            .transpose()?;
        Packed::new(&weight, bias.as_ref()).map_err(|source| QuantizeError::Processor { source })
    }

    fn apply(&self, input: &Tensor) -> Result<Tensor, TchError> {
        // Not by `_weight_int8pack_mm`: for BFloat16 on the CPU it reads beyond
        // rows whose length is no multiple of 16, for Float it takes 30 times
        // as long as this.
        let like_input = |tensor: &Tensor| {
            let moved = tensor.f_to_device(input.device())?;
            moved.f_to_kind(input.kind())
        };
        let none: Option<&Tensor> = None;
        let output = input
            .f_linear(&like_input(&self.values)?, none)?
            .f_mul(&like_input(&self.scales)?)?;
        match &self.bias {
            Some(bias) => output.f_add(&like_input(bias)?),
            None => Ok(output),
        }
    }
}

impl Linear {
    /// A layer with this weight.
    pub fn new(weight: Weight, method: Method) -> Result<Self, QuantizeError> {
        let (_, inputs) = weight.check()?;
        let run = match method {
            Method::Dynamic => Run::Dynamic(weight.pack()?),
            Method::WeightOnly => Run::WeightOnly(weight),
        };
        Ok(Self { inputs, run })
    }

    /// The output, `(..., outputs)`, for an input `(..., inputs)`.
    pub fn apply(&self, input: &Tensor) -> Result<Tensor, QuantizeError> {
        let shape = input.size();
        if shape.last() != Some(&self.inputs) {
            return Err(QuantizeError::Shape {
                inputs: self.inputs,
                shape,
            });
        }
        let input = input.f_detach()?;
        let (kind, device) = (input.kind(), input.device());
        match &self.run {
            Run::Dynamic(packed) if (kind, device) == (Kind::Float, Device::Cpu) => {
                Ok(packed.apply(&input)?)
            }
            Run::WeightOnly(weight) if is_float(kind) => Ok(weight.apply(&input)?),
            _ => Err(QuantizeError::Input { kind, device }),
        }
    }
}

fn is_float(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double
    )
}

impl Module for Linear {
    fn forward(&self, input: &Tensor) -> Tensor {
        self.apply(input).unwrap_or_else(|error| panic!("{error}"))
    }
}
